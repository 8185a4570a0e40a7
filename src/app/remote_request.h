// What a route's command sends, made of what was typed, standard input, files and prompts.
#pragma once

#include <string>
#include <string_view>

#include "app/remote.h"
#include "base/described.h"
#include "base/result.h"

namespace holdfast::app {

struct RemoteRequest {
  std::string target;  // path and query
  std::string body;    // JSON; empty where there is none
};

/// Asks for required personal values that were not given, when there is a terminal.
/// Errors: invalid (the member, as its option), not_found and too_large (what stands after @).
Result<RemoteRequest> request_of(const RemoteCommand& command);

/// A type without `optional` around it.
const Type& inner(const Type& type);
/// Whether it is typed as JSON.
bool structured(const Type& type);
/// Whether it must not be on the command line.
bool hidden(const Member& member);
/// Whether the route's body may hold what must not be on the command line.
bool takes_hidden(const http::RouteInfo& route);
/// `on_behalf_of` as `--on-behalf-of`.
std::string flag_name(std::string_view member);

}  // namespace holdfast::app
