// A network's products and attention on emulated tiles, for as long as this lives: what a processor with AMX
// computes, bit for bit (isa/emulated_tiles.h).
#pragma once

#include "cavmae/kernels/engines.h"

namespace cavmae::testing_support {

class OnEmulatedTiles {
 public:
  OnEmulatedTiles() {
    kernels::use_engines(
        "forward=emulated_tiles,dgrad=emulated_tiles,wgrad=emulated_tiles,attention=emulated_tiles",
        kernels::Element::bf16);
  }
  ~OnEmulatedTiles() { kernels::use_engines("", kernels::Element::bf16); }
  OnEmulatedTiles(const OnEmulatedTiles&) = delete;
  OnEmulatedTiles& operator=(const OnEmulatedTiles&) = delete;
};

}  // namespace cavmae::testing_support
