#include "cavmae/eval/stats.h"

#include <algorithm>
#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/core/progress.h"

namespace cavmae {

FbankStats compute_fbank_stats(std::vector<ClipSource> clips, const InputSpec& spec,
                               const StatsOptions& options, std::shared_ptr<Log> log) {
  InputSpec plain = spec;
  plain.fbank_mean = 0.0;
  plain.fbank_std = 1.0;
  const auto total_clips = static_cast<int64_t>(clips.size());
  Progress progress({.title = "measuring", .total = total_clips, .quiet = !options.show_progress});
  Loader loader(std::move(clips), std::make_shared<const ClipReader>(plain, options.cache_dir, log),
                ViewOptions{.window_start = options.window_start}, Need::audio, options.loader, log);
  loader.start_epoch({.shuffle = false, .drop_last = false});
  FbankStats stats;
  double num_cells = 0.0, sum_of_squares = 0.0;  // of deviations from the mean so far
  while (const auto batch = loader.next()) {
    // Chan et al. 1979: two parts' means and sums of squares joined, without cancellation.
    const torch::Tensor cells = batch->audio.to(torch::kFloat64);
    const double n = static_cast<double>(cells.numel()), mean = cells.mean().item<double>();
    const double shift = mean - stats.mean, total = num_cells + n;
    sum_of_squares += (cells - mean).square_().sum().item<double>() + shift * shift * num_cells * n / total;
    stats.mean += shift * n / total;
    num_cells = total;
    stats.num_clips += static_cast<int64_t>(batch->indices.size());
    progress.update(stats.num_clips);
  }
  progress.update(total_clips);  // with those that could not be read
  progress.finish();
  CAVMAE_CHECK_AS(DataError, stats.num_clips > 0,
                  "no clip's sound can be read, so there is nothing to measure");
  stats.std = std::sqrt(sum_of_squares / std::max(1.0, num_cells - 1.0));
  stats.bad_clips = loader.bad_clips();
  return stats;
}

}  // namespace cavmae
