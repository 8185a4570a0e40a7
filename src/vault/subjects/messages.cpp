#include "vault/subjects/messages.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kSubjectDoc = "The customer: `sub_...` or `ext:` and the shop's own id.";
constexpr std::string_view kNoteDoc = "Why, for the journal; kept sealed.";
constexpr std::string_view kPersonDoc =
    "Who is behind the call, such as `customer:4711`; customers decide about themselves only.";

template <auto M>
constexpr Member subject_member() {
  return member<M>("subject", kSubjectDoc, {.bytes = 260}, Place::path);
}
template <auto M>
constexpr Member note_member() {
  return member<M>("note", kNoteDoc, {.bytes = 2000}, Place::body, Sensitivity::personal);
}
template <auto M>
constexpr Member person_member() {
  return member<M>("on_behalf_of", kPersonDoc, {.bytes = 128});
}
template <auto M>
constexpr Member restricted_member() {
  return member<M>("restricted", "Since when and why processing is restricted (GDPR art. 18).");
}
template <auto M>
constexpr Member purposes_member() {
  return member<M>("purposes", "Purposes that the customer said something about.");
}

}  // namespace

std::span<const std::string_view> enum_names(ExportFormat) {
  static constexpr std::string_view kNames[] = {"json", "html"};
  return kNames;
}

RestrictionView view_of(const Restriction& restriction) {
  return {restriction.ground, restriction.since};
}

std::vector<PurposeView> views_of(const Standing& standing) {
  std::vector<PurposeView> out;
  for (const auto& one : standing.purposes) {
    PurposeView view{.purpose = one.purpose,
                     .consent = one.consent,
                     .consent_at = {},
                     .objected = one.objected,
                     .objected_at = {}};
    if (one.consent != Consent::none) view.consent_at = one.consent_at;
    if (one.objected_at != Time{}) view.objected_at = one.objected_at;
    out.push_back(std::move(view));
  }
  return out;
}

std::span<const Member> SubjectRequest::described() {
  static constexpr Member kMembers[] = {subject_member<&SubjectRequest::subject>()};
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
      member<&S::aliases>("aliases", "Customers who were merged into this one."),
      restricted_member<&S::restricted>(),
      purposes_member<&S::purposes>(),
      member<&S::keep_groups>("keep_groups",
                              "Keep groups that hold a key: what can still be opened."),
      member<&S::records>("records", "The customer's records, without values.")};
  return kMembers;
}

