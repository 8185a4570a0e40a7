#include "ledger/types.h"

namespace holdfast::ledger {
namespace {

constexpr Limits kOperation{.bytes = 64};
constexpr Limits kActor{.bytes = 64};
constexpr Limits kPageSize{.min = 1, .max = kLargestPage};
constexpr auto kPersonal = Sensitivity::personal;

}  // namespace

std::span<const Member> ListEntries::described() {
  using R = ListEntries;
  static constexpr Member kMembers[] = {
      member<&R::operation>("operation", "Only this operation, such as `records.reveal`.",
                            kOperation, Place::query),
      member<&R::actor>("actor",
                        "Only what this key (`key_...`) or person (`per_...`, see "
                        "journal.pseudonym) did.",
                        kActor, Place::query),
      member<&R::subject>("subject", "Only events that touched this subject.", {}, Place::query),
      member<&R::outcome>("outcome", "Only events that ended so.", {}, Place::query),
      member<&R::since>("since", "Only events at or after this time.", {}, Place::query),
      member<&R::until>("until", "Only events before this time.", {}, Place::query),
      member<&R::after>("after",
                        "The `next` of the page before. A page may hold fewer entries than asked "
                        "for, even none, while there is a `next`.",
                        {.bytes = 32}, Place::query),
      member<&R::limit>("limit", "Entries per page; 100 by default.", kPageSize, Place::query)};
  return kMembers;
}

std::span<const Member> JournalEntry::described() {
  using R = JournalEntry;
  static constexpr Member kMembers[] = {
      member<&R::seq>("seq", "Its number in the log, from 0."),
      member<&R::id>("id", "`evt_...`"),
      member<&R::at>("at", "When it was committed."),
      member<&R::operation>("operation", "What was done.", kOperation),
      member<&R::principal>("principal", "The key that did it, or `system`.", kActor),
      member<&R::actor>("actor", "The person that the key acted for (`per_...`), else the key.",
                        kActor),
      member<&R::outcome>(
          "outcome",
          "success, refused or failed; in a list `damaged` where the entry is not as "
          "the tree has it: nothing else of it is shown."),
      member<&R::reason>("reason", "Code of a refusal or failure."),
      member<&R::purpose>("purpose", "The declared purpose."),
      member<&R::collection>("collection", "The collection of the records."),
      member<&R::fields>("fields", "Names of the fields."),
      member<&R::opened>("opened", "Whether sealed values were opened."),
      member<&R::touched>("touched", "How many rows it touched."),
      member<&R::subject>("subject", "Whose row, when it is one."),
      member<&R::kind>("kind", "What kind of row, when it is one."),
      member<&R::request_id>("request_id", "The request's id."),
      member<&R::event>("event", "The entry itself: an OCSF event (class 6003), canonical JSON.",
                        {.bytes = journal::kLongestEntry})};
  return kMembers;
}

std::span<const Member> EntryList::described() {
  using R = EntryList;
  static constexpr Member kMembers[] = {
      member<&R::entries>("entries", "Newest first.", {.count = kLargestPage}),
      member<&R::next>("next", "Give it as `after` for the next page.")};
  return kMembers;
}

std::span<const Member> EntryRef::described() {
  using R = EntryRef;
  static constexpr Member kMembers[] = {
      member<&R::entry>("entry", "The entry's number or `evt_...`.", {.bytes = 40}, Place::path)};
  return kMembers;
}

std::span<const Member> ProofRequest::described() {
  using R = ProofRequest;
  static constexpr Member kMembers[] = {
      member<&R::entry>("entry", "The entry's number or `evt_...`.", {.bytes = 40}, Place::path),
      member<&R::subject>("subject", "Of a batch: prove what it did to this subject.", {},
                          Place::query)};
  return kMembers;
}

std::span<const Member> EntrySides::described() {
  using R = EntrySides;
  static constexpr Member kMembers[] = {
      member<&R::seq>("seq", "The entry's number."),
      member<&R::id>("id", "`evt_...`"),
      member<&R::address>("address", "Where the request came from.", {.bytes = 256}, Place::body,
                          kPersonal),
      member<&R::user_agent>("user_agent", "What the client called itself.", {.bytes = 256},
                             Place::body, kPersonal),
      member<&R::on_behalf_of>("on_behalf_of", "Whom the key acted for, as it said.",
                               {.bytes = 256}, Place::body, kPersonal),
      member<&R::note>("note", "The reason that was written.", {.bytes = 65'536}, Place::body,
                       kPersonal),
      member<&R::gone>("gone", "Whether there was more that is past its keep time.")};
  return kMembers;
}

std::span<const Member> NoArguments::described() {
  return {};
}

std::span<const Member> ConsistencyRequest::described() {
  using R = ConsistencyRequest;
  static constexpr Member kMembers[] = {
      member<&R::from>("from", "Size of the older tree.", {}, Place::query),
      member<&R::to>("to", "Size of the newer tree; the whole log by default.", {}, Place::query)};
  return kMembers;
}

std::span<const Member> VerifyLog::described() {
  using R = VerifyLog;
  static constexpr Member kMembers[] = {
      member<&R::state>("state", "Also compare the rows with what the events left behind.")};
  return kMembers;
}

std::span<const Member> FoundFault::described() {
  using R = FoundFault;
  static constexpr Member kMembers[] = {
      member<&R::fault>("fault", "What is wrong."),
      member<&R::seq>("seq", "At which entry; for a tile the first entry below it.")};
  return kMembers;
}

std::span<const Member> FoundRow::described() {
  using R = FoundRow;
  static constexpr Member kMembers[] = {
      member<&R::kind>("kind", "What kind of row."),
      member<&R::row>("row", "Its id or name; base64url of a key that is neither.",
                      {.bytes = 4096}),
      member<&R::seq>("seq", "The last event that touched it.")};
  return kMembers;
}

std::span<const Member> FoundState::described() {
  using R = FoundState;
  constexpr Limits named{.count = 100};
  static constexpr Member kMembers[] = {
      member<&R::rows>("rows", "Rows that were looked at."),
      member<&R::moving>("moving", "Left out, since events touched them meanwhile."),
      member<&R::changed_total>("changed_total",
                                "Rows that are not as their last event left them."),
      member<&R::unrecorded_total>("unrecorded_total", "Rows that no event made."),
      member<&R::missing_total>("missing_total", "Rows that no event removed."),
      member<&R::closed_total>("closed_total",
                               "Rows whose sealed values do not open: a customer's key is gone "
                               "from the database, or another one stands in its place."),
      member<&R::changed>("changed", "The first of them.", named),
      member<&R::unrecorded>("unrecorded", "The first of them.", named),
      member<&R::missing>("missing", "The first of them.", named),
      member<&R::closed>("closed", "The first of them.", named)};
  return kMembers;
}

std::span<const Member> Verification::described() {
  using R = Verification;
  static constexpr Member kMembers[] = {
      member<&R::good>("good", "Whether nothing is wrong."),
      member<&R::entries>("entries", "Entries that were checked."),
      member<&R::batches>("batches", "Batches among them."),
      member<&R::leaves>("leaves", "Leaves of batches that hold."),
      member<&R::checkpoint_root>("checkpoint_root", "Root of the signed head, base64."),
      member<&R::verifier>("verifier", "The key under which the head was checked."),
      member<&R::root_matches>("root_matches", "Whether the entries give that root."),
      member<&R::witness_matches>("witness_matches",
                                  "Whether the log holds what the witness outside has seen."),
      member<&R::faults_total>("faults_total", "How many faults."),
      member<&R::faults>("faults", "The first hundred.", {.count = 100}),
      member<&R::state>("state", "What the rows say.")};
  return kMembers;
}

std::span<const Member> ScopeRequest::described() {
  using R = ScopeRequest;
  static constexpr Member kMembers[] = {
      member<&R::actor>("actor", "`key_...`, `staff_...` or `per_...` (see journal.pseudonym).",
                        kActor, Place::query),
      member<&R::after>("after", "The `next` of the page before.", {}, Place::query),
      member<&R::limit>("limit", "Subjects per page; 100 by default.", kPageSize, Place::query)};
  return kMembers;
}

std::span<const Member> ScopeSubject::described() {
  using R = ScopeSubject;
  static constexpr Member kMembers[] = {member<&R::subject>("subject", "Whose values were opened."),
                                        member<&R::first>("first", "When first."),
                                        member<&R::last>("last", "When last."),
                                        member<&R::first_seq>("first_seq", "In which entry first."),
                                        member<&R::last_seq>("last_seq", "In which entry last."),
                                        member<&R::events>("events", "In how many events.")};
  return kMembers;
}

std::span<const Member> Scope::described() {
  using R = Scope;
  static constexpr Member kMembers[] = {
      member<&R::actor>("actor", "Whose scope.", kActor),
      member<&R::subjects>("subjects", "By id.", {.count = kLargestPage}),
      member<&R::total>("total", "How many subjects in all; on the first page."),
      member<&R::next>("next", "Give it as `after` for the next page.")};
  return kMembers;
}

std::span<const Member> PseudonymRequest::described() {
  using R = PseudonymRequest;
  static constexpr Member kMembers[] = {
      member<&R::person>("person", "As keys name them in on_behalf_of, such as `staff:17`.",
                         {.bytes = 256}, Place::body, kPersonal)};
  return kMembers;
}

std::span<const Member> Pseudonym::described() {
  using R = Pseudonym;
  static constexpr Member kMembers[] = {
      member<&R::actor>("actor", "`per_...`, as entries name the person.", kActor)};
  return kMembers;
}

std::span<const Member> EventsRequest::described() {
  using R = EventsRequest;
  static constexpr Member kMembers[] = {member<&R::after>(
      "after", "Go on behind this entry; without, only what comes from now on is sent.", {},
      Place::query)};
  return kMembers;
}

}  // namespace holdfast::ledger
