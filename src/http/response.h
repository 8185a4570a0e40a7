// The head of a response, with the fields that every response has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace holdfast::http {

struct ResponseHead {
  int status = 200;
  std::string_view type{};
  std::optional<std::uint64_t> length{};  // absent: chunked, or (HTTP/1.0) until the end
  std::string_view request_id{};
  std::string_view extra{};  // further lines, each with its line end
  bool keep_alive = true;
  bool http11 = true;
};

/// HSTS, no caching, no sniffing, no framing, no scripts; a Date, and no word about the server.
void append_head(std::string& out, const ResponseHead& head, Time now);

}  // namespace holdfast::http
