#include "cavmae/decode/decode_job.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>

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

[[noreturn]] void fail_damaged() {
  throw Error("the decoder's answer is damaged");
}

Json to_json(const StreamTimes& times) {
  return {times.start_seconds, times.end_seconds};
}
StreamTimes stream_times(const Json& json) {
  return {.start_seconds = json.at(0).get<double>(), .end_seconds = json.at(1).get<double>()};
}

Json to_json(const MediaInfo& info) {
  return {{"has_audio", info.has_audio},        {"has_video", info.has_video},
          {"is_picture", info.is_picture},      {"duration_seconds", info.duration_seconds},
          {"audio", to_json(info.times.audio)}, {"video", to_json(info.times.video)},
          {"measured", info.times.measured},    {"one_picture", info.times.one_picture},
          {"cut_off", info.times.cut_off}};
}
MediaInfo media_info(const Json& json) {
  MediaInfo info;
  info.has_audio = json.at("has_audio").get<bool>();
  info.has_video = json.at("has_video").get<bool>();
  info.is_picture = json.at("is_picture").get<bool>();
  info.duration_seconds = json.at("duration_seconds").get<double>();
  info.times.audio = stream_times(json.at("audio"));
  info.times.video = stream_times(json.at("video"));
  info.times.measured = json.at("measured").get<bool>();
  info.times.one_picture = json.at("one_picture").get<bool>();
  info.times.cut_off = json.at("cut_off").get<bool>();
  return info;
}

// Pictures that are one in a row travel once: the sizes of each that travels, and how often it comes.
Json picture_sizes(const std::vector<Picture>& pictures) {
  Json out = Json::array();
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (i > 0 && pictures[i].shares(pictures[i - 1]))
      out.back()[2] = out.back()[2].get<int64_t>() + 1;
    else
      out.push_back({pictures[i].height_px(), pictures[i].width_px(), 1});
  }
  return out;
}

// Takes what another process tells of its answer out of its payload.
class PayloadReader {
 public:
  explicit PayloadReader(const std::string& payload) : payload_(payload) {}

  void copy(void* target, size_t count) {
    if (count > payload_.size() - at_) fail_damaged();
    // Not memcpy(): where nothing is copied, the target may be null.
    std::copy_n(payload_.data() + at_, count, static_cast<char*>(target));
    at_ += count;
  }
  std::vector<float> waveform(const Json& size) {
    const auto count = size.get<size_t>();
    if (count > payload_.size() / sizeof(float)) fail_damaged();
    std::vector<float> out(count);
    copy(out.data(), count * sizeof(float));
    return out;
  }
  std::vector<Picture> pictures(const Json& sizes) {
    constexpr int64_t kMostPictures = 4096, kMostPixels = 1 << 16;  // of a side
    std::vector<Picture> out;
    for (const Json& size : sizes) {
      const auto height = size.at(0).get<int64_t>(), width = size.at(1).get<int64_t>(),
                 count = size.at(2).get<int64_t>();
      const bool is_possible = height >= 1 && height <= kMostPixels && width >= 1 && width <= kMostPixels &&
                               count >= 1 && count <= kMostPictures - static_cast<int64_t>(out.size()) &&
                               3 * height * width <= static_cast<int64_t>(payload_.size() - at_);
      if (!is_possible) fail_damaged();
      Picture picture(height, width);
      copy(picture.pixels(), static_cast<size_t>(picture.num_bytes()));
      out.insert(out.end(), static_cast<size_t>(count), picture);
    }
    return out;
  }
  std::string rest() const { return payload_.substr(at_); }

 private:
  const std::string& payload_;
  size_t at_ = 0;
};

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
  const Json json = {{"error", answer.error},
                     {"info", to_json(answer.info)},
                     {"waveform", answer.waveform.size()},
                     {"has_gaps", answer.has_gaps},
                     {"pictures", picture_sizes(answer.pictures)},
                     {"content_type", answer.content_type},
                     {"freedoms", answer.freedoms}};
  const std::string header = to_text(json);
  std::vector<std::string_view> parts = {
      {reinterpret_cast<const char*>(answer.waveform.data()), answer.waveform.size() * sizeof(float)}};
  for (size_t i = 0; i < answer.pictures.size(); ++i)
    if (i == 0 || !answer.pictures[i].shares(answer.pictures[i - 1]))
      parts.emplace_back(reinterpret_cast<const char*>(answer.pictures[i].pixels()),
                         static_cast<size_t>(answer.pictures[i].num_bytes()));
  parts.emplace_back(answer.bytes);
  MessageSizes sizes{.header = header.size(), .payload = 0};
  for (const std::string_view part : parts) sizes.payload += part.size();
  send_all(socket, &sizes, sizeof(sizes));
  send_all(socket, header.data(), header.size());
  for (const std::string_view part : parts) send_all(socket, part.data(), part.size());
}

DecodeAnswer receive_answer(int socket, double deadline_seconds) {
  std::optional<Clock::time_point> deadline;
  if (deadline_seconds > 0)
    deadline = Clock::now() +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(deadline_seconds));
  MessageSizes sizes;
  receive_all(socket, &sizes, sizeof(sizes), deadline);
  if (sizes.header > kMaxHeaderBytes || sizes.payload > kMaxAnswerBytes) fail_damaged();
  std::string header(sizes.header, '\0'), payload(sizes.payload, '\0');
  receive_all(socket, header.data(), header.size(), deadline);
  receive_all(socket, payload.data(), payload.size(), deadline);
  const Json json = parse_json(header, "the decoder's answer");
  DecodeAnswer out;
  try {
    out.error = json.at("error").get<std::string>();
    out.content_type = json.at("content_type").get<std::string>();
    out.freedoms = json.at("freedoms").get<std::string>();
    out.info = media_info(json.at("info"));
    out.has_gaps = json.at("has_gaps").get<bool>();
    PayloadReader reader(payload);
    out.waveform = reader.waveform(json.at("waveform"));
    out.pictures = reader.pictures(json.at("pictures"));
    out.bytes = reader.rest();
  } catch (const Json::exception&) {
    fail_damaged();
  }
  return out;
}

}  // namespace cavmae
