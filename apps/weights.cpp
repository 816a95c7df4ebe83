// cavmae weights: how often each clip is drawn so that rare classes are heard as often as common ones.
#include <algorithm>

#include <fmt/format.h>

#include "cavmae/data/sample_weights.h"

#include "apps/list_flags.h"

namespace cavmae::apps {
namespace {

struct WeightsFlags {
  std::vector<std::filesystem::path> data;
  std::filesystem::path labels, out, json;
  ListFlags lists;
};

int run(const WeightsFlags& flags, const GlobalOptions& global) {
  auto log = make_log(global.verbosity());
  LabelSet set;
  if (!flags.labels.empty()) set = read_label_csv(flags.labels);
  const auto clips =
      read_clip_sources(flags.data, *log, flags.lists.options(), flags.labels.empty() ? nullptr : &set);
  if (flags.labels.empty()) set = labels_of_clips(clips);
  const auto classes = classes_of_clips(clips, set, {.empty_classes = EmptyClasses::allowed});
  const auto weights = balancing_weights(classes, set.size());
  write_sample_weights(flags.out, weights);
  const auto [least, most] = std::ranges::minmax(weights);
  if (flags.json != "-")
    fmt::print("{} weights, {:.4g} to {:.4g}, for {} classes in {}\n", weights.size(), least, most,
               set.size(), flags.out.string());
  write_json_result(flags.json, {{"clips", weights.size()},
                                 {"classes", set.size()},
                                 {"smallest", least},
                                 {"largest", most},
                                 {"file", flags.out.string()}});
  return 0;
}

}  // namespace

void add_weights(CLI::App& app, Program& program) {
  describe(
      app,
      "A weight a clip, one a line in the order of --data: the sum over its labels of 1000 / (clips of the label + 0.01).\n"
      "Clips drawn by these weights show every class about equally often.");
  auto flags = std::make_shared<WeightsFlags>();
  app.add_option("--data", flags->data, "clips with labels; may be given several times")
      ->required()
      ->type_name("PATH");
  app.add_option("--labels", flags->labels,
                 "label file with index, mid, display_name [the clips' own labels]")
      ->type_name("FILE");
  app.add_option("--out", flags->out, "file that receives the weights")
      ->required()
      ->type_name("FILE")
      ->check(writable_file());
  flags->lists.add(app);
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
