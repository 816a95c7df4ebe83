// What the program says of itself, and that the README says the same.
#include <algorithm>
#include <map>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/text.h"

#include "tests/support/program.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing_support::Outcome;
using testing_support::read_whole;
using testing_support::run_cavmae;

// What 'cavmae COMMAND --help' prints, asked once a command.
const Outcome& help_of(const std::string& command) {
  static std::map<std::string, Outcome> known;
  const auto [outcome, is_new] = known.try_emplace(command);
  if (is_new) outcome->second = run_cavmae(command + " --help");
  return outcome->second;
}

struct CommandInHelp {
  std::string name, line;
};

// The commands that 'cavmae --help' lists, one a line.
std::vector<CommandInHelp> commands_in_help() {
  const std::vector<std::string> lines = split(run_cavmae("--help").out, '\n');
  std::vector<CommandInHelp> commands;
  for (auto at = std::find(lines.begin(), lines.end(), "Subcommands:"); at != lines.end(); ++at) {
    if (!at->starts_with("  ")) continue;
    const std::string_view text = trim(*at);
    const size_t end = std::min(text.find(' '), text.size());
    commands.push_back({std::string(text.substr(0, end)), std::string(trim(text.substr(end)))});
  }
  return commands;
}

TEST(Help, ListsALineACommand) {
  const auto commands = commands_in_help();
  EXPECT_THAT(commands, SizeIs(21));
  for (const CommandInHelp& command : commands) EXPECT_FALSE(command.line.empty()) << command.name;
  for (const std::string& line : split(run_cavmae("--help").out, '\n')) EXPECT_LE(line.size(), 130u) << line;
}

TEST(Help, OfEveryCommandTeaches) {
  for (const auto& [name, line] : commands_in_help()) {
    const Outcome& outcome = help_of(name);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr(line.substr(1)), HasSubstr("Example"), HasSubstr("cavmae " + name)));
  }
}

// "| `cavmae NAME` | LINE: `EXAMPLE` |", in the order of the help.
TEST(Help, IsThatOfTheReadme) {
  std::vector<std::string> rows;
  for (const std::string& row : split(read_whole(CAVMAE_SOURCE_DIR "/README.md"), '\n'))
    if (row.starts_with("| `cavmae ")) rows.push_back(row);
  const auto commands = commands_in_help();
  ASSERT_EQ(rows.size(), commands.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string start = "| `cavmae " + commands[i].name + "` | " + commands[i].line + ": `";
    ASSERT_TRUE(rows[i].starts_with(start)) << rows[i] << "\nshould begin with\n" << start;
    ASSERT_THAT(rows[i], EndsWith("` |"));
    const std::string example = rows[i].substr(start.size(), rows[i].size() - start.size() - 3);
    EXPECT_THAT(help_of(commands[i].name).out, HasSubstr(" " + example + "\n"));
  }
}

TEST(Help, ShowsFlagsAsTheyAreTyped) {
  EXPECT_THAT(help_of("pretrain").out, AllOf(HasSubstr("--noise,--no-noise "), Not(HasSubstr("{true}")),
                                             Not(HasSubstr("[null]")), HasSubstr("--threads")));
}

// Classifiers take all pictures of a clip, as the paper's do, the others one.
TEST(Help, NamesTheDefaultOfEachCommand) {
  const std::string frames = "pictures of a clip: middle, or all (their mean) ";
  for (const char* command : {"classify", "evaluate"})
    EXPECT_THAT(help_of(command).out, HasSubstr(frames + "[all]")) << command;
  for (const char* command : {"retrieve", "embed", "report"})
    EXPECT_THAT(help_of(command).out, HasSubstr(frames + "[middle]")) << command;
}

TEST(Help, ShowsNoOlderNames) {
  EXPECT_THAT(help_of("bench").out, AllOf(HasSubstr("--batch-size"), HasSubstr("--precision"),
                                          Not(HasSubstr("--dtype")), Not(HasSubstr("Excludes"))));
  EXPECT_THAT(run_cavmae("bench --dtyp fp32").err, Not(HasSubstr("did you mean '--dtype'")));
}

}  // namespace
}  // namespace cavmae
