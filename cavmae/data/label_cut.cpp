#include "cavmae/data/label_cut.h"

#include <algorithm>
#include <map>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/labels.h"

namespace cavmae {
namespace {

constexpr std::string_view kParting = ",;";
constexpr size_t kMostPartings = 16;  // within the name of a class

void add(std::vector<std::string>& labels, std::string_view part) {
  if (const auto word = trim(part); !word.empty()) labels.emplace_back(word);
}

std::vector<std::string> cut_at(std::string_view text, std::string_view separator) {
  std::vector<std::string> labels;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    add(labels, text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return labels;
}

std::string separator_called(const std::string& word) {
  static const std::map<std::string, std::string> kNames = {
      {"comma", ","}, {"semicolon", ";"}, {"tab", "\t"}, {"\\t", "\t"}, {"space", " "}};
  const auto found = kNames.find(word);
  return found == kNames.end() ? word : found->second;
}

}  // namespace

LabelCut::LabelCut(const std::string& separator, const LabelSet* classes)
    : guesses_(separator == "auto"),
      never_(separator == "none"),
      separator_(separator_called(separator)),
      classes_(classes) {
  CAVMAE_CHECK_AS(
      ConfigError, !separator.empty(),
      "--label-separator is empty; give auto, none, comma, semicolon, tab, space or the separator itself");
}

bool LabelCut::is_class(std::string_view text) const {
  return classes_ != nullptr && classes_->find(std::string(text)).has_value();
}

LabelCut::Result LabelCut::cut(std::string_view text) const {
  text = trim(text);
  Result result;
  if (never_ || is_class(text)) {
    add(result.labels, text);
  } else if (!guesses_) {
    result.labels = cut_at(text, separator_);
  } else if (classes_ != nullptr) {
    result.labels = cut_by_classes(text);
  } else {
    return cut_by_guess(text);
  }
  if (result.labels.size() > 1) result.outcome = Outcome::parted;
  return result;
}

// From the left, each time the longest stretch between separators that is a class, or else up to the next
// separator.
std::vector<std::string> LabelCut::cut_by_classes(std::string_view text) const {
  std::vector<size_t> ends;
  for (size_t i = 0; i < text.size(); ++i)
    if (kParting.find(text[i]) != std::string_view::npos) ends.push_back(i);
  ends.push_back(text.size());
  std::vector<std::string> labels;
  size_t begin = 0;
  for (size_t next = 0; next < ends.size(); ++next) {
    size_t last = std::min(ends.size() - 1, next + kMostPartings);
    while (last > next && !is_class(trim(text.substr(begin, ends[last] - begin)))) --last;
    add(labels, text.substr(begin, ends[last] - begin));
    begin = std::min(text.size(), ends[last] + 1);
    next = last;
  }
  return labels;
}

LabelCut::Result LabelCut::cut_by_guess(std::string_view text) const {
  Result result;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const bool before_space = i + 1 < text.size() && text[i] == ',' && text[i + 1] == ' ';
    if (result.outcome == Outcome::one && i < text.size() && text[i] == '|')
      result.outcome = Outcome::one_with_bar;
    if (before_space) result.outcome = Outcome::one_with_comma;
    if (i < text.size() && (kParting.find(text[i]) == std::string_view::npos || before_space)) continue;
    add(result.labels, text.substr(begin, i - begin));
    begin = i + 1;
  }
  if (result.labels.size() > 1 && result.outcome != Outcome::one_with_comma) result.outcome = Outcome::parted;
  return result;
}

}  // namespace cavmae
