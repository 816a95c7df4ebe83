// The figure of `cavmae inpaint`: original, the masked input, rebuilt. Free functions; safe from several
// threads.
#pragma once

#include <string>

#include "cavmae/core/torch.h"
#include "cavmae/eval/shown_reconstruction.h"

namespace cavmae {

enum class TargetNormalization { none, per_patch };

struct InpaintingFigure {
  std::string title;
  ShownReconstruction shown;
  MaskOptions masks;
  TargetNormalization targets = TargetNormalization::per_patch;
};

// uint8 [H, W, 3]
torch::Tensor draw_inpainting(const InpaintingFigure& figure);

// How a reconstruction was made: what was hidden, and, with normalised targets, that brightness and contrast
// are lent by the original.
std::string reconstruction_note(const ShownReconstruction& shown, const MaskOptions& masks,
                                TargetNormalization targets);

}  // namespace cavmae
