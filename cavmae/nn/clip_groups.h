// How blocks take groups of clips: Note [Groups of clips], block.h. Free functions; they ask for the engines
// in use and are safe from several threads.
#pragma once

#include <cstdint>

#include "cavmae/kernels/types.h"

namespace cavmae {

// Each has gradients of its own.
constexpr int64_t kMostSideBySide = 32;

// Whether groups of a block of this width, whose factors are `element`, go side by side: where its parameters
// are few beside the values of a batch, and its products too small for several threads.
bool groups_go_side_by_side(int64_t width, kernels::Element element);

// Values of the input of a group of such a block; 0: all clips are one group.
int64_t group_values_for(int64_t width, kernels::Element element);

}  // namespace cavmae
