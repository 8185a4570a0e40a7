#include "base/clock.h"

#include <charconv>
#include <cstdio>

namespace holdfast {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::year_month_day;

Time SystemClock::now() const {
  return floor<Millis>(std::chrono::system_clock::now());
}
MonoTime SystemClock::mono() const {
  return std::chrono::steady_clock::now();
}

std::string rfc3339(Time time) {
  auto day = floor<days>(time);
  year_month_day date{day};
  std::chrono::hh_mm_ss clock{time - day};
  char out[40];
  int size = std::snprintf(
      out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {out, static_cast<std::size_t>(size)};
}

namespace {

std::optional<int> digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

constexpr Time kFirst = std::chrono::sys_days(std::chrono::year(0) / 1 / 1);
constexpr Time kLast =
    Time(std::chrono::sys_days(std::chrono::year(9999) / 12 / 31)) + days(1) - Millis(1);

bool eat(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Time> parse_rfc3339(std::string_view text) {
  auto y = digits(text, 4);
  if (!y || !eat(text, '-')) return std::nullopt;
  auto mo = digits(text, 2);
  if (!mo || !eat(text, '-')) return std::nullopt;
  auto d = digits(text, 2);
  if (!d || !(eat(text, 'T') || eat(text, 't') || eat(text, ' '))) return std::nullopt;
  auto h = digits(text, 2);
  if (!h || !eat(text, ':')) return std::nullopt;
  auto mi = digits(text, 2);
  if (!mi || !eat(text, ':')) return std::nullopt;
  auto s = digits(text, 2);
  if (!s) return std::nullopt;
  int ms = 0;
  if (eat(text, '.')) {
    int scale = 100, count = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      if (++count > 9) return std::nullopt;
      ms += (text.front() - '0') * scale;
      scale /= 10;
      text.remove_prefix(1);
    }
    if (count == 0) return std::nullopt;
  }
  minutes offset{0};
  if (!eat(text, 'Z') && !eat(text, 'z')) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    int sign = text.front() == '+' ? 1 : -1;
    text.remove_prefix(1);
    auto oh = digits(text, 2);
    if (!oh || !eat(text, ':')) return std::nullopt;
    auto om = digits(text, 2);
    if (!om || *oh > 23 || *om > 59) return std::nullopt;
    offset = sign * (hours(*oh) + minutes(*om));
  }
  year_month_day date{std::chrono::year(*y), std::chrono::month(static_cast<unsigned>(*mo)),
                      std::chrono::day(static_cast<unsigned>(*d))};
  if (!text.empty() || !date.ok() || *h > 23 || *mi > 59 || *s > 59) return std::nullopt;
  auto time = Time(std::chrono::sys_days(date)) + hours(*h) + minutes(*mi) + seconds(*s) +
              Millis(ms) - offset;
  // An offset may lead out of the years that can be written.
  if (time < kFirst || time > kLast) return std::nullopt;
  return time;
}

std::optional<Millis> parse_duration(std::string_view text) {
  std::int64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count <= 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  static constexpr struct {
    std::string_view name;
    std::int64_t ms;
  } kUnits[] = {{"ms", 1},
                {"s", 1000},
                {"second", 1000},
                {"min", 60'000},
                {"minute", 60'000},
                {"h", 3'600'000},
                {"hour", 3'600'000},
                {"d", 86'400'000},
                {"day", 86'400'000},
                {"week", 604'800'000},
                {"month", 31LL * 86'400'000},
                {"year", 366LL * 86'400'000}};
  constexpr std::int64_t kLongest = 366'000LL * 86'400'000;
  for (const auto& unit : kUnits) {
    bool plural = unit.name.size() > 2 && text.size() == unit.name.size() + 1 &&
                  text.starts_with(unit.name) && text.back() == 's';
    if (text != unit.name && !plural) continue;
    if (count > kLongest / unit.ms) return std::nullopt;
    return Millis(count * unit.ms);
  }
  return std::nullopt;
}

}  // namespace holdfast
