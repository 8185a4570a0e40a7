// Any value against any field: what is stored is stable and within its length, finds itself in the
// index, and its mask shows no more than it may.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/described.h"
#include "base/text.h"
#include "vault/policy.h"

namespace {

namespace vault = holdfast::vault;

void require(bool good) {
  if (!good) std::abort();
}

void check_mask(const vault::Field& field, std::string_view value) {
  auto masked = vault::masked(field, value);
  require(holdfast::valid_utf8(masked));
  bool shape = field.type == vault::FieldType::email || field.type == vault::FieldType::date ||
               field.type == vault::FieldType::ip || field.type == vault::FieldType::iban ||
               field.type == vault::FieldType::card_number || field.mask == vault::Mask::none ||
               field.type == vault::FieldType::country;
  if (shape) return;
  constexpr std::size_t kBullets = 3;
  require(holdfast::code_points(masked) <= kBullets + holdfast::code_points(value) / 4);
}

void check_value(const vault::Field& field, std::string_view value) {
  check_mask(field, value);
  auto term = vault::index_term(field, value);
  auto stored = vault::checked_value(field, value);
  if (!stored) return;
  auto text = stored->expose_text();
  require(!text.empty() && text.size() <= field.max_bytes && holdfast::valid_utf8(text));
  check_mask(field, text);
  require(vault::index_term(field, text).expose_text() == term.expose_text());
  auto again = vault::checked_value(field, text);
  require(again && again->expose_text() == text);
}

void check_declaration(std::string_view json, bool has_data) {
  std::pair<std::string, std::string> path[] = {{"collection", "customers"}};
  auto spec = holdfast::parse_described<vault::CollectionSpec>({.body = json, .path = path});
  if (!spec) return;
  auto declared = vault::declare(*spec, 1, holdfast::Time{});
  if (!declared) return;
  auto same = vault::evolve(*declared, *spec, has_data, holdfast::Time{});
  require(same && same->version == declared->version);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  std::string_view value(reinterpret_cast<const char*>(data) + 3, size - 3);
  auto types = vault::enum_names(vault::FieldType{}).size();
  auto masks = vault::enum_names(vault::Mask{}).size();
  vault::CollectionSpec spec{.collection = "customers"};
  spec.fields.push_back({.name = "field",
                         .type = static_cast<vault::FieldType>(data[0] % types),
                         .mask = static_cast<vault::Mask>(data[1] % masks)});
  auto declared = vault::declare(spec, 1, holdfast::Time{}, (data[2] & 2) != 0);
  check_declaration(value, (data[2] & 1) != 0);
  if (!declared) return 0;
  auto field = declared->fields.front();
  field.max_bytes = std::min(field.max_bytes, 1 + std::size_t{data[2]} * 8);

  check_value(field, value);
  return 0;
}
