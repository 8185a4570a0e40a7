#include "vault/subjects/service.h"

namespace holdfast::vault {
namespace {

constexpr Member kSubject = member<&SubjectRequest::subject>(
    "subject", "The customer: `sub_...` or `ext:` and the shop's own id.", {.bytes = 260},
    holdfast::Place::path);

}  // namespace

std::span<const Member> SubjectRequest::described() {
  static constexpr Member kMembers[] = {kSubject};
  return kMembers;
}

std::span<const Member> RecordNote::described() {
  using R = RecordNote;
  static constexpr Member kMembers[] = {member<&R::record>("record", "The record's id."),
                                        member<&R::collection>("collection", "Its collection."),
                                        member<&R::slot>("slot", "Its name among the customer's."),
                                        member<&R::version>("version", "Counts its changes.")};
  return kMembers;
}

std::span<const Member> SubjectView::described() {
  using S = SubjectView;
  static constexpr Member kMembers[] = {
      member<&S::subject>("subject", "The customer's id."),
      member<&S::created>("created", "When first seen."),
      member<&S::erased>("erased", "When erased."),
      member<&S::has_external_id>("has_external_id", "Whether the shop's own id is known."),
      member<&S::keep_groups>("keep_groups",
                              "Keep groups that hold a key: what can still be opened."),
      member<&S::records>("records", "The customer's records, without values.")};
  return kMembers;
}

std::span<const Member> EraseSubject::described() {
  using E = EraseSubject;
  static constexpr Member kMembers[] = {
      member<&E::subject>("subject", "The customer: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}, holdfast::Place::path),
      member<&E::groups>("groups", "Only these keep groups; all that no duty holds unless said.",
                         {.bytes = 63, .count = 50}),
      member<&E::reason>("reason", "Why, for the journal; kept sealed.", {.bytes = 500},
                         holdfast::Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> HeldGroup::described() {
  using H = HeldGroup;
  static constexpr Member kMembers[] = {
      member<&H::group>("group", "The keep group."),
      member<&H::until>("until", "The end of the duty that holds it.")};
  return kMembers;
}

std::span<const Member> ErasedSubject::described() {
  using E = ErasedSubject;
  static constexpr Member kMembers[] = {
      member<&E::subject>("subject",
                          "The customer's id, of whom nothing else is left but what is held."),
      member<&E::erased>("erased", "Keep groups whose keys were destroyed."),
      member<&E::held>("held", "Keep groups that a duty holds, and until when."),
      member<&E::records>("records", "Records deleted."),
      member<&E::values>("values", "Values erased."),
      member<&E::tokens>("tokens", "Tokens deleted."),
      member<&E::event>("event", "The journal entry that proves it.")};
  return kMembers;
}

std::span<const Member> AccessesRequest::described() {
  using A = AccessesRequest;
  static constexpr Member kMembers[] = {
      member<&A::subject>("subject", "The customer: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}, holdfast::Place::path),
      member<&A::before>("before", "Only entries with a lower number: `before` of the last page.",
                         {}, holdfast::Place::query),
      member<&A::limit>("limit", "At most so many; 100 unless said.", {.min = 1, .max = 500},
                        holdfast::Place::query)};
  return kMembers;
}

std::span<const Member> AccessNote::described() {
  using A = AccessNote;
  static constexpr Member kMembers[] = {
      member<&A::seq>("seq", "The entry's number in the journal."),
      member<&A::event>("event", "The entry's id, for `journal proof`."),
      member<&A::at>("at", "When."),
      member<&A::actor>("actor", "Who: the key, or the pseudonym of the person whom it acted for."),
      member<&A::key>("key", "The API key that was used."),
      member<&A::operation>("operation", "What was done."),
      member<&A::purpose>("purpose", "What for."),
      member<&A::fields>("fields", "Which fields were opened.")};
  return kMembers;
}

std::span<const Member> AccessList::described() {
  using A = AccessList;
  static constexpr Member kMembers[] = {
      member<&A::subject>("subject", "The customer's id."),
      member<&A::accesses>("accesses", "Newest first, each checked against the journal's tree."),
      member<&A::before>("before", "Give it as `before` for the next page; absent on the last.")};
  return kMembers;
}

}  // namespace holdfast::vault
