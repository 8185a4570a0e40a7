#include "vault/types.h"

namespace holdfast::vault {

std::span<const std::string_view> enum_names(FieldType) {
  static constexpr std::string_view kNames[] = {
      "text", "name", "email", "phone",  "address_line", "postal_code", "country",
      "date", "ip",   "iban",  "tax_id", "card_number",  "card_expiry", "card_verification",
      "json"};
  return kNames;
}

std::span<const std::string_view> enum_names(FieldClass) {
  static constexpr std::string_view kNames[] = {"plain", "personal", "sensitive", "payment"};
  return kNames;
}

std::span<const std::string_view> enum_names(Mask) {
  static constexpr std::string_view kNames[] = {"type_default", "hidden", "first_letter", "last4",
                                                "domain",       "year",   "none"};
  return kNames;
}

std::span<const std::string_view> enum_names(IndexKind) {
  static constexpr std::string_view kNames[] = {"none", "exact", "prefix", "substring", "unique"};
  return kNames;
}

std::span<const std::string_view> enum_names(KeepFrom) {
  static constexpr std::string_view kNames[] = {"created", "updated", "closed"};
  return kNames;
}

std::span<const std::string_view> enum_names(View) {
  static constexpr std::string_view kNames[] = {"none", "masked", "verify", "clear"};
  return kNames;
}

std::span<const std::string_view> enum_names(TokenShape) {
  static constexpr std::string_view kNames[] = {"tok", "digits", "email", "pattern", "card"};
  return kNames;
}

std::span<const std::string_view> enum_names(TokenScope) {
  static constexpr std::string_view kNames[] = {"none", "subject", "field"};
  return kNames;
}

std::span<const Member> TokenSpec::described() {
  using T = TokenSpec;
  static constexpr Member kMembers[] = {
      member<&T::shape>("shape",
                        "`tok` (tok_...), `digits` (as many as the value has), `email` (an address "
                        "that is never delivered), `pattern`, or `card` (keeps the first six and "
                        "last four digits and fails the Luhn check)."),
      member<&T::pattern>(
          "pattern", "For shape `pattern`, such as `KD-[0-9]{8}`: characters, sets and counts.",
          {.bytes = 128}),
      member<&T::deterministic>(
          "deterministic",
          "Where equal values get the same token: `none`; `subject`, which tells who has the "
          "tokens "
          "that a customer gave the same value again; or `field`, which tells them which customers "
          "share a value.")};
  return kMembers;
}

std::span<const Member> Keep::described() {
  static constexpr Member kMembers[] = {
      member<&Keep::duration>("duration", "How long, such as `3 years`.", {.bytes = 32}),
      member<&Keep::from>("from", "What the time counts from; `created` unless said.")};
  return kMembers;
}

std::span<const Member> FieldSpec::described() {
  using F = FieldSpec;
  static constexpr Member kMembers[] = {
      member<&F::name>("name", "Lower-case letters, digits and `_`, starting with a letter.",
                       {.bytes = 63}),
      member<&F::type>("type", "What the values are; they are checked and masked by it."),
      member<&F::field_class>("class", "How sensitive the values are; `personal` unless said."),
      member<&F::mask>("mask", "How a masked value looks; by type unless said."),
      member<&F::index>("index", "How values are found; `none` unless said."),
      member<&F::purposes>("purposes",
                           "The only purposes the field opens for; empty for all that are granted.",
                           {.bytes = 63, .count = 50}),
      member<&F::keep>("keep", "How long; as long as the keep group unless said."),
      member<&F::keep_group>(
          "keep_group", "What is kept and erased together; `account` unless said.", {.bytes = 63}),
      member<&F::max_bytes>("max_bytes", "Longest value in bytes of UTF-8; by type unless said.",
                            {.min = 1, .max = 65'536}),
      member<&F::token>("token", "How tokens of its values look; `tok_...` unless said.")};
  return kMembers;
}

std::span<const Member> CollectionSpec::described() {
  using C = CollectionSpec;
  static constexpr Member kMembers[] = {
      member<&C::collection>("collection", "The name of the collection.", {.bytes = 63},
                             Place::path),
      member<&C::doc>("doc", "What the collection is for.", {.bytes = 1000}),
      member<&C::fields>("fields", "The fields that a record may have; all others are refused.",
                         {.count = 200}),
      member<&C::calling_code>(
          "calling_code",
          "Of phone numbers written without one, such as `49`; that of the server unless said.",
          {.bytes = 3})};
  return kMembers;
}

const IndexInfo* Field::serving() const {
  for (const auto& each : indexes)
    if (each.serving) return &each;
  return nullptr;
}

const Field* Collection::find(std::string_view field) const {
  for (const auto& each : fields)
    if (each.name == field) return &each;
  return nullptr;
}

const Field* Collection::find(std::uint16_t field) const {
  for (const auto& each : fields)
    if (each.id == field) return &each;
  return nullptr;
}

}  // namespace holdfast::vault
