#include "cavmae/decode/decode_job.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMaxDescriptors = 2;
constexpr size_t kMaxHeaderBytes = 1 << 20;

struct MessageSizes {
  uint64_t header = 0, payload = 0;
};

void send_all(int socket, const void* data, size_t count) {
  const char* at = static_cast<const char*>(data);
  while (count > 0) {
    const ssize_t n = ::send(socket, at, count, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, "the other side of the decoder's socket has gone: ", std::strerror(errno));
    at += n;
    count -= static_cast<size_t>(n);
  }
}

void wait_readable(int socket, const std::optional<Clock::time_point>& deadline) {
  while (true) {
    int wait_ms = -1;
    if (deadline) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now()).count();
      CAVMAE_CHECK(left > 0, "the decoder took too long");
      wait_ms = static_cast<int>(left) + 1;
    }
    pollfd poll_one{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll_one, 1, wait_ms);
    if (ready > 0) return;
    CAVMAE_CHECK(ready == 0 || errno == EINTR,
                 "the decoder's socket cannot be waited for: ", std::strerror(errno));
  }
}

void receive_all(int socket, void* data, size_t count, const std::optional<Clock::time_point>& deadline) {
  char* at = static_cast<char*>(data);
  while (count > 0) {
    wait_readable(socket, deadline);
    const ssize_t n = ::recv(socket, at, count, 0);
    if (n < 0 && errno == EINTR) continue;
    CAVMAE_CHECK(n > 0, "the other side of the decoder's socket has gone");
    at += n;
    count -= static_cast<size_t>(n);
  }
}

// The first bytes carry the descriptors.
void send_first(int socket, const MessageSizes& sizes, const std::vector<int>& descriptors) {
  CAVMAE_CHECK(descriptors.size() <= kMaxDescriptors, "a decoder takes no ", descriptors.size(),
               " descriptors");
  MessageSizes copy = sizes;
  iovec part{.iov_base = &copy, .iov_len = sizeof(copy)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  if (!descriptors.empty()) {
    const size_t bytes = descriptors.size() * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  }
  ssize_t n = 0;
  do n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  CAVMAE_CHECK(n == static_cast<ssize_t>(sizeof(copy)), "the decoder has gone: ", std::strerror(errno));
}

// False at the end of the stream.
bool receive_first(int socket, MessageSizes& sizes, std::vector<int>& descriptors) {
  iovec part{.iov_base = &sizes, .iov_len = sizeof(sizes)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = 0;
  do n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n == 0) return false;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    descriptors.resize((at->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(descriptors.data(), CMSG_DATA(at), descriptors.size() * sizeof(int));
  }
  CAVMAE_CHECK(n == static_cast<ssize_t>(sizeof(sizes)) && sizes.header <= kMaxHeaderBytes,
               "a message is damaged");
  return true;
}

// Sizes of a tensor that another process tells, and its bytes.
Json shape_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  return Json(std::vector<int64_t>(tensor.sizes().begin(), tensor.sizes().end()));
}

torch::Tensor tensor_of(const Json& shape, const std::string& payload, size_t& at) {
  if (!shape.is_array()) return {};
  const auto sizes = shape.get<std::vector<int64_t>>();
  CAVMAE_CHECK(!sizes.empty() && sizes.size() <= 4, "the decoder's answer is damaged");
  size_t bytes = sizeof(float);
  for (const int64_t size : sizes) {
    CAVMAE_CHECK(size >= 1 && static_cast<size_t>(size) <= kMaxAnswerBytes / bytes,
                 "the decoder's answer is damaged");
    bytes *= static_cast<size_t>(size);
  }
  CAVMAE_CHECK(bytes <= payload.size() - at, "the decoder's answer is damaged");
  torch::Tensor out = torch::empty(sizes, torch::kFloat32);
  std::memcpy(out.data_ptr<float>(), payload.data() + at, bytes);
  at += bytes;
  return out;
}

std::string text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

void send_job(int socket, const DecodeJob& job, const std::vector<int>& descriptors) {
  const std::string header = to_text(option_to_json(job));
  send_first(socket, {.header = header.size(), .payload = 0}, descriptors);
  send_all(socket, header.data(), header.size());
}

std::optional<ReceivedJob> receive_job(int socket) {
  MessageSizes sizes;
  ReceivedJob out;
  if (!receive_first(socket, sizes, out.descriptors)) return std::nullopt;
  std::string header(sizes.header, '\0');
  receive_all(socket, header.data(), header.size(), std::nullopt);
  option_from_json(parse_json(header, "a job"), out.job, "a job");
  return out;
}

void send_answer(int socket, const DecodeAnswer& answer) {
  const auto plain = [](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(torch::kFloat32).contiguous() : tensor;
  };
  const torch::Tensor audio = plain(answer.audio), video = plain(answer.video);
  const Json json = {{"error", answer.error},
                     {"audio", shape_of(audio)},
                     {"video", shape_of(video)},
                     {"content_type", answer.content_type},
                     {"freedoms", answer.freedoms}};
  const std::string header = to_text(json);
  size_t payload = answer.bytes.size();
  for (const torch::Tensor& tensor : {audio, video})
    if (tensor.defined()) payload += tensor.nbytes();
  const MessageSizes sizes{.header = header.size(), .payload = payload};
  send_all(socket, &sizes, sizeof(sizes));
  send_all(socket, header.data(), header.size());
  for (const torch::Tensor& tensor : {audio, video})
    if (tensor.defined()) send_all(socket, tensor.data_ptr(), tensor.nbytes());
  send_all(socket, answer.bytes.data(), answer.bytes.size());
}

DecodeAnswer receive_answer(int socket, double deadline_seconds) {
  std::optional<Clock::time_point> deadline;
  if (deadline_seconds > 0)
    deadline = Clock::now() +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(deadline_seconds));
  MessageSizes sizes;
  receive_all(socket, &sizes, sizeof(sizes), deadline);
  CAVMAE_CHECK(sizes.header <= kMaxHeaderBytes && sizes.payload <= kMaxAnswerBytes,
               "the decoder's answer is damaged");
  std::string header(sizes.header, '\0'), payload(sizes.payload, '\0');
  receive_all(socket, header.data(), header.size(), deadline);
  receive_all(socket, payload.data(), payload.size(), deadline);
  const Json json = parse_json(header, "the decoder's answer");
  CAVMAE_CHECK(json.is_object(), "the decoder's answer is damaged");
  DecodeAnswer out;
  out.error = text_at(json, "error");
  out.content_type = text_at(json, "content_type");
  out.freedoms = text_at(json, "freedoms");
  size_t at = 0;
  try {
    out.audio = tensor_of(json.value("audio", Json()), payload, at);
    out.video = tensor_of(json.value("video", Json()), payload, at);
  } catch (const Json::exception&) {
    throw Error("the decoder's answer is damaged");
  }
  out.bytes = payload.substr(at);
  return out;
}

}  // namespace cavmae
