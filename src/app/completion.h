// Shell completion from the table of commands.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace holdfast::app {

std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace holdfast::app
