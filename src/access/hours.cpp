#include "access/hours.h"

#include <unicode/timezone.h>

#include <algorithm>
#include <array>

namespace holdfast::access {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

std::optional<int> day_of(std::string_view text) {
  auto at = std::ranges::find(kDays, text);
  if (at == kDays.end()) return std::nullopt;
  return static_cast<int>(at - kDays.begin());
}

/// "08:00" to "24:00".
std::optional<int> minute_of(std::string_view text) {
  auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4))
    return std::nullopt;
  const int hour = (text[0] - '0') * 10 + text[1] - '0';
  const int minute = (text[3] - '0') * 10 + text[4] - '0';
  if (minute > 59 || hour * 60 + minute > kDayMinutes) return std::nullopt;
  return hour * 60 + minute;
}

void add(std::vector<WeekSpan>& out, int from, int to) {
  if (to <= kWeekMinutes) {
    out.push_back({static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(to)});
    return;
  }
  out.push_back({static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(kWeekMinutes)});
  out.push_back({0, static_cast<std::uint16_t>(to - kWeekMinutes)});
}

}  // namespace

std::optional<std::vector<WeekSpan>> parse_hours(std::string_view text) {
  const auto space = text.find(' ');
  if (space == text.npos) return std::nullopt;
  const auto days = text.substr(0, space), hours = text.substr(space + 1);
  const auto dash = days.find('-'), to_dash = hours.find('-');
  if (to_dash == hours.npos) return std::nullopt;
  const auto first = day_of(days.substr(0, dash));
  const auto last = dash == days.npos ? first : day_of(days.substr(dash + 1));
  const auto from = minute_of(hours.substr(0, to_dash));
  auto to = minute_of(hours.substr(to_dash + 1));
  if (!first || !last || !from || !to || *from == kDayMinutes || *from == *to) return std::nullopt;
  if (*to < *from) *to += kDayMinutes;
  std::vector<WeekSpan> out;
  for (int day = *first;; day = (day + 1) % 7) {
    add(out, day * kDayMinutes + *from, day * kDayMinutes + *to);
    if (day == *last) return out;
  }
}

bool within(const std::vector<WeekSpan>& spans, int minute) {
  return std::ranges::any_of(
      spans, [&](const WeekSpan& span) { return minute >= span.from && minute < span.to; });
}

struct Zone::Rules {
  std::unique_ptr<icu::TimeZone> zone;
};

Result<Zone> Zone::named(const std::string& name) {
  std::unique_ptr<icu::TimeZone> zone(
      icu::TimeZone::createTimeZone(icu::UnicodeString::fromUTF8(name)));
  // What ICU does not know becomes `Etc/Unknown`, which nobody asks for.
  icu::UnicodeString found;
  if (!zone || zone->getID(found) != icu::UnicodeString::fromUTF8(name) || name == "Etc/Unknown")
    return Error(Code::invalid, "not a time zone of the IANA database, such as Europe/Berlin");
  Zone out;
  out.rules_ = std::make_shared<const Rules>(Rules{std::move(zone)});
  return out;
}

int Zone::minute_of_week(Time now) const {
  std::int32_t raw = 0, saved = 0;
  UErrorCode failed = U_ZERO_ERROR;
  if (rules_) rules_->zone->getOffset(static_cast<UDate>(to_ms(now)), false, raw, saved, failed);
  const auto local = to_ms(now) + (U_FAILURE(failed) ? 0 : raw + saved);
  constexpr std::int64_t kWeekMs = std::int64_t{kWeekMinutes} * 60'000;
  // 1970-01-01 was a Thursday.
  const auto in_week =
      ((local + 3 * std::int64_t{kDayMinutes} * 60'000) % kWeekMs + kWeekMs) % kWeekMs;
  return static_cast<int>(in_week / 60'000);
}

}  // namespace holdfast::access
