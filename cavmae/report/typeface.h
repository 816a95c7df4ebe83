// Text in pictures: FreeType with the font that the program carries in itself. One owner.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "cavmae/core/torch.h"

namespace cavmae {

enum class TextAnchor { left, middle, right };

struct TextStyle {
  int64_t size_px = 14;
  std::array<uint8_t, 3> colour = {30, 32, 38};  // red, green, blue
  TextAnchor anchor = TextAnchor::left;
};

// Where a text stands: its left end, middle or right end on the baseline.
struct TextPlace {
  int64_t x = 0, baseline = 0;
};

class Typeface {
 public:
  Typeface();
  ~Typeface();

  // UTF-8; what is not, and what the font lacks, becomes a box.
  int64_t width_px(std::string_view text, int64_t size_px);
  // image: uint8 [H, W, 3], changed; what lies outside is left out.
  void draw(torch::Tensor& image, std::string_view text, const TextPlace& place, const TextStyle& style);

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace cavmae
