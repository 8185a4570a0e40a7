// The command line: local commands, and one command for each route.
#pragma once

namespace holdfast::app {

int run_command(int argc, char** argv);

}  // namespace holdfast::app
