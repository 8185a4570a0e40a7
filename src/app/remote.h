// The commands that ask a server: one for each route, made from the route table. Path members are
// positional, others flags, lists repeat; personal and secret members never come from argv, nor
// bodies that may hold some, but from standard input (`-`), a file (`@FILE`) or a prompt.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/route.h"

namespace holdfast::app {

/// What was typed for one route's command.
struct RemoteCommand {
  http::RouteInfo route;
  std::map<std::string, std::vector<std::string>> given;  // by member
  std::map<std::string, std::string> flags;               // boolean members: true, false or empty
  std::string body;                                       // --body
  std::string file;                                       // of an upload or a transform
  std::string output;                                     // of a download or a transform
  std::string report;  // of an import: where refused rows are listed
  std::string idempotency_key;
  std::string if_match;
  bool json = false;
};

/// Adds `holdfast records reveal` and so on below `app`. `chosen` is set when one was typed.
void add_remote_commands(CLI::App& app, std::vector<std::unique_ptr<RemoteCommand>>& commands,
                         RemoteCommand*& chosen);

/// Sends it to HOLDFAST_URL with HOLDFAST_API_KEY, trusting HOLDFAST_CA_FILE; prints the answer.
int run_remote(const RemoteCommand& command);

}  // namespace holdfast::app
