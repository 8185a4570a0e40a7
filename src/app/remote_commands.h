// The commands that ask a server: one for each route, made from the route table. Path members are
// positional, others flags, lists repeat; personal and secret members never come from argv, nor
// bodies that may hold some, but from standard input (`-`), a file (`@FILE`) or a prompt.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "app/remote.h"

namespace holdfast::app {

/// Adds `holdfast records reveal` and so on below `app`. `chosen` is set when one was typed.
void add_remote_commands(CLI::App& app, std::vector<std::unique_ptr<RemoteCommand>>& commands,
                         RemoteCommand*& chosen);

}  // namespace holdfast::app
