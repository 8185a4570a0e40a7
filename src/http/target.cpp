#include "http/target.h"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/json.h"

namespace holdfast::http {

namespace urls = boost::urls;

namespace {

constexpr std::size_t kMostSegments = 32;
constexpr std::size_t kMostParameters = 100;

bool control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// The grammar has been checked; what remains is what the decoded text may hold.
std::optional<std::string> decoded(urls::pct_string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.decoded_size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      auto digit = [](char h) { return h <= '9' ? h - '0' : (h | 0x20) - 'a' + 10; };
      c = static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    out += c;
  }
  if (!valid_utf8(out)) return std::nullopt;
  return out;
}

/// A part of it, between the slashes that it may hold, is `.` or `..`.
bool dotted(std::string_view text) {
  for (;;) {
    auto end = std::min(text.find('/'), text.size());
    auto part = text.substr(0, end);
    if (part == "." || part == "..") return true;
    if (end == text.size()) return false;
    text.remove_prefix(end + 1);
  }
}

/// What a proxy that decodes once more would read otherwise than we do.
bool encoded_twice(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdefABCDEF";
  for (auto at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1))
    if (at + 2 < text.size() && kHex.contains(text[at + 1]) && kHex.contains(text[at + 2]))
      return true;
  return false;
}

std::optional<std::string> segment(urls::pct_string_view text) {
  auto out = decoded(text, false);
  if (!out || !unambiguous(*out)) return std::nullopt;
  return out;
}

bool same_host(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

bool unambiguous(std::string_view segment) {
  return !segment.empty() && !dotted(segment) && !encoded_twice(segment) &&
         std::ranges::none_of(segment, [](char c) { return c == '\\' || control(c); });
}

std::optional<Target> parse_target(std::string_view text, std::string_view host) {
  bool origin = text.starts_with('/');
  auto parsed = origin ? urls::parse_origin_form(text) : urls::parse_absolute_uri(text);
  if (!parsed) return std::nullopt;
  if (!origin && (parsed->scheme_id() != urls::scheme::https || parsed->has_userinfo() ||
                  !same_host(parsed->encoded_host_and_port(), host)))
    return std::nullopt;

  Target out;
  if (parsed->encoded_path() != "/" && !parsed->encoded_path().empty()) {
    if (std::ranges::count(parsed->encoded_path(), '/') > std::ptrdiff_t(kMostSegments))
      return std::nullopt;
    for (auto part : parsed->encoded_segments()) {
      auto made = segment(part);
      if (!made) return std::nullopt;
      out.slash_inside |= made->contains('/');
      out.segments.push_back(std::move(*made));
    }
  }
  if (!parsed->has_query() || parsed->encoded_query().empty()) return out;
  if (std::ranges::count(parsed->encoded_query(), '&') >= std::ptrdiff_t(kMostParameters))
    return std::nullopt;
  for (auto part : parsed->encoded_params()) {
    auto name = decoded(part.key, true), value = decoded(part.value, true);
    if (!name || !value || std::ranges::any_of(*name, control) ||
        std::ranges::any_of(*value, control))
      return std::nullopt;
    out.query.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

bool valid_host(std::string_view host) {
  auto parsed = urls::parse_authority(host);
  return parsed && !parsed->has_userinfo() && !parsed->encoded_host().empty() &&
         parsed->encoded_host().find('%') == std::string_view::npos;
}

}  // namespace holdfast::http
