// The files about classes: the label file, and those that enhance-labels and --sample-weights take.
#include <algorithm>
#include <cstdint>

#include "cavmae/data/enhancement.h"
#include "cavmae/data/labels.h"
#include "cavmae/data/sample_weights.h"

#include "tests/fuzz/fuzz_input.h"

namespace {

using namespace cavmae;

void read_label_file(const fuzz::InputFolder& folder, std::string_view text) {
  const auto path = folder.write("input.csv", text);
  fuzz::expect_own_errors("input.csv", [&] {
    const LabelSet set = read_label_csv(path);
    const auto copy = folder.path() / "copy.csv";
    write_label_csv(copy, set);
    const LabelSet again = read_label_csv(copy);
    if (set.size() != again.size()) fuzz::fail("a label file changes its size when it is written");
    for (int64_t i = 0; i < set.size(); ++i) {
      if (set[i].mid != again[i].mid || set[i].display_name != again[i].display_name)
        fuzz::fail("a label changes when it is written");
      if (set.find(set[i].mid) != i) fuzz::fail("a class is not found by its mid");
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::InputFolder folder;
  static const LabelSet classes({{"/m/1", "Bird"}, {"/m/2", "Bird, singing"}, {"/m/3", "Rain"}}, "classes");
  const std::string_view text = fuzz::text_of(data, size);
  read_label_file(folder, text);
  fuzz::expect_own_errors("input.csv", [&] { read_teacher_scores(folder.path() / "input.csv", classes); });
  const auto json = folder.write("input.json", text);
  fuzz::expect_own_errors("input.json", [&] { read_teacher_scores(json, classes); });
  fuzz::expect_own_errors("input.json", [&] { Taxonomy::read(json).above("/m/1"); });
  const auto lines = static_cast<int64_t>(std::count(text.begin(), text.end(), '\n'));
  fuzz::expect_own_errors("input.csv", [&] { read_sample_weights(folder.path() / "input.csv", lines); });
  return 0;
}
