#include "vault/reports/messages.h"

namespace holdfast::vault {

std::span<const Member> NoReportArguments::described() {
  return {};
}

std::span<const Member> MappedField::described() {
  using M = MappedField;
  static constexpr Member kMembers[] = {
      member<&M::field>("field", "The field."),
      member<&M::type>("type", "What its values are."),
      member<&M::field_class>("class", "How sensitive they are."),
      member<&M::index>("index", "How they are found."),
      member<&M::purposes>("purposes", "The only purposes it opens for; empty: all granted ones."),
      member<&M::keep>("keep", "How long values are kept; absent: as long as the keep group."),
      member<&M::keep_group>("keep_group", "What is kept and erased together."),
      member<&M::values>("values", "Values that are there now."),
      member<&M::tokens>("tokens", "Tokens that stand for them.")};
  return kMembers;
}

std::span<const Member> MappedCollection::described() {
  using M = MappedCollection;
  static constexpr Member kMembers[] = {member<&M::collection>("collection", "The collection."),
                                        member<&M::doc>("doc", "What it is for."),
                                        member<&M::records>("records", "Records in it now."),
                                        member<&M::fields>("fields", "Its fields.")};
  return kMembers;
}

std::span<const Member> MappedPurpose::described() {
  using M = MappedPurpose;
  static constexpr Member kMembers[] = {
      member<&M::purpose>("purpose", "The purpose."),
      member<&M::legal_basis>("legal_basis", "Its legal basis (GDPR art. 6)."),
      member<&M::doc>("doc", "What it covers.")};
  return kMembers;
}

std::span<const Member> DataMap::described() {
  using D = DataMap;
  static constexpr Member kMembers[] = {
      member<&D::at>("at", "When it was made."),
      member<&D::customers>("customers", "Customers who were not erased."),
      member<&D::erased_customers>("erased_customers", "Customers who were."),
      member<&D::records>("records", "Records of all collections."),
      member<&D::values>("values", "Values of all fields."),
      member<&D::tokens>("tokens", "Tokens of all fields."),
      member<&D::damaged>("damaged", "Records that cannot be read: `journal verify --state`."),
      member<&D::collections>("collections", "What is held, by collection and field."),
      member<&D::purposes>("purposes", "What it may be used for.")};
  return kMembers;
}

std::span<const Member> ReportPeriod::described() {
  static constexpr Member kMembers[] = {
      member<&ReportPeriod::since>("since", "From this time on; the last 90 days unless said.", {},
                                   Place::query),
      member<&ReportPeriod::until>("until", "Before this time; up to now unless said.", {},
                                   Place::query)};
  return kMembers;
}

std::span<const Member> FieldUse::described() {
  using F = FieldUse;
  static constexpr Member kMembers[] = {
      member<&F::collection>("collection", "The collection."),
      member<&F::field>("field", "The field."),
      member<&F::values>("values", "Values that are there now."),
      member<&F::opened>("opened", "Events that opened or compared values of it."),
      member<&F::searched>("searched", "Searches by it."),
      member<&F::last>("last", "When it was last used in the period."),
      member<&F::unused>("unused", "Values are kept and none was used in the period.")};
  return kMembers;
}

std::span<const Member> UnusedReport::described() {
  using U = UnusedReport;
  static constexpr Member kMembers[] = {
      member<&U::since>("since", "The period's beginning."), member<&U::until>("until", "Its end."),
      member<&U::fields>("fields", "All fields; those collected and not used come first.")};
  return kMembers;
}

std::span<const Member> EpochCount::described() {
  using E = EpochCount;
  static constexpr Member kMembers[] = {
      member<&E::epoch>("epoch", "The epoch key's number."),
      member<&E::created>("created", "When it was made."),
      member<&E::active>("active", "Whether new customers' keys are wrapped by it."),
      member<&E::held>("held", "Whether the keyring holds it; else what it wraps is gone."),
      member<&E::subject_keys>("subject_keys", "Customers' keys that it wraps.")};
  return kMembers;
}

std::span<const Member> KeyCount::described() {
  static constexpr Member kMembers[] = {
      member<&KeyCount::key>("key", "The number of the key within its customer and keep group."),
      member<&KeyCount::values>("values", "Values sealed under keys of that number.")};
  return kMembers;
}

std::span<const Member> IndexKeyCount::described() {
  using I = IndexKeyCount;
  static constexpr Member kMembers[] = {
      member<&I::key>("key", "The index key's number."),
      member<&I::terms>("terms", "Terms and entries of postings that were made under it.")};
  return kMembers;
}

std::span<const Member> TokenKeyCount::described() {
  using T = TokenKeyCount;
  static constexpr Member kMembers[] = {
      member<&T::key>("key", "The token key's number."),
      member<&T::tokens>("tokens", "Tokens found by their text or value under it.")};
  return kMembers;
}

std::span<const Member> RingKey::described() {
  using H = RingKey;
  static constexpr Member kMembers[] = {member<&H::use>("use", "What the key is for."),
                                        member<&H::key>("key", "Its number."),
                                        member<&H::created>("created", "When it was made."),
                                        member<&H::active>("active", "Whether new work uses it.")};
  return kMembers;
}

std::span<const Member> KeyVersions::described() {
  using K = KeyVersions;
  static constexpr Member kMembers[] = {
      member<&K::at>("at", "When it was counted."),
      member<&K::epochs>("epochs", "Customers' keys by epoch key."),
      member<&K::values>("values", "Sealed values by the number of their key."),
      member<&K::index_keys>("index_keys", "What is in indexes by the key that it was made under."),
      member<&K::index_terms>("index_terms", "Terms in blind indexes, and entries of postings."),
      member<&K::external_ids>("external_ids", "Customers found by the shop's own id."),
      member<&K::tokens>("tokens", "Tokens."),
      member<&K::token_keys>("token_keys", "Tokens with a shape or a scope, by token key."),
      member<&K::damaged>("damaged", "Records that cannot be read: `journal verify --state`."),
      member<&K::keys>("keys", "What the keyring holds.")};
  return kMembers;
}

std::span<const Member> Controller::described() {
  using C = Controller;
  static constexpr Member kMembers[] = {
      member<&C::name>("name", "The controller."),
      member<&C::address>("address", "The controller's address."),
      member<&C::email>("email", "The controller's email."),
      member<&C::phone>("phone", "The controller's phone."),
      member<&C::representative>("representative", "The representative in the Union."),
      member<&C::officer>("officer", "The data protection officer and how to reach them."),
      member<&C::recipients>("recipients", "Categories of recipients."),
      member<&C::transfers>("transfers", "Transfers to third countries and their safeguards.")};
  return kMembers;
}

std::span<const Member> ProcessedField::described() {
  using P = ProcessedField;
  static constexpr Member kMembers[] = {member<&P::collection>("collection", "The collection."),
                                        member<&P::field>("field", "The category of data."),
                                        member<&P::field_class>("class", "How sensitive it is."),
                                        member<&P::time_limit>("time_limit", "When it is erased.")};
  return kMembers;
}

std::span<const Member> ProcessingActivity::described() {
  using P = ProcessingActivity;
  static constexpr Member kMembers[] = {
      member<&P::purpose>("purpose", "The purpose."),
      member<&P::legal_basis>("legal_basis", "Its legal basis (GDPR art. 6)."),
      member<&P::doc>("doc", "What it covers."),
      member<&P::data_subjects>("data_subjects", "Whose data."),
      member<&P::fields>("fields", "Categories of personal data, with time limits.")};
  return kMembers;
}

std::span<const Member> Art30Record::described() {
  using A = Art30Record;
  static constexpr Member kMembers[] = {
      member<&A::at>("at", "When it was made."),
      member<&A::controller>("controller", "Who is responsible: the settings `controller.*`."),
      member<&A::missing>("missing", "Settings that art. 30 asks for and that are not set."),
      member<&A::activities>("activities", "By purpose."),
      member<&A::measures>("measures", "Technical and organisational measures (art. 32).")};
  return kMembers;
}

std::span<const Member> ActorOpenings::described() {
  using A = ActorOpenings;
  static constexpr Member kMembers[] = {
      member<&A::actor>("actor", "Who: the person a key spoke for (`per_...`), or the key."),
      member<&A::principal>("principal", "The key."),
      member<&A::events>("events", "Events that opened something."),
      member<&A::subjects>("subjects", "Different customers."),
      member<&A::fields>("fields", "Different fields."),
      member<&A::first>("first", "The first opening of the period."),
      member<&A::last>("last", "The last."),
      member<&A::purposes>("purposes", "What for.")};
  return kMembers;
}

std::span<const Member> OpeningsReport::described() {
  using O = OpeningsReport;
  static constexpr Member kMembers[] = {
      member<&O::since>("since", "The period's beginning."), member<&O::until>("until", "Its end."),
      member<&O::events>("events", "Events that opened something."),
      member<&O::subjects>("subjects", "Different customers over all."),
      member<&O::actors>("actors", "Who opened most comes first.")};
  return kMembers;
}

}  // namespace holdfast::vault
