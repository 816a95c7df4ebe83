// What the subcommands share: how they are registered, the global flags, and flags made from option structs.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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

// Each adds a command's flags and, as the callback, what runs it.
void add_synth(CLI::App& app, Program& program);
void add_pretrain(CLI::App& app, Program& program);
void add_finetune(CLI::App& app, Program& program);
void add_retrieve(CLI::App& app, Program& program);
void add_classify(CLI::App& app, Program& program);
void add_evaluate(CLI::App& app, Program& program);
void add_embed(CLI::App& app, Program& program);
void add_info(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_pack(CLI::App& app, Program& program);
void add_stats(CLI::App& app, Program& program);
void add_report(CLI::App& app, Program& program);
void add_convert(CLI::App& app, Program& program);
void add_inpaint(CLI::App& app, Program& program);
void add_localize(CLI::App& app, Program& program);
void add_weights(CLI::App& app, Program& program);
void add_enhance_labels(CLI::App& app, Program& program);
void add_ablate(CLI::App& app, Program& program);
void add_index(CLI::App& app, Program& program);
void add_search(CLI::App& app, Program& program);
void add_serve(CLI::App& app, Program& program);

// Sets a command's help: its line of the table (commands.h), `details`, and examples, of which the table's is
// the first.
void describe(CLI::App& app, const std::string& details, const std::vector<std::string>& more_examples = {});

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

  // The options that the user gave a flag for.
  std::set<std::string> given() const;

  // Older names of an option's flag and of one of its values, which still work and no help shows.
  void add_alias(CLI::App& app, const std::string& option, const std::string& old_flag);
  // See let_stand_alone(); with --no- it says "none".
  void add_word_flag(CLI::App& app, const std::string& option, const std::vector<std::string>& words);
  void add_value_alias(const std::string& option, const std::string& old_value, const std::string& value);

  // Sets what the user gave. Throws ConfigError naming the flag.
  template <OptionStruct T>
  void apply(T& options) const {
    for (const auto& [name, text] : texts_)
      if (*text) set_option(options, name, todays_value(name, **text));
  }

 private:
  void add_leaf(CLI::App& app, const OptionLeaf& leaf, const std::string& group);
  std::string todays_value(const std::string& option, const std::string& text) const;

  std::map<std::string, std::shared_ptr<std::optional<std::string>>> texts_;
  std::map<std::string, std::pair<std::string, std::string>> value_aliases_;  // option -> {old, new}
};

// For a flag that names a file which is written when the work is done: that it can be is checked before. "-"
// is standard output.
CLI::Validator writable_file();

// Lets a flag stand alone that takes one of `words`, which then says the first; with --no- before its name it
// calls `refuse`.
void let_stand_alone(CLI::App& app, CLI::Option& option, const std::vector<std::string>& words,
                     const std::function<void()>& refuse);
// The command line with '=' between flags that may stand alone and their value: the parser would take any
// word after one of them for it, such as a file's name.
std::vector<std::string> with_values_joined(CLI::App& root, const std::vector<std::string>& words);

// The flag --json FILE of every measuring command.
void add_json_flag(CLI::App& app, std::filesystem::path& file);
// Writes `value` when a file was asked for ("-": standard output).
void write_json_result(const std::filesystem::path& file, const Json& value);

}  // namespace cavmae::apps
