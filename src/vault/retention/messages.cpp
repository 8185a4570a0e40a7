#include "vault/retention/messages.h"

namespace holdfast::vault {

std::span<const Member> PreviewRetention::described() {
  static constexpr Member kMembers[] = {member<&PreviewRetention::days>(
      "days", "How far to look ahead; 30 unless said.", {.min = 0, .max = 36'500}, Place::query)};
  return kMembers;
}

std::span<const Member> DueField::described() {
  using D = DueField;
  static constexpr Member kMembers[] = {
      member<&D::collection>("collection", "The collection."),
      member<&D::field>("field", "The field."),
      member<&D::keep>("keep", "How long its values are kept."),
      member<&D::from>("from", "What that counts from."),
      member<&D::overdue>("overdue", "Values that are due now and go with the next sweep."),
      member<&D::due>("due", "Values that become due within the days, those due now included."),
      member<&D::held>("held", "Of these, values that a legal hold keeps."),
      member<&D::oldest>("oldest", "When the first of them became or becomes due.")};
  return kMembers;
}

std::span<const Member> RetentionPreview::described() {
  using R = RetentionPreview;
  static constexpr Member kMembers[] = {
      member<&R::as_of>("as_of", "Journal time, which the sweep follows."),
      member<&R::until>("until", "The end of the days looked ahead."),
      member<&R::records>("records", "Records looked at."),
      member<&R::values>("values", "Values that become due, those due now included."),
      member<&R::held>("held", "Of these, values that a legal hold keeps."),
      member<&R::damaged>("damaged", "Records that cannot be read: `journal verify --state`."),
      member<&R::fields>("fields", "By collection and field; only fields with values due.")};
  return kMembers;
}

std::span<const Member> PlaceHold::described() {
  using P = PlaceHold;
  static constexpr Member kMembers[] = {
      member<&P::subject>("subject", "Whose data: `sub_...` or `ext:` and the shop's own id.",
                          {.bytes = 260}),
      member<&P::collection>("collection", "Or all records of this collection.", {.bytes = 63}),
      member<&P::reason>("reason", "Why; kept sealed.", {.bytes = 500}, Place::body,
                         Sensitivity::personal),
      member<&P::until>("until", "When it ends by itself; it stays until lifted unless said.")};
  return kMembers;
}

std::span<const Member> LiftHold::described() {
  using L = LiftHold;
  static constexpr Member kMembers[] = {
      member<&L::hold>("hold", "The hold.", {}, Place::path),
      member<&L::reason>("reason", "Why, for the journal; kept sealed.", {.bytes = 500},
                         Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> HoldView::described() {
  using H = HoldView;
  static constexpr Member kMembers[] = {
      member<&H::hold>("hold", "The hold."),
      member<&H::subject>("subject", "The customer whose data it keeps."),
      member<&H::collection>("collection", "The collection whose records it keeps."),
      member<&H::placed_by>("placed_by", "Who placed it."),
      member<&H::placed>("placed", "When."),
      member<&H::until>("until", "When it ends by itself."),
      member<&H::lifted>("lifted", "When it was lifted."),
      member<&H::lifted_by>("lifted_by", "Who lifted it; `system` when its time ended."),
      member<&H::reason>("reason", "Why it was placed.", {.bytes = 500}, Place::body,
                         Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> ListHolds::described() {
  using L = ListHolds;
  static constexpr Member kMembers[] = {
      member<&L::ended>("ended", "Show lifted ones, too.", {}, Place::query),
      member<&L::after>("after", "`next` of an earlier page.", {.bytes = 64}, Place::query),
      member<&L::limit>("limit", "How many; 100 unless said.", {.min = 1, .max = 500},
                        Place::query)};
  return kMembers;
}

std::span<const Member> HoldList::described() {
  static constexpr Member kMembers[] = {
      member<&HoldList::holds>("holds", "Legal holds, oldest first."),
      member<&HoldList::next>("next", "To be given as `after` for the next page.")};
  return kMembers;
}

std::span<const Member> NoRetentionArguments::described() {
  return {};
}

std::span<const Member> SweepView::described() {
  using S = SweepView;
  static constexpr Member kMembers[] = {
      member<&S::running>("running", "Whether a pass is under way."),
      member<&S::started>("started", "When the last pass began, by the clock."),
      member<&S::finished>("finished", "When the last pass ended."),
      member<&S::records>("records", "Records that it removed as a whole."),
      member<&S::values>("values", "Values that it removed."),
      member<&S::tokens>("tokens", "Tokens that went with them."),
      member<&S::held>("held", "Values that are due and that a legal hold keeps."),
      member<&S::damaged>("damaged", "Records that it could not read: `journal verify --state`."),
      member<&S::others>("others", "Rows of other kinds that it removed."),
      member<&S::stopped>("stopped", "Why the last pass did not get to its end.")};
  return kMembers;
}

std::span<const Member> RetentionStatus::described() {
  using R = RetentionStatus;
  static constexpr Member kMembers[] = {
      member<&R::journal_time>("journal_time", "What irreversible work follows."),
      member<&R::clock>("clock", "This server's clock."),
      member<&R::behind_ms>("behind_ms",
                            "What journal time lacks of the clock; negative: the clock was set "
                            "back.",
                            {.min = INT64_MIN, .max = INT64_MAX}),
      member<&R::allowance_ms>("allowance_ms", "What gaps may still count by themselves."),
      member<&R::confirmations>("confirmations", "How often the time was confirmed."),
      member<&R::holds>("holds", "Legal holds in force."),
      member<&R::database_drift_ms>("database_drift_ms",
                                    "This server's clock minus the database server's.",
                                    {.min = INT64_MIN, .max = INT64_MAX}),
      member<&R::refused>("refused", "Why irreversible work stands still."),
      member<&R::sweep>("sweep", "The last pass of the sweep.")};
  return kMembers;
}

std::span<const Member> ConfirmTime::described() {
  static constexpr Member kMembers[] = {member<&ConfirmTime::time>(
      "time", "What time it is by a clock of your own, to within five minutes.")};
  return kMembers;
}

std::span<const Member> ConfirmedTime::described() {
  using C = ConfirmedTime;
  static constexpr Member kMembers[] = {
      member<&C::journal_time>("journal_time", "What irreversible work follows from now on."),
      member<&C::behind_ms>("behind_ms", "What it lacks of the clock.",
                            {.min = INT64_MIN, .max = INT64_MAX})};
  return kMembers;
}

std::span<const Member> ReportRetention::described() {
  using R = ReportRetention;
  static constexpr Member kMembers[] = {
      member<&R::since>("since", "From this time on; the last 30 days unless said.", {},
                        Place::query),
      member<&R::until>("until", "Before this time; up to now unless said.", {}, Place::query),
      member<&R::after>("after", "`next` of an earlier page.", {}, Place::query),
      member<&R::limit>("limit", "How many batches; 100 unless said.", {.min = 1, .max = 1000},
                        Place::query)};
  return kMembers;
}

std::span<const Member> WentField::described() {
  static constexpr Member kMembers[] = {
      member<&WentField::field>("field", "The field."),
      member<&WentField::values>("values", "Values of it that went.")};
  return kMembers;
}

std::span<const Member> WentBatch::described() {
  using W = WentBatch;
  static constexpr Member kMembers[] = {
      member<&W::seq>("seq", "The entry's number in the journal."),
      member<&W::event>("event", "The entry: `journal proof` proves it."),
      member<&W::at>("at", "When."),
      member<&W::operation>("operation", "What removed it."),
      member<&W::collection>("collection", "The collection."),
      member<&W::fields>("fields", "By field."),
      member<&W::records>("records", "Records that went as a whole."),
      member<&W::values>("values", "Values that went."),
      member<&W::tokens>("tokens", "Tokens that went with them."),
      member<&W::rows>("rows", "Rows of other kinds that went.")};
  return kMembers;
}

std::span<const Member> RetentionReport::described() {
  using R = RetentionReport;
  static constexpr Member kMembers[] = {
      member<&R::batches>("batches", "What went, oldest first."),
      member<&R::records>("records", "Sum of this page."),
      member<&R::values>("values", "Sum of this page."),
      member<&R::tokens>("tokens", "Sum of this page."),
      member<&R::rows>("rows", "Sum of this page."),
      member<&R::next>("next", "To be given as `after` for the next page.")};
  return kMembers;
}

}  // namespace holdfast::vault
