// What a network of a given shape is fed. A free function.
#pragma once

#include "cavmae/features/input_spec.h"
#include "cavmae/models/cav_mae_config.h"

namespace cavmae {

// `rest` with the network's own filterbank and picture sizes.
inline InputSpec input_spec(const CavMaeConfig& model, InputSpec rest = {}) {
  rest.num_fbank_frames = model.num_fbank_frames;
  rest.audio_window_frames = model.audio_window_frames;
  rest.num_mel_bins = model.num_mel_bins;
  rest.image_size = model.image_size;
  return rest;
}

}  // namespace cavmae
