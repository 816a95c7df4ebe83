// Several labels that a list gives as one text, such as a cell of a table: where it is cut. Immutable; safe
// from several threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

class LabelSet;

class LabelCut {
 public:
  // What was done to a text.
  enum class Outcome {
    one,             // nothing in it looks like several
    one_with_comma,  // a comma before a space was taken for a part of the name
    one_with_bar,    // likewise a '|'
    parted,
  };
  struct Result {
    std::vector<std::string> labels;
    Outcome outcome = Outcome::one;
  };

  // `separator`: "auto", "none", "comma", "semicolon", "tab", "space", or any other text, which is the
  // separator itself. `classes` may be null; else it outlives this. Throws ConfigError when the separator is
  // empty.
  LabelCut(const std::string& separator, const LabelSet* classes);

  // A text that is a class is one label. Otherwise it is cut at the separator; "auto" cuts at semicolons and
  // commas, and leaves a comma whole that stands within a class or, where the classes are not known, before a
  // space, as in AudioSet's and VGGSound's names ("donkey, ass braying").
  Result cut(std::string_view text) const;

  // Whether what cut() did is a guess that a user should hear of: "auto" without classes.
  bool is_guess() const { return guesses_ && classes_ == nullptr; }
  // Whether the text is one of the classes, where they are known.
  bool is_class(std::string_view text) const;

 private:
  std::vector<std::string> cut_by_classes(std::string_view text) const;
  Result cut_by_guess(std::string_view text) const;

  bool guesses_ = false, never_ = false;
  std::string separator_;
  const LabelSet* classes_;
};

}  // namespace cavmae
