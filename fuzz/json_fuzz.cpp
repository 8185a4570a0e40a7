// parse_json and what stands on it: whatever is accepted has one canonical form that reads back as
// the same value, and a described struct takes or refuses it without a trace of trouble.
#include <cstdlib>

#include "base/described.h"
#include "base/json.h"

namespace {

using namespace holdfast;

struct Shape {
  std::string text;
  std::optional<std::int64_t> number;
  std::optional<Time> when;
  std::vector<Shape> more;
  Dict<std::string> named;
  Values values;
  std::optional<JsonText> any;
  static std::span<const Member> described() {
    static constexpr Member kMembers[] = {
        member<&Shape::text>("text", "Text.", {.bytes = 32}),
        member<&Shape::number>("number", "A number.", {.min = -10, .max = 10}),
        member<&Shape::when>("when", "A time."),
        member<&Shape::more>("more", "More of the same.", {.count = 4}),
        member<&Shape::named>("named", "Named texts.", {.bytes = 16, .count = 4}),
        member<&Shape::values>("values", "Values.", {.bytes = 64, .count = 8}),
        member<&Shape::any>("any", "Anything.", {.bytes = 64})};
    return kMembers;
  }
};

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto value = parse_json(text, {.depth = 16, .values = 1000});
  if (value) {
    check(valid_utf8(text));
    auto canonical = canonical_json(*value);
    auto again = parse_json(canonical, {.depth = 16, .values = 1000});
    check(again && canonical_json(*again) == canonical);
  }
  auto shape = parse_json_as<Shape>(text);
  if (shape) {
    auto written = to_json(*shape);
    auto again = parse_json_as<Shape>(written);
    check(again && to_json(*again) == written);
  } else {
    check(shape.error().also.size() < 20);
  }
  return 0;
}