std::span<const Member> EraseSubject::described() {
  using E = EraseSubject;
  static constexpr Member kMembers[] = {
      subject_member<&E::subject>(),
      member<&E::groups>("groups", "Only these keep groups; all that no duty holds unless said.",
                         {.bytes = 63, .count = 50}),
      member<&E::reason>("reason", "Why, for the journal; kept sealed.", {.bytes = 500},
                         Place::body, Sensitivity::personal)};
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

std::span<const Member> RestrictionView::described() {
  using R = RestrictionView;
  static constexpr Member kMembers[] = {
      member<&R::ground>("ground", "Which case of GDPR art. 18(1) it is."),
      member<&R::since>("since", "Since when.")};
  return kMembers;
}

std::span<const Member> PurposeView::described() {
  using P = PurposeView;
  static constexpr Member kMembers[] = {
      member<&P::purpose>("purpose", "The purpose."),
      member<&P::consent>("consent", "What the customer said when asked to agree."),
      member<&P::consent_at>("consent_at", "When they said so."),
      member<&P::objected>("objected", "Whether an objection stands."),
      member<&P::objected_at>("objected_at", "When they objected, or it was lifted.")};
  return kMembers;
}

std::span<const Member> RectifyRecord::described() {
  using R = RectifyRecord;
  static constexpr Member kMembers[] = {
      subject_member<&R::subject>(), member<&R::record>("record", "Which record of theirs."),
      member<&R::values>("values", "The right values, by field; null takes one out.",
                         {.bytes = 65'536, .count = 200}, Place::body, Sensitivity::personal),
      member<&R::version>("version", "Only if the record still has this version."),
      note_member<&R::note>()};
  return kMembers;
}

std::span<const Member> RectifiedRecord::described() {
  using R = RectifiedRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record."), member<&R::subject>("subject", "The customer."),
      member<&R::version>("version", "The record's version now."),
      member<&R::changed>("changed", "Fields that were given; all others stay as they were."),
      member<&R::event>("event", "The journal entry of it.")};
  return kMembers;
}

std::span<const Member> RestrictSubject::described() {
  using R = RestrictSubject;
  static constexpr Member kMembers[] = {
      subject_member<&R::subject>(),
      member<&R::ground>("ground", "Which case of GDPR art. 18(1) it is."),
      note_member<&R::note>()};
  return kMembers;
}

std::span<const Member> UnrestrictSubject::described() {
  using U = UnrestrictSubject;
  static constexpr Member kMembers[] = {
      subject_member<&U::subject>(),
      member<&U::note>("note", "How the customer was told before (art. 18(3)); kept sealed.",
                       {.bytes = 2000}, Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> ObjectSubject::described() {
  using O = ObjectSubject;
  static constexpr Member kMembers[] = {
      subject_member<&O::subject>(),
      member<&O::purpose>("purpose", "What they object to.", {.bytes = 63}),
      member<&O::lifted>("lifted",
                         "The objection is withdrawn, or compelling grounds override it."),
      note_member<&O::note>(), person_member<&O::on_behalf_of>()};
  return kMembers;
}

std::span<const Member> ConsentSubject::described() {
  using C = ConsentSubject;
  static constexpr Member kMembers[] = {
      subject_member<&C::subject>(),
      member<&C::purpose>("purpose", "What they agree to.", {.bytes = 63}),
      member<&C::withdrawn>("withdrawn", "They take their consent back."),
      member<&C::evidence>("evidence",
                           "What proves it (art. 7(1)): the text shown, where and how they agreed; "
                           "kept sealed. Needed to give consent.",
                           {.bytes = 4000}, Place::body, Sensitivity::personal),
      person_member<&C::on_behalf_of>()};
  return kMembers;
}

std::span<const Member> StandingView::described() {
  using S = StandingView;
  static constexpr Member kMembers[] = {
      member<&S::subject>("subject", "The customer's id."), restricted_member<&S::restricted>(),
      purposes_member<&S::purposes>(), member<&S::event>("event", "The journal entry of it.")};
  return kMembers;
}

std::span<const Member> DecisionView::described() {
  using D = DecisionView;
  static constexpr Member kMembers[] = {
      member<&D::decision>("decision", "Its id."), member<&D::at>("at", "When."),
      member<&D::decided>("decided", "What was decided."),
      member<&D::purpose>("purpose", "For which purpose, where it was for one."),
      member<&D::evidence>("evidence", "What proves it, or why.", {.bytes = 4000}, Place::body,
                           Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> StandingHistory::described() {
  using S = StandingHistory;
  static constexpr Member kMembers[] = {
      member<&S::subject>("subject", "The customer's id."), restricted_member<&S::restricted>(),
      purposes_member<&S::purposes>(),
      member<&S::decisions>("decisions", "The last 500 decisions, newest first.", {.count = 500}),
      member<&S::event>("event", "The journal entry of this look.")};
  return kMembers;
}

std::span<const Member> MergeSubjects::described() {
  using M = MergeSubjects;
  static constexpr Member kMembers[] = {
      member<&M::subject>("subject", "The customer who stays: `sub_...` or `ext:...`.",
                          {.bytes = 260}, Place::path),
      member<&M::from>("from", "The one, such as a guest, who becomes another name of theirs.",
                       {.bytes = 260}),
      note_member<&M::note>()};
  return kMembers;
}

std::span<const Member> RenamedSlot::described() {
  using R = RenamedSlot;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record."),
      member<&R::collection>("collection", "Its collection."),
      member<&R::before>("before", "Its slot before, which the other customer had too."),
      member<&R::slot>("slot", "Its slot now.")};
  return kMembers;
}

std::span<const Member> MergedSubjects::described() {
  using M = MergedSubjects;
  static constexpr Member kMembers[] = {
      member<&M::subject>("subject", "The customer who stays."),
      member<&M::merged>("merged", "The one who is another name of theirs from now on."),
      member<&M::records>("records", "Records that moved."),
      member<&M::renamed>("renamed", "Those whose slot was taken."),
      member<&M::event>("event", "The journal entry of it.")};
  return kMembers;
}

std::span<const Member> ExportSubject::described() {
  using E = ExportSubject;
  static constexpr Member kMembers[] = {
      subject_member<&E::subject>(),
      member<&E::purpose>("purpose",
                          "`subject_request`, or `self_service` for the customer behind "
                          "the call.",
                          {.bytes = 63}),
      member<&E::format>("format", "json unless said; html is one file to read."),
      person_member<&E::on_behalf_of>()};
  return kMembers;
}

std::span<const Member> AccessesRequest::described() {
  using A = AccessesRequest;
  static constexpr Member kMembers[] = {
      subject_member<&A::subject>(),
      member<&A::before>("before", "Only entries with a lower number: `before` of the last page.",
                         {}, Place::query),
      member<&A::limit>("limit", "At most so many; 100 unless said.", {.min = 1, .max = 500},
                        Place::query)};
  return kMembers;
}

std::span<const Member> AccessNote::described() {
  using A = AccessNote;
  static constexpr Member kMembers[] = {
      member<&A::seq>("seq", "The entry's number in the journal."),
      member<&A::event>("event", "The entry's id, for `journal proof`."),
      member<&A::at>("at", "When."),
      member<&A::actor>(
          "actor",
          "Who: the key, or the pseudonym of the person whom it acted for. The key says that it "
          "was this person: Holdfast has not asked them."),
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
