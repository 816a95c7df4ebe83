// A reader that stays open from one part of a source to the next, and is opened anew where it fails, so that
// damage in one place does not take what lies behind it. Private to this folder; one owner.
#pragma once

#include <memory>
#include <string>

#include "cavmae/core/error.h"

namespace cavmae {

template <class Reader>
class SequenceOf {
 public:
  // open() makes a reader, ask(reader) asks it for the next part. Throws MediaError when a reader of its own
  // for this part cannot read it either.
  template <class Open, class Ask>
  auto read(const Open& open, const Ask& ask) {
    if (reader_) {
      try {
        return ask(*reader_);
      } catch (const MediaError&) {
        reader_.reset();  // it may have reached an end that is none, or be out of step
      }
    }
    if (num_failed_ >= kMaxFailed)
      throw MediaError(concat("not tried, after ", num_failed_,
                              " parts in a row that could not be read; the last one: ", why_));
    try {
      reader_ = open();
      auto part = ask(*reader_);
      num_failed_ = 0;
      return part;
    } catch (const MediaError& e) {
      reader_.reset();
      ++num_failed_;
      why_ = e.what();
      throw;
    }
  }

 private:
  static constexpr int kMaxFailed = 32;  // in a row; each may read the source from its beginning

  std::unique_ptr<Reader> reader_;
  int num_failed_ = 0;
  std::string why_;  // the last one failed
};

}  // namespace cavmae
