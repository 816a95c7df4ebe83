#include "cavmae/report/typeface.h"

#include <vector>

#include <ft2build.h>
#include FT_FREETYPE_H

#include "cavmae/core/error.h"
#include "cavmae/report/assets.h"

namespace cavmae {
namespace {

constexpr char32_t kUnknownLetter = 0xFFFD;
constexpr int kFixedPoint = 64;  // FreeType's positions are in 1/64 of a pixel

// The letters of UTF-8; a byte that begins no letter, or a letter cut short, is one replacement.
std::vector<char32_t> decode_utf8(std::string_view text) {
  std::vector<char32_t> letters;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80   ? 1
                          : first < 0xC2 ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF5 ? 4
                                         : 0;
    char32_t letter = length == 1 ? first : first & (0x7Fu >> length);
    bool whole = length > 0 && i + length <= text.size();
    for (size_t k = 1; whole && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      whole = (next & 0xC0) == 0x80;
      letter = letter << 6 | (next & 0x3Fu);
    }
    letters.push_back(whole ? letter : kUnknownLetter);
    i += whole ? length : 1;
  }
  return letters;
}

// Blends a glyph's coverage into the picture with its top left corner at (left, top).
void blend(torch::Tensor& image, const FT_Bitmap& glyph, int64_t left, int64_t top, const TextStyle& style) {
  const int64_t height = image.size(0), width = image.size(1);
  auto* pixels = image.data_ptr<uint8_t>();
  for (int64_t y = 0; y < glyph.rows; ++y) {
    if (top + y < 0 || top + y >= height) continue;
    for (int64_t x = 0; x < glyph.width; ++x) {
      if (left + x < 0 || left + x >= width) continue;
      const int coverage = glyph.buffer[y * glyph.pitch + x];
      uint8_t* pixel = pixels + ((top + y) * width + left + x) * 3;
      for (size_t c = 0; c < 3; ++c)
        pixel[c] =
            static_cast<uint8_t>((pixel[c] * (255 - coverage) + style.colour[c] * coverage + 127) / 255);
    }
  }
}

}  // namespace

struct Typeface::Library {
  FT_Library library = nullptr;
  FT_Face face = nullptr;

  Library() {
    const std::string_view font = text_font();
    const bool ready = FT_Init_FreeType(&library) == 0 &&
                       FT_New_Memory_Face(library, reinterpret_cast<const FT_Byte*>(font.data()),
                                          static_cast<FT_Long>(font.size()), 0, &face) == 0;
    CAVMAE_CHECK(ready, "the font for captions cannot be used");
  }
  ~Library() {
    if (face != nullptr) FT_Done_Face(face);
    if (library != nullptr) FT_Done_FreeType(library);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  // Calls use(glyph, x) for each letter, x the pen's place in 1/64 pixel; returns where the pen ends.
  template <class Use>
  FT_Pos walk(std::string_view text, int64_t size_px, FT_Int32 flags, const Use& use) {
    FT_Set_Pixel_Sizes(face, 0, static_cast<FT_UInt>(size_px));
    FT_Pos pen = 0;
    FT_UInt last = 0;
    for (const char32_t letter : decode_utf8(text)) {
      const FT_UInt index = FT_Get_Char_Index(face, letter);
      FT_Vector kerning{};
      if (last != 0) FT_Get_Kerning(face, last, index, FT_KERNING_DEFAULT, &kerning);
      if (FT_Load_Glyph(face, index, flags) != 0) continue;
      pen += kerning.x;
      use(*face->glyph, pen);
      pen += face->glyph->advance.x;
      last = index;
    }
    return pen;
  }
};

Typeface::Typeface() : library_(std::make_unique<Library>()) {}

Typeface::~Typeface() = default;

int64_t Typeface::width_px(std::string_view text, int64_t size_px) {
  const auto nothing = [](const FT_GlyphSlotRec_&, FT_Pos) {};
  return (library_->walk(text, size_px, FT_LOAD_DEFAULT, nothing) + kFixedPoint - 1) / kFixedPoint;
}

void Typeface::draw(torch::Tensor& image, std::string_view text, const TextPlace& place,
                    const TextStyle& style) {
  CAVMAE_CHECK(
      image.dim() == 3 && image.size(2) == 3 && image.scalar_type() == torch::kUInt8 && image.is_contiguous(),
      "text is drawn into a contiguous uint8 [H, W, 3], not ", image.scalar_type(), " ", image.sizes());
  int64_t x = place.x;
  if (style.anchor != TextAnchor::left) {
    const int64_t width = width_px(text, style.size_px);
    x -= style.anchor == TextAnchor::middle ? width / 2 : width;
  }
  library_->walk(text, style.size_px, FT_LOAD_RENDER, [&](const FT_GlyphSlotRec_& glyph, FT_Pos pen) {
    const int64_t left = x + (pen + kFixedPoint / 2) / kFixedPoint + glyph.bitmap_left;
    blend(image, glyph.bitmap, left, place.baseline - glyph.bitmap_top, style);
  });
}

}  // namespace cavmae
