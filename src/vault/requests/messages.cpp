#include "vault/requests/messages.h"

namespace holdfast::vault {
namespace {

constexpr Limits kText{.bytes = 10'000};

template <auto M>
constexpr Member request_member() {
  return member<M>("request", "The request: `dsr_...`.", {}, Place::path);
}

}  // namespace

std::span<const std::string_view> enum_names(DemandKind) {
  static constexpr std::string_view kNames[] = {"access",   "rectify", "erase",
                                                "restrict", "object",  "port"};
  return kNames;
}

std::span<const std::string_view> enum_names(DemandState) {
  static constexpr std::string_view kNames[] = {"open", "answered"};
  return kNames;
}

std::span<const std::string_view> enum_names(IdentityCheck) {
  static constexpr std::string_view kNames[] = {"unchecked", "account_login", "known_contact",
                                                "document", "in_person"};
  return kNames;
}

std::span<const std::string_view> enum_names(DemandOutcome) {
  static constexpr std::string_view kNames[] = {"granted", "granted_in_part", "refused",
                                                "withdrawn"};
  return kNames;
}

std::span<const Member> OpenRequest::described() {
  using O = OpenRequest;
  static constexpr Member kMembers[] = {
      member<&O::subject>("subject", "The customer: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}),
      member<&O::kind>("kind", "What they ask for."),
      member<&O::received>("received", "When it came in; now unless said."),
      member<&O::identity>("identity",
                           "How it was made sure that it is them; unchecked unless "
                           "said."),
      member<&O::text>("text", "What they wrote; kept sealed.", kText, Place::body,
                       Sensitivity::personal),
      member<&O::on_behalf_of>("on_behalf_of",
                               "Who is behind the call, such as `staff:17`; customers ask for "
                               "themselves only.",
                               {.bytes = 128})};
  return kMembers;
}

std::span<const Member> RequestView::described() {
  using R = RequestView;
  static constexpr Member kMembers[] = {
      member<&R::request>("request", "The request's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::kind>("kind", "What they ask for."),
      member<&R::state>("state", "Whether it is answered."),
      member<&R::received>("received", "When it came in."),
      member<&R::due>("due", "Until when it must be answered (GDPR art. 12(3))."),
      member<&R::overdue>("overdue", "Whether it is late."),
      member<&R::identity>("identity", "How it was made sure that it is them."),
      member<&R::extended>("extended", "Whether two months were added."),
      member<&R::answered>("answered", "When it was answered."),
      member<&R::outcome>("outcome", "How it ended."),
      member<&R::event>("event", "The journal entry of what was done."),
      member<&R::text>("text", "What they wrote; shown by `requests get` alone.", kText,
                       Place::body, Sensitivity::personal),
      member<&R::answer>("answer", "What was answered; shown by `requests get` alone.", kText,
                         Place::body, Sensitivity::personal),
      member<&R::version>("version", "Counts its changes.")};
  return kMembers;
}

std::span<const Member> ListRequests::described() {
  using L = ListRequests;
  static constexpr Member kMembers[] = {
      member<&L::state>("state", "open unless said; those due first come first.", {}, Place::query),
      member<&L::subject>("subject", "Of one customer: all of theirs, oldest first.",
                          {.bytes = 260}, Place::query),
      member<&L::limit>("limit", "At most so many; 50 unless said.", {.min = 1, .max = 500},
                        Place::query),
      member<&L::after>("after", "`next` of the page before.", {.bytes = 64}, Place::query)};
  return kMembers;
}

std::span<const Member> RequestPage::described() {
  using R = RequestPage;
  static constexpr Member kMembers[] = {
      member<&R::requests>("requests", "Without their texts."),
      member<&R::overdue>("overdue", "How many open ones of all are late."),
      member<&R::next>("next", "Give it as `after` for the next page; absent on the last.")};
  return kMembers;
}

std::span<const Member> GetRequest::described() {
  static constexpr Member kMembers[] = {request_member<&GetRequest::request>()};
  return kMembers;
}

std::span<const Member> UpdateRequest::described() {
  using U = UpdateRequest;
  static constexpr Member kMembers[] = {
      request_member<&U::request>(),
      member<&U::identity>("identity", "How it was made sure that it is them."),
      member<&U::extend>("extend", "Add two months, once, before it is due; needs a reason."),
      member<&U::reason>("reason", "Why, as the customer was told; kept sealed.", {.bytes = 2000},
                         Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> AnswerRequest::described() {
  using A = AnswerRequest;
  static constexpr Member kMembers[] = {
      request_member<&A::request>(), member<&A::outcome>("outcome", "How it ended."),
      member<&A::event>("event", "The journal entry of what was done for it, such as the erasure."),
      member<&A::text>("text", "What was answered; kept sealed. Needed to refuse.", kText,
                       Place::body, Sensitivity::personal)};
  return kMembers;
}

}  // namespace holdfast::vault
