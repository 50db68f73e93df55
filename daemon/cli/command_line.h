// The command line: which command, with which arguments. Every option has its help text here; the commands themselves
// are in daemon/commands/.
//
// Threads: called once, from main.  Failure: the exit codes of daemon/commands/commands.h.
#pragma once

namespace freshet {

int run_command_line(int argc, char** argv);

}  // namespace freshet
