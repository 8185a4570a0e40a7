#include "http/access_log.h"

#include <spdlog/spdlog.h>

namespace holdfast::http {

AccessLog access_log(std::shared_ptr<spdlog::logger> logger) {
  return [logger = std::move(logger)](const RequestLine& line) {
    auto level = line.status >= 500 ? spdlog::level::err : spdlog::level::info;
    if (!logger->should_log(level)) return;
    // Every text here is an id of our own making: nothing needs escaping.
    auto member = [](std::string_view name, std::string_view value) {
      return value.empty() ? std::string() : fmt::format(R"(,"{}":"{}")", name, value);
    };
    logger->log(
        level,
        R"({{"request":"{}","operation":"{}","status":{},"took_us":{},"bytes_in":{},"bytes_out":{}{}{}}})",
        line.request_id, line.operation, line.status, line.took.count(), line.bytes_in,
        line.bytes_out, member("trace", line.trace), member("bug", line.bug));
  };
}

}  // namespace holdfast::http
