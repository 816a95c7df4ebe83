#include "cavmae/core/beta_distribution.h"

#include <cmath>

#include "cavmae/core/error.h"

namespace cavmae {

double draw_gamma(Random& random, double shape) {
  CAVMAE_CHECK(shape > 0 && std::isfinite(shape), "the shape of a gamma distribution is ", shape,
               "; it must be above 0");
  // A shape below 1 is drawn one higher and shrunk. 1 - u keeps powers and logarithms away from zero.
  if (shape < 1.0) {
    const double larger = draw_gamma(random, shape + 1.0);
    return larger * std::pow(1.0 - random.uniform(), 1.0 / shape);
  }
  // Marsaglia and Tsang, 2000: d * v is accepted by its density against that of a normal x.
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = random.normal(), root = 1.0 + c * x, v = root * root * root;
    const double u = 1.0 - random.uniform();
    if (root > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double draw_beta(Random& random, double a, double b) {
  const double x = draw_gamma(random, a), y = draw_gamma(random, b);
  return x + y > 0 ? x / (x + y) : 0.5;  // both vanish for tiny a and b only
}

}  // namespace cavmae
