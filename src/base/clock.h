// Time comes from a Clock that is handed in, never from SQL or a global.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

using Millis = std::chrono::milliseconds;
/// Wall-clock time in UTC at millisecond precision, as it is stored and sent.
using Time = std::chrono::sys_time<Millis>;
/// Time that never jumps, for measuring waits.
using MonoTime = std::chrono::steady_clock::time_point;

/// Safe to use from every thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
  virtual MonoTime mono() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time now() const override;
  MonoTime mono() const override;
};

inline std::int64_t to_ms(Time time) {
  return time.time_since_epoch().count();
}
inline Time from_ms(std::int64_t ms) {
  return Time(Millis(ms));
}

/// RFC 3339 in UTC with milliseconds: 2026-11-23T09:30:00.000Z. For years 0 to 9999.
std::string rfc3339(Time time);
/// Accepts a fraction of 0 to 9 digits (cut to milliseconds) and `Z` or an offset; nullopt for
/// anything else, leap seconds included.
std::optional<Time> parse_rfc3339(std::string_view text);

/// "90 days", "3 years", "15 minutes", "2 h": a positive count and a unit from ms to years
/// (31 and 366 days: cuts no duty short). nullopt for anything else or over 1000 years.
std::optional<Millis> parse_duration(std::string_view text);

}  // namespace holdfast
