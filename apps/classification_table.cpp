#include "apps/classification_table.h"

#include <fmt/format.h>

namespace cavmae::apps {

void print_classification(const ClassificationResult& result) {
  fmt::print("mAP {:.2f} %, mAUC {:.4f}, d' {:.3f}, top-1 {:.2f} %, top-5 {:.2f} %\n",
             100 * result.mean_average_precision, result.mean_auc, result.d_prime, 100 * result.top1,
             100 * result.top5);
  fmt::print("{} clips, {} classes", result.clips, result.classes.size());
  if (!result.without_positive.empty())
    fmt::print(", {} of them without a clip and in no mean", result.without_positive.size());
  fmt::print("\n");
}

}  // namespace cavmae::apps
