// The request target (RFC 9112 section 3.2) taken apart, strictly: one way to write each path.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::http {

struct Target {
  std::vector<std::string> segments;                       // decoded; "/" has none
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  /// A segment holds a `/` that was written %2F. Only the value of a path parameter may.
  bool slash_inside = false;
};

/// Origin form, or absolute form with https and the very `host` of the Host header.
/// nullopt for anything else, and for empty or dotted segments (also between encoded slashes), what
/// was encoded twice, backslashes, control characters, broken UTF-8, fragments, and more than 32
/// segments or 100 query parts.
std::optional<Target> parse_target(std::string_view target, std::string_view host);

/// Whether decoded text can be a segment: see parse_target.
bool unambiguous(std::string_view segment);

/// A host name or address with an optional port.
bool valid_host(std::string_view host);

}  // namespace holdfast::http
