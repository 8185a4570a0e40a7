// A command that asks a server: sent, and its answer printed or written to a file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "http/route.h"

namespace holdfast::app {

/// Where a server is looked for unless HOLDFAST_URL says so.
inline constexpr const char* kUsualUrl = "https://127.0.0.1:8443";

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

/// Sends it to HOLDFAST_URL with HOLDFAST_API_KEY, trusting HOLDFAST_CA_FILE; prints the answer.
int run_remote(const RemoteCommand& command);

}  // namespace holdfast::app
