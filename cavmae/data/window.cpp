#include "cavmae/data/window.h"

#include <algorithm>
#include <cmath>

#include "cavmae/core/error.h"

namespace cavmae {

int64_t num_fixed_windows(double file_seconds, double window_seconds) {
  constexpr int64_t kMaxOnASide = 4;
  const double slack = std::max(0.0, file_seconds - window_seconds);
  return 1 + 2 * std::min(kMaxOnASide, static_cast<int64_t>(std::floor(std::min(slack, 1e6))));
}

ClipWindow choose_window(const WindowRequest& request, Random& random) {
  const bool known = request.file_seconds > 0;
  const double begin = known ? request.begin_seconds : 0.0;
  const double file = known ? request.file_seconds : request.window_seconds;
  if (request.pinned_start) {
    const double start = *request.pinned_start;
    CAVMAE_CHECK_AS(MediaError, !known || start < file, "the window is to start at ", start,
                    " s, but what is wanted of the file ends at ", file, " s");
    const double left = known ? file - start : request.window_seconds;
    return {.start_seconds = start, .length_seconds = std::min(left, request.window_seconds)};
  }
  const double slack = std::max(0.0, file - begin - request.window_seconds);
  double share = 0.5;
  if (request.place == WindowPlace::random) {
    share = random.uniform();
  } else if (request.place == WindowPlace::random_of_few) {
    const int64_t last = num_fixed_windows(file - begin, request.window_seconds) - 1;
    if (last > 0) share = static_cast<double>(random.integer(0, last)) / static_cast<double>(last);
  }
  return {.start_seconds = begin + slack * share,
          .length_seconds = std::min(file - begin, request.window_seconds)};
}

}  // namespace cavmae
