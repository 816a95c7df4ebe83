#include "cavmae/data/once_log.h"

namespace cavmae {

void OnceLog::warn(const std::string& source, const std::string& what) {
  if (!log_) return;
  const std::lock_guard lock(mutex_);
  if (said_.size() > kMostLines || !said_.insert(source + "\n" + what).second) return;
  if (said_.size() <= kMostLines)
    log_->warn("{}: {}", source, what);
  else
    log_->warn("more such warnings about clips are left out");
}

}  // namespace cavmae
