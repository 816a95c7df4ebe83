// The table of commands (commands.cpp), the one place that lists them: the program is made from it, and tests
// hold the help and the README to it.
#pragma once

#include "apps/command.h"

namespace cavmae::apps {

// Makes every command a subcommand of the program.
void register_commands(Program& program);

}  // namespace cavmae::apps
