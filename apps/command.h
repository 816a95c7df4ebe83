// What the subcommands share: how they are registered, the global flags, and flags made from option structs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cavmae/core/log.h"
#include "cavmae/core/options.h"

namespace cavmae::apps {

// Flags that every subcommand has.
struct GlobalOptions {
  bool quiet = false;
  bool verbose = false;
  int64_t threads = 0;  // 0: every usable core

  Verbosity verbosity() const {
    return quiet ? Verbosity::quiet : verbose ? Verbosity::debug : Verbosity::normal;
  }
};

constexpr int kExitInterrupted = 130;  // as a shell reports Ctrl-C

// A subcommand sets `action` when it was chosen; main() runs it after the whole command line has been read.
// The result is the exit code.
struct Program {
  CLI::App root;
  GlobalOptions global;
  std::function<int()> action;
};

void add_synth(Program& program);
void add_pretrain(Program& program);
void add_finetune(Program& program);
void add_retrieve(Program& program);
void add_classify(Program& program);
void add_evaluate(Program& program);
void add_embed(Program& program);
void add_info(Program& program);
void add_bench(Program& program);
void add_stats(Program& program);
void add_report(Program& program);
void add_convert(Program& program);
void add_inpaint(Program& program);
void add_localize(Program& program);
void add_weights(Program& program);
void add_enhance_labels(Program& program);
void add_ablate(Program& program);

// "mask_ratio_audio" -> "--mask-ratio-audio"
std::string flag_name(const std::string& option);

// Every leaf of an option struct as a flag. The texts are kept and applied later, so that default <
// configuration file < flag holds. Leaves named in `hidden` get no flag.
class OptionFlags {
 public:
  template <OptionStruct T>
  void add(CLI::App& app, const T& defaults, const std::string& group,
           const std::vector<std::string>& hidden = {}) {
    for (const OptionLeaf& leaf : option_leaves(defaults)) {
      if (std::find(hidden.begin(), hidden.end(), leaf.name) == hidden.end()) add_leaf(app, leaf, group);
    }
  }

  // Sets what the user gave. Throws ConfigError naming the flag.
  template <OptionStruct T>
  void apply(T& options) const {
    for (const auto& [name, text] : texts_)
      if (*text) set_option(options, name, **text);
  }

 private:
  void add_leaf(CLI::App& app, const OptionLeaf& leaf, const std::string& group);

  std::map<std::string, std::shared_ptr<std::optional<std::string>>> texts_;
};

// The flag --json FILE of every measuring command.
void add_json_flag(CLI::App& app, std::filesystem::path& file);
// Writes `value` when a file was asked for ("-": standard output).
void write_json_result(const std::filesystem::path& file, const Json& value);

}  // namespace cavmae::apps
