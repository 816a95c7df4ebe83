// The figure of `cavmae localize`: heat maps over pictures and spectrogram. Free functions; safe from several
// threads.
#pragma once

#include <string>
#include <vector>

#include "cavmae/core/torch.h"
#include "cavmae/eval/localization.h"

namespace cavmae {

struct LocalizationFigure {
  std::string title;
  std::vector<torch::Tensor> pictures;  // uint8 [S, S, 3] each, K
  std::vector<torch::Tensor> fbanks;    // float [t, F] each, t <= T: without padding; L, as Localization has
  int64_t num_fbank_frames = 0;         // T
  Localization found;
};

// uint8 [H, W, 3]
torch::Tensor draw_localization(const LocalizationFigure& figure);

}  // namespace cavmae
