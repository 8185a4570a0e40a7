// The parsers of access control that meet outside bytes before a caller is known, and those of
// networks and persons. What a parser accepts it must accept again in its written form.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "access/declare.h"
#include "access/hours.h"
#include "access/key_text.h"
#include "access/network.h"
#include "access/policy.h"

namespace {

using namespace std::string_view_literals;

void require(bool holds) {
  if (!holds) std::abort();
}

void key(std::string_view text) {
  using namespace holdfast::access;
  const auto parsed = parse_key_text(text);
  if (!parsed) return;
  require(text.size() == kKeyTextChars);
  require(text.starts_with(parsed->hashed));
  require(is_principal(principal_of(parsed->id)));
  require(text.substr(8, kIdChars) == parsed->id);
}

void network(std::string_view text) {
  using namespace holdfast::access;
  if (const auto parsed = parse_network(text)) {
    require(parse_network(text_of(*parsed)) == parsed);
    require(parsed->contains(parsed->base));
  }
  if (const auto address = parse_address(text)) require(neighbourhood(*address).contains(*address));
}

void hours(std::string_view text) {
  using namespace holdfast::access;
  const auto spans = parse_hours(text);
  if (!spans) return;
  require(!spans->empty() && spans->size() <= 14);
  for (const auto& span : *spans) require(span.from < span.to && span.to <= kWeekMinutes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::access;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto token = bearer(text)) key(*token);
  key(text);
  network(text);
  hours(text);
  const auto kind = person_kind(text);
  require(kind.empty() || (text.starts_with(kind) && text.size() <= 32 + 1 + 64));
  if (is_permission(text)) require(includes("*"sv, text) && includes(text, text));
  return 0;
}
