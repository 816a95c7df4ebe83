// cavmae-decode: decodes one file after another for 'cavmae serve', which hands them over as open descriptors
// through the socket that is descriptor 3. Started by hand it does nothing.
#include <cstdio>
#include <exception>

#include <sys/socket.h>
#include <unistd.h>

#include "cavmae/decode/confinement.h"
#include "cavmae/decode/decode.h"

namespace {

constexpr int kSocket = 3;
constexpr int kExitUsage = 2;

bool is_socket(int descriptor) {
  int type = 0;
  socklen_t size = sizeof(type);
  return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

void serve_decoding() {
  using namespace cavmae;
  FileDecoder decoder;
  confine_process();
  while (const auto received = receive_job(kSocket)) {
    send_answer(kSocket, decoder.decode(received->job, received->descriptors));
    for (const int descriptor : received->descriptors) ::close(descriptor);
  }
}

}  // namespace

int main() {
  if (!is_socket(kSocket)) {
    std::fprintf(stderr, "cavmae-decode: is started by 'cavmae serve'\n");
    return kExitUsage;
  }
  ::close_range(kSocket + 1, ~0u, 0);
  try {
    serve_decoding();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cavmae-decode: %s\n", e.what());
    return 1;
  }
  return 0;
}
