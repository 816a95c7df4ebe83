// Names what a stretch of code works on ("decoder", "attention"), for a RangeTimer that may listen on this
// thread. When none listens a range costs a few nanoseconds. Ranges nest; any thread may open them.
#pragma once

#include <ATen/record_function.h>

namespace cavmae {

class ProfileRange {
 public:
  // `name` is a literal: it must outlive the timer.
  explicit ProfileRange(const char* name) : record_(at::RecordScope::USER_SCOPE) {
    if (record_.isActive()) record_.before(name);
  }
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

 private:
  at::RecordFunction record_;
};

}  // namespace cavmae
