// What draws and charts in a build without the media libraries (cmake/Media.cmake), where no report is
// written.
#include "cavmae/core/error.h"
#include "cavmae/report/assets.h"
#include "cavmae/report/typeface.h"

namespace cavmae {
namespace {

[[noreturn]] void no_typeface() {
  throw MediaError(
      "this cavmae was built without media libraries (CAVMAE_MEDIA=OFF) and draws no pictures and "
      "reports; copy the run to a machine whose cavmae has them, and run 'cavmae report' there");
}

}  // namespace

std::string_view chart_js() {
  no_typeface();
}

struct Typeface::Library {};

Typeface::Typeface() {
  no_typeface();
}

Typeface::~Typeface() = default;

int64_t Typeface::width_px(std::string_view /*text*/, int64_t /*size_px*/) {
  return 0;
}

void Typeface::draw(torch::Tensor& /*image*/, std::string_view /*text*/, const TextPlace& /*place*/,
                    const TextStyle& /*style*/) {}

}  // namespace cavmae
