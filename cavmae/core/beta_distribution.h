// Draws from the gamma and the beta distribution, the same on every platform. Free functions; the caller's
// Random decides everything.
#pragma once

#include "cavmae/core/random.h"

namespace cavmae {

double draw_gamma(Random& random, double shape);       // scale 1; shape > 0
double draw_beta(Random& random, double a, double b);  // in [0, 1]; a, b > 0

}  // namespace cavmae
