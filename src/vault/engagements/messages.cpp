#include "vault/engagements/messages.h"

namespace holdfast::vault {
namespace {

constexpr Limits kName{.bytes = 63};
constexpr Limits kRef{.bytes = 260};
constexpr Limits kPerson{.bytes = 100};
constexpr Limits kReference{.bytes = 256};

}  // namespace

std::span<const Member> OpenEngagement::described() {
  using E = OpenEngagement;
  static constexpr Member kMembers[] = {
      member<&E::subject>("subject", "The customer: `sub_...`, or `ext:` and the shop's own id.",
                          kRef),
      member<&E::kind>("kind", "A declared kind, such as `ticket`.", kName),
      member<&E::reference>("reference", "The shop's number of the order, ticket, return or call.",
                            kReference, Place::body, Sensitivity::personal),
      member<&E::assignee>("assignee",
                           "Who works on it: `staff:17`, or a key's id. Grants can demand it.",
                           kPerson, Place::body, Sensitivity::personal),
      member<&E::life>("life",
                       "How long it stays open, such as `2 days`; the kind's longest unless "
                       "said.",
                       {.bytes = 32}),
      member<&E::on_behalf_of>("on_behalf_of", "Whom the key acts for, such as `staff:17`.",
                               kPerson)};
  return kMembers;
}

std::span<const Member> EngagementView::described() {
  using E = EngagementView;
  static constexpr Member kMembers[] = {
      member<&E::engagement>("engagement", "Its id, to name in reveals."),
      member<&E::subject>("subject", "The customer."),
      member<&E::kind>("kind", "What it is."),
      member<&E::live>("live", "Whether it is open now."),
      member<&E::opened>("opened", "When it was opened."),
      member<&E::closes>("closes", "When it closes by itself."),
      member<&E::closed>("closed", "When it was closed."),
      member<&E::opener>("opener", "The key that opened it, which may not reveal under it."),
      member<&E::opener_person>("opener_person",
                                "The person behind that, as the journal names "
                                "them; may not reveal under it either."),
      member<&E::reference>("reference", "The shop's number; absent when the customer was erased.",
                            kReference, Place::body, Sensitivity::personal),
      member<&E::assignee>("assignee", "Who works on it.", kPerson, Place::body,
                           Sensitivity::personal),
      member<&E::version>("version", "Counts its changes.")};
  return kMembers;
}

std::span<const Member> CloseEngagement::described() {
  using E = CloseEngagement;
  static constexpr Member kMembers[] = {
      member<&E::engagement>("engagement", "The engagement.", {}, Place::path),
      member<&E::reason>("reason", "Kept sealed beside the journal entry.", {.bytes = 1000},
                         Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> ListEngagements::described() {
  using E = ListEngagements;
  static constexpr Member kMembers[] = {
      member<&E::subject>("subject", "Only this customer's, as `sub_...`.", {.bytes = 30},
                          Place::query),
      member<&E::live>("live", "Only open ones (true), or only closed ones.", {}, Place::query),
      member<&E::after>("after", "`next` of the page before.", {}, Place::query),
      member<&E::limit>("limit", "At most so many; 50 unless said.", {.min = 1, .max = 500},
                        Place::query)};
  return kMembers;
}

std::span<const Member> FindEngagements::described() {
  using E = FindEngagements;
  static constexpr Member kMembers[] = {
      member<&E::kind>("kind", "A declared kind.", kName),
      member<&E::reference>("reference", "The shop's number.", kReference, Place::body,
                            Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> EngagementPage::described() {
  using E = EngagementPage;
  static constexpr Member kMembers[] = {
      member<&E::engagements>("engagements", "Oldest first.", {}, Place::body,
                              Sensitivity::personal),
      member<&E::damaged>("damaged",
                          "How many rows of this page do not authenticate: see `holdfast "
                          "journal verify --state`."),
      member<&E::next>("next", "For the next page; absent at the end.")};
  return kMembers;
}

std::span<const Member> KindRef::described() {
  static constexpr Member kMembers[] = {
      member<&KindRef::kind>("kind", "The kind.", kName, Place::path)};
  return kMembers;
}

std::span<const Member> KindList::described() {
  static constexpr Member kMembers[] = {
      member<&KindList::kinds>("kinds", "All that are declared, by name.")};
  return kMembers;
}

std::span<const Member> DeletedKind::described() {
  using D = DeletedKind;
  static constexpr Member kMembers[] = {
      member<&D::deleted>("deleted", "True."),
      member<&D::event>("event", "The journal entry that proves it.")};
  return kMembers;
}

}  // namespace holdfast::vault
