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
                        {.bytes = 1000}),
      member<&F::indexes>("indexes", "The index that answers, and one that is being built."),
      member<&F::consent>("consent", "The recorded consent to an index of skewed values.")};
  return kMembers;
}

std::span<const Member> IndexInfo::described() {
  using I = IndexInfo;
  static constexpr Member kMembers[] = {
      member<&I::number>("number", "Stands for this index; never comes back."),
      member<&I::kind>("kind", "What it finds."),
      member<&I::bits>("bits", "Length of a term.", {.max = 256}),
      member<&I::key>("key", "The index key that it is made under.", {.max = 4'294'967'295}),
      member<&I::calling_code>("calling_code", "Of phones written without one.", {.bytes = 3}),
      member<&I::serving>("serving", "False while it is built: then it answers nothing yet."),
      member<&I::done>("done", "While it is built: records looked at."),
      member<&I::total>("total", "While it is built: records that there were."),
      member<&I::counted>("counted", "Rows at the last look at their distribution."),
      member<&I::largest>("largest", "How many of them share the commonest term."),
      member<&I::alarm>("alarm", "What somebody must see to; absent when all is well.",
                        {.bytes = 500})};
  return kMembers;
}

std::span<const Member> IndexConsent::described() {
  using C = IndexConsent;
  static constexpr Member kMembers[] = {
      member<&C::rows>("rows", "Rows that were counted."),
      member<&C::largest>("largest", "How many of them shared the commonest term."),
      member<&C::by>("by", "Who consented.", {.bytes = 100}), member<&C::at>("at", "When.")};
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
      member<&C::calling_code>("calling_code", "Of phones written without one.", {.bytes = 3}),
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
      member<&P::version>(
          "version",
          "Counts changes; 0 for a built-in purpose. If sent, it must be what it is now.")};
  return kMembers;
}

}  // namespace holdfast::vault
