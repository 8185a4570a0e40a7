#include "http/response.h"

#include <chrono>
#include <cstdio>

#include "http/problem.h"

namespace holdfast::http {
namespace {

/// RFC 9110 section 5.6.7, made once a second.
std::string_view http_date(Time now) {
  using namespace std::chrono;
  thread_local std::int64_t made_for = -1;
  thread_local char text[40];
  thread_local std::size_t size = 0;
  auto second = to_ms(now) / 1000;
  if (second == made_for) return {text, size};
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto day = floor<days>(now);
  year_month_day date{day};
  hh_mm_ss clock{floor<seconds>(now - day)};
  auto written = std::snprintf(
      text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT", kDays[weekday(day).c_encoding()],
      unsigned(date.day()), kMonths[unsigned(date.month()) - 1], int(date.year()),
      int(clock.hours().count()), int(clock.minutes().count()), int(clock.seconds().count()));
  size = static_cast<std::size_t>(written);
  made_for = second;
  return {text, size};
}

}  // namespace

void append_head(std::string& out, const ResponseHead& head, Time now) {
  out += head.http11 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out += std::to_string(head.status);
  (out += ' ') += reason_phrase(head.status);
  (out += "\r\nDate: ") += http_date(now);
  if (!head.type.empty()) (out += "\r\nContent-Type: ") += head.type;
  if (head.length)
    (out += "\r\nContent-Length: ") += std::to_string(*head.length);
  else if (head.http11)
    out += "\r\nTransfer-Encoding: chunked";
  (out += "\r\nX-Request-Id: ") += head.request_id;
  out +=
      "\r\nCache-Control: no-store"
      "\r\nStrict-Transport-Security: max-age=31536000"
      "\r\nX-Content-Type-Options: nosniff"
      "\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";
  out += head.extra;
  if (!head.keep_alive)
    out += "Connection: close\r\n";
  else if (!head.http11)
    out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

}  // namespace holdfast::http
