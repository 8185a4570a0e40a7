#include "vault/types.h"

namespace holdfast::vault {

std::span<const std::string_view> enum_names(LegalBasis) {
  static constexpr std::string_view kNames[] = {"consent",          "contract",
                                                "legal_obligation", "vital_interests",
                                                "public_task",      "legitimate_interests"};
  return kNames;
}

std::span<const Member> FieldView::described() {
  using F = FieldView;
  static constexpr Member kMembers[] = {
      member<&F::id>("id", "Immutable number of the field.", {.max = 65'535}),
      member<&F::since>("since", "Schema version that declared this shape.",
                        {.max = 4'294'967'295}),
      member<&F::name>("name", "The field's name.", {.bytes = 63}),
      member<&F::type>("type", "What the values are."),
      member<&F::field_class>("class", "How sensitive the values are."),
      member<&F::mask>("mask", "How a masked value looks."),
      member<&F::index>("index", "How values are found."),
      member<&F::purposes>("purposes", "The only purposes the field opens for; empty: all granted.",
                           {.bytes = 63, .count = 50}),
      member<&F::keep>("keep", "How long a value is kept."),
      member<&F::keep_group>("keep_group", "What is kept and erased together.", {.bytes = 63}),
      member<&F::max_bytes>("max_bytes", "Longest value.", {.max = 65'536}),
      member<&F::token>("token", "How tokens of its values look; absent: `tok_...`."),
      member<&F::leaks>("leaks", "What its index and its tokens tell, and to whom.",
                        {.bytes = 1000})};
  return kMembers;
}

std::span<const Member> CollectionView::described() {
  using C = CollectionView;
  static constexpr Member kMembers[] = {
      member<&C::name>("collection", "The collection's name.", {.bytes = 63}),
      member<&C::id>("id", "Immutable number of the collection.", {.max = 4'294'967'295}),
      member<&C::version>("version", "Counts the changes of the schema.", {.max = 4'294'967'295}),
      member<&C::doc>("doc", "What the collection is for.", {.bytes = 1000}),
      member<&C::created>("created", "When it was declared."),
      member<&C::updated>("updated", "When it last changed."),
      member<&C::last_field>("last_field", "The highest field number ever given.", {.max = 65'535}),
      member<&C::fields>("fields", "The declared fields.", {.count = 200})};
  return kMembers;
}

std::span<const Member> Purpose::described() {
  using P = Purpose;
  static constexpr Member kMembers[] = {
      member<&P::name>("purpose", "Lower-case letters, digits and `_`.", {.bytes = 63},
                       Place::path),
      member<&P::legal_basis>("legal_basis", "The legal basis (GDPR art. 6)."),
      member<&P::doc>("doc", "What the data is used for, as customers may read it.",
                      {.bytes = 1000}),
      member<&P::version>("version", "Counts changes; 0 for a built-in purpose. Not to be sent.")};
  return kMembers;
}

}  // namespace holdfast::vault
