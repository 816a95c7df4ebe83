// The pickle of a .pth in PyTorch's older format, which has no checksums: the input is the object's pickle,
// in a file that is right otherwise and has one storage, "0", of six floats.
#include <cstdint>
#include <string>
#include <string_view>

#include "cavmae/tensorfile/pth.h"

#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace std::string_view_literals;

// The magic number, the protocol, the machine's facts.
constexpr std::string_view kBefore =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    "\x80\x02M\xe9\x03."
    "\x80\x02}(X\x0d\0\0\0little_endian\x88u."sv;
// The list of storages, then how many numbers the only one has.
constexpr std::string_view kAfter =
    "\x80\x02](X\x01\0\0\0"
    "0e.\x06\0\0\0\0\0\0\0"sv;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cavmae;
  static const fuzz::InputFolder folder;
  std::string bytes(kBefore);
  bytes += fuzz::text_of(data, size);
  bytes += kAfter;
  bytes.append(6 * sizeof(float), '\0');
  const auto path = folder.write("input.pth", bytes);
  fuzz::expect_own_errors("input.pth", [&] { inspect_pth(path); });
  fuzz::expect_own_errors("input.pth", [&] { read_pth(path); });
  return 0;
}
