// Request targets: what is accepted has no second way to be written.
#include <algorithm>
#include <cstdlib>

#include "base/json.h"
#include "http/client.h"
#include "http/target.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

bool control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)http::valid_host(text);
  auto target = http::parse_target(text, "localhost");
  if (!target) return 0;

  check(target->segments.size() <= 32 && target->query.size() <= 100);
  std::string again;
  for (const auto& segment : target->segments) {
    check(!segment.empty() && segment != "." && segment != ".." && valid_utf8(segment));
    check(std::ranges::none_of(segment, [](char c) { return c == '\\' || control(c); }));
    check(target->slash_inside || !segment.contains('/'));
    again += '/' + http::percent_encoded(segment);
  }
  if (again.empty()) again = "/";
  char lead = '?';
  for (const auto& [name, value] : target->query) {
    check(valid_utf8(name) && valid_utf8(value));
    again += lead + http::percent_encoded(name) + '=' + http::percent_encoded(value);
    lead = '&';
  }
  auto second = http::parse_target(again, "localhost");
  check(second && second->segments == target->segments && second->query == target->query);
  return 0;
}
