// One line per request, without personal data: the operation instead of the path, and neither
// addresses nor bodies.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace spdlog {
class logger;
}

namespace holdfast::http {

struct RequestLine {
  std::string_view request_id;
  std::string_view operation;  // "-" when no route matched
  std::string_view trace;      // the trace id of a valid traceparent, else empty
  int status = 0;              // 0: the client went away first
  std::chrono::microseconds took{};
  std::uint64_t bytes_in = 0;  // of the body
  std::uint64_t bytes_out = 0;
  std::string_view bug{};  // the kind of exception that a handler threw
};

/// Called on the core that served the request; must be quick, and safe from several threads.
using AccessLog = std::function<void(const RequestLine&)>;

/// Writes each as the JSON message `{"request":"req_...","operation":...}` at level info; errors of
/// the server (5xx) at level error. The logger's pattern should be "%v" or place %v as a value.
AccessLog access_log(std::shared_ptr<spdlog::logger> logger);

}  // namespace holdfast::http
