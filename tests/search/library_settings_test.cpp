// What a library keeps of its model, so that later commands need not be told again.
#include "cavmae/search/library_settings.h"

#include <gtest/gtest.h>

#include "tests/support/sync_golden.h"

namespace cavmae {
namespace {

// A .pth states neither its heads nor its segments: what was given when the library was made holds for it.
TEST(LibrarySettings, LoadTheCheckpointAsItWasLoaded) {
  const auto file = testing_support::sync_golden_path("sync_pretrain.pth");
  for (const int64_t window_frames : {0, 64}) {
    LoadOptions given;
    given.head = HeadUse::leave_out;
    given.decoder = DecoderUse::none;
    given.hints = {.num_heads = 3, .audio_window_frames = window_frames};
    given.shape = {.window_seconds = 1.0, .fbank_mean = -4.0, .fbank_std = 3.0};
    const Pretrained model = load_pretrained(file, given);
    EXPECT_EQ(model.spec.audio_window_frames, window_frames);
    const LibrarySettings settings =
        settings_from_json(to_json({.model = library_model(model)}), "library.json");
    const Pretrained again = load_pretrained(settings.model.path, load_options(settings.model));
    EXPECT_EQ(again.network()->config().num_heads, 3);
    EXPECT_EQ(again.spec, model.spec) << window_frames;
    EXPECT_NO_THROW(check_same_model("library", settings, library_model(again)));
  }
}

}  // namespace
}  // namespace cavmae
