// What the benches share: a way out on errors, a task run to its end, and the row that
// tools/bench reads.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/task.h"

namespace holdfast::bench {

using Steady = std::chrono::steady_clock;

[[noreturn]] inline void fail(std::string_view text) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) fail(result.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// On a loop of its own.
template <class T>
T run(Task<T> task) {
  boost::asio::io_context io;
  std::optional<T> out;
  boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr thrown, T value) {
    if (thrown) std::rethrow_exception(thrown);
    out.emplace(std::move(value));
  });
  io.run();
  return std::move(*out);
}

/// Whether the value is to be at least, or at most, what it is measured against.
enum class Bar { none, least, most };

/// One JSON line: name, value, unit and, where it is measured against something, against,
/// against_value, ratio; with a bar also whether it is met.
inline void row(const std::string& name, double value, const char* unit, const char* against = "",
                double against_value = 0, Bar bar = Bar::none) {
  std::printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"", name.c_str(), value, unit);
  if (against_value > 0)
    std::printf(",\"against\":\"%s\",\"against_value\":%.3f,\"ratio\":%.5f", against, against_value,
                value / against_value);
  if (bar != Bar::none)
    std::printf(
        ",\"bar\":1,\"met\":%s",
        (bar == Bar::most ? value <= against_value : value >= against_value) ? "true" : "false");
  std::printf("}\n");
  std::fflush(stdout);
}

}  // namespace holdfast::bench
