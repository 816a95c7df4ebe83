// The program: reads the command line, runs one subcommand, turns errors into messages and exit codes.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>

#include "cavmae/core/secrets.h"
#include "cavmae/core/torch.h"
#include "cavmae/data/manifest.h"
#include "cavmae/data/media_files.h"
#include "cavmae/machine/machine.h"

#include "apps/command.h"
#include "apps/commands.h"
#include "apps/version.h"

namespace cavmae::apps {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFailure = 1;

void describe_program(Program& program) {
  CLI::App& root = program.root;
  root.name("cavmae");
  root.description(
      "cavmae learns from videos and their own sound without labels (CAV-MAE, Gong et al., ICLR 2023)\n"
      "and finds a picture by a sound and a sound by a picture.\n\n"
      "A first run:\n"
      "  cavmae synth    --out clips --clips 500            make videos to learn from\n"
      "  cavmae pretrain --config tiny --data clips --out run\n"
      "  cavmae retrieve --checkpoint run --data clips\n"
      "Your own videos: --data FOLDER; 'cavmae COMMAND --help' shows the rest.\n");
  root.set_version_flag("--version", std::string("cavmae ") + kVersion);
  root.require_subcommand(1);
  root.fallthrough();
  root.add_flag("--quiet,-q", program.global.quiet, "print warnings and results only")->group("Everywhere");
  root.add_flag("--verbose,-v", program.global.verbose, "print details")->group("Everywhere");
  root.add_option("--threads", program.global.threads, "threads for computing (0: every usable core)")
      ->group("Everywhere")
      ->type_name("N");
}

// The subcommand that was named on the command line, or the root.
const CLI::App& named_command(const CLI::App& root) {
  const auto chosen = root.get_subcommands();
  return chosen.empty() ? root : *chosen.front();
}

std::vector<std::string> known_flags(const CLI::App& root, const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::App* app : {&root, &command})
    for (const CLI::Option* option : app->get_options())
      if (!option->get_group().empty())  // else an older name
        for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  return flags;
}

std::vector<std::string> command_names(const CLI::App& root) {
  std::vector<std::string> names;
  for (const CLI::App* sub : root.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

std::string dash_hint(const std::string& file) {
  return concat("'", file, "' was taken for a flag; a file of this name is given as ./", file,
                " or behind --");
}

// A file whose name begins with '-', as those of many videos of YouTube's, is no flag.
void reject_files_like_flags(const CLI::App& root, int argc, char** argv) {
  std::vector<std::string> known;
  for (const CLI::App* sub : root.get_subcommands([](const CLI::App*) { return true; }))
    for (std::string& flag : known_flags(root, *sub)) known.push_back(std::move(flag));
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    const std::string word = argv[i];
    std::error_code failed;
    const bool is_flag = word == "-q" || word == "-v" || word == "-h" ||
                         std::find(known.begin(), known.end(), word) != known.end();
    if (word.size() > 1 && word[0] == '-' && !is_flag && std::filesystem::exists(word, failed))
      throw ConfigError(dash_hint(word));
  }
}

// Words that no flag or subcommand took: names the nearest known one.
void reject_extras(const CLI::App& root) {
  const CLI::App& command = named_command(root);
  auto extras = root.remaining(true);
  std::erase(extras, "--");  // what ends the flags
  if (extras.empty()) return;
  const std::string word = extras.front().substr(0, extras.front().find('='));
  if (word.starts_with("-") && (media_kind(word) != MediaKind::unknown || is_list_file(word)))
    throw ConfigError(dash_hint(word));
  if (word.starts_with("-")) {
    const std::string near = nearest_word(word, known_flags(root, command));
    throw ConfigError(concat("unknown flag '", word, "'",
                             near.empty() ? "" : " (did you mean '" + near + "'?)", "; 'cavmae ",
                             &command == &root ? "" : command.get_name() + " ", "--help' lists them all"));
  }
  if (&command == &root) {
    throw ConfigError(concat("unknown command '", word, "'", suggestion(word, command_names(root))));
  }
  throw ConfigError(concat("'", word, "' was not expected after 'cavmae ", command.get_name(), "'; 'cavmae ",
                           command.get_name(), " --help' shows the usage"));
}

int parse_and_run(Program& program, int argc, char** argv) {
  program.root.allow_extras();
  for (CLI::App* sub : program.root.get_subcommands([](const CLI::App*) { return true; }))
    sub->allow_extras();
  reject_files_like_flags(program.root, argc, argv);
  try {
    std::vector<std::string> words = with_values_joined(program.root, {argv + 1, argv + argc});
    std::ranges::reverse(words);  // as the parser takes them
    program.root.parse(std::move(words));
    reject_extras(program.root);
  } catch (const CLI::CallForHelp& e) {
    return program.root.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return program.root.exit(e);
  } catch (const CLI::ParseError& e) {
    // A wrong word is a better reason than the required flag that is missing because of it.
    reject_extras(program.root);
    throw ConfigError(concat(e.what(), "; 'cavmae ",
                             named_command(program.root).get_name() == "cavmae"
                                 ? ""
                                 : named_command(program.root).get_name() + " ",
                             "--help' shows the usage"));
  }
  CAVMAE_CHECK_AS(ConfigError, program.global.threads >= 0, "--threads: ", program.global.threads,
                  " is negative");
  tune_process({.num_threads = program.global.threads});
  return program.action();
}

// LibTorch appends where in its own source an error arose and a stack trace; the first line is what matters.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void print_error(const std::string& message) {
  std::fprintf(stderr, "cavmae: %s\n", without_passwords(message).c_str());
}

int run(int argc, char** argv) {
  try {
    Program program;
    describe_program(program);
    register_commands(program);
    return parse_and_run(program, argc, argv);
  } catch (const ConfigError& e) {
    print_error(e.what());
    return kExitUsage;
  } catch (const Error& e) {
    print_error(e.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "cavmae: out of memory; try a smaller --batch-size\n");
  } catch (const c10::Error& e) {
    const std::string what = first_line(e.what_without_backtrace());
    const bool memory = what.find("not enough memory") != std::string::npos ||
                        what.find("out of memory") != std::string::npos;
    print_error(memory ? "out of memory; try a smaller --batch-size" : "internal error: " + what);
  } catch (const std::exception& e) {
    print_error("internal error: " + first_line(e.what()));
  }
  return kExitFailure;
}

// What a command printed may still be on its way; a full disk at its end is the command's failure.
int with_output_written(int code) {
  const bool written = std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  const int error = errno;
  std::fflush(nullptr);
  if (written || code != 0) return code;
  print_error(concat("the standard output cannot be written: ", std::strerror(error)));
  return kExitFailure;
}

}  // namespace
}  // namespace cavmae::apps

// What libraries would do at exit, LibTorch taking its operators out of its tables one by one, takes 0.1 s.
int main(int argc, char** argv) {
  namespace apps = cavmae::apps;
  std::_Exit(apps::with_output_written(apps::run(argc, argv)));
}
