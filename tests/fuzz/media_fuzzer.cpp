// A media file: what it holds, then one window of it as a model is fed, then the same bytes as a picture.
// FFmpeg itself is not compiled for fuzzing; the inputs drive what the program makes of what comes out of it.
#include <cstdint>

#include "cavmae/core/time_limit.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/media_files.h"
#include "cavmae/media/media_reader.h"

#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace cavmae;

InputSpec small_window() {
  InputSpec spec;
  spec.window_seconds = 1.0;
  spec.num_fbank_frames = 96;
  spec.num_mel_bins = 32;
  spec.image_size = 32;
  spec.num_frames = 3;
  return spec;
}

void read_clip(const ClipReader& reader, const MediaSource& source) {
  const ViewOptions view{.frames = FrameChoice::all};
  fuzz::expect_own_errors(source.name(), [&] {
    const Sample sample = reader.read(clip_of_file(source), view, Need::any, 0);
    if (!sample.audio.defined() && !sample.video.defined()) fuzz::fail("a clip without anything");
    for (const torch::Tensor& side : {sample.audio, sample.video})
      if (side.defined() && !side.isfinite().all().item<bool>()) fuzz::fail("a clip with infinite numbers");
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ClipReader reader(small_window());
  const TimeLimit limit(10.0);  // few bytes may stand for hours of large pictures
  const auto bytes = std::make_shared<const std::string>(fuzz::text_of(data, size));
  const MediaSource media = media_in_memory(bytes, "input.bin");
  fuzz::expect_own_errors("input.bin", [&] { probe_media(media); });
  read_clip(reader, media);
  read_clip(reader, media_in_memory(bytes, "input.jpg"));
  return 0;
}
