#include "vault/retention/engagements.h"

#include "journal/slices.h"
#include "vault/engagement.h"
#include "vault/retention/due.h"

namespace holdfast::vault {
namespace {

// Selects begin with the columns of vault.find_engagement.
inline constexpr db::Sql kDecidingEngagements{
    "vault.deciding_engagements",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where subject {{in $1}} and "
    "not exists (select 1 from vault_engagements later where later.subject = "
    "vault_engagements.subject and later.closed_ms > vault_engagements.closed_ms)"};
// Whoever opens or moves one shares this lock, or takes it.
inline constexpr db::Sql kLockSubjects{
    "vault.lock_subjects",
    "select 1 where (select count(*) from (select id from vault_subjects where id {{in $1}} "
    "order by id {{for update}}) locked) >= 0"};
inline constexpr db::Sql kGuardClosedBy{
    "vault.guard_closed_by",
    "select 1 where not exists (select 1 from vault_engagements where subject {{in $1}} and "
    "(closed_ms is null or closed_ms > $2))"};
/// Last: 1 when the customer has a record in one of the collections $6, or no later one closed and
/// they have a record in one of $5.
inline constexpr db::Sql kPastEngagements{
    "vault.past_engagements",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac, case when exists (select 1 from vault_records where "
    "vault_records.subject = vault_engagements.subject and vault_records.collection {{in $6}}) "
    "then 1 when exists (select 1 from vault_engagements "
    "later where later.subject = vault_engagements.subject and later.closed_ms > "
    "vault_engagements.closed_ms) then 0 when exists (select 1 from vault_records where "
    "vault_records.subject = vault_engagements.subject and vault_records.collection {{in $5}}) "
    "then 1 else 0 end from vault_engagements where closed_ms <= $1 and (closed_ms > $2 or "
    "(closed_ms = $2 and id > $3)) order by closed_ms, id limit $4"};
inline constexpr db::Sql kDropEngagement{
    "vault.drop_engagement",
    "delete from vault_engagements where id = $1 and version = $2 and closed_ms is not null"};

constexpr std::int64_t kPage = 500;
constexpr int kPages = 100;

db::List list_of(const std::set<SubjectId>& subjects) {
  db::List out;
  for (const auto& subject : subjects) out.cells.emplace_back(to_bytes(subject.bytes()));
  return out;
}

}  // namespace

Task<Result<std::map<SubjectId, Time>>> ClosedEngagements::last_closed(
    std::vector<SubjectId> subjects, MonoTime deadline) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  db::List list;
  for (const auto& subject : subjects) list.cells.emplace_back(to_bytes(subject.bytes()));
  auto rows =
      co_await context_.journal.reader().read(kDecidingEngagements, {std::move(list)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::map<SubjectId, Time> out;
  std::set<SubjectId> stay;
  journal::Slices slices;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto one = engagement_from((*rows)[i]);
    if (one.closed && authentic(*keys, one))
      out.insert_or_assign(one.subject, *one.closed);
    else
      stay.insert(one.subject);
    if (slices.due()) co_await slices.pause();
  }
  for (const auto& subject : stay) out.erase(subject);
  co_return out;
}

void ClosedEngagements::guard(db::Changes& changes,
                              const std::map<Time, std::set<SubjectId>>& closed_by) const {
  if (closed_by.empty()) return;
  std::set<SubjectId> all;
  for (const auto& [time, subjects] : closed_by) all.insert(subjects.begin(), subjects.end());
  db::Changes first;
  // Before what shares the lock: two that share it could both wait to have it alone.
  first.guard(kLockSubjects, {list_of(all)});
  for (const auto& [time, subjects] : closed_by)
    first.guard(
        kGuardClosedBy, {list_of(subjects), to_ms(time)},
        Error(Code::conflict, "an engagement of the customer was opened meanwhile: repeat"));
  first.append(std::move(changes));
  changes = std::move(first);
}

struct PastEngagements::Batch {
  std::shared_ptr<const crypto::KeySet> keys;
  Held held;
  db::List closing;  // collections with a keep time that counts from the end of an engagement
  db::List whole;    // collections under a hold
  std::vector<db::Args> drops;
  std::vector<journal::Touch> touches;
  std::set<SubjectId> subjects;
  bool more = true;
};

/// One page.
Task<Result<void>> PastEngagements::look(Batch& batch, Time before, std::int64_t most) {
  auto rows = co_await context_.journal.reader().read(
      kPastEngagements, {to_ms(before), to_ms(after_closed_), to_bytes(after_.bytes()), kPage,
                         batch.closing, batch.whole});
  if (!rows) co_return std::move(rows).error();
  batch.more = std::ssize(*rows) == kPage;
  journal::Slices slices;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto row = (*rows)[i];
    const auto one = engagement_from(row);
    after_closed_ = *one.closed;
    after_ = one.id;
    if (slices.due()) co_await slices.pause();
    if (row.integer(13) != 0 || batch.held.subjects.contains(one.subject) ||
        !authentic(*batch.keys, one))
      continue;
    auto id = to_bytes(one.id.bytes());
    batch.touches.push_back({one.subject, "engagements", id, crypto::Digest{}});
    batch.drops.push_back({std::move(id), one.version});
    batch.subjects.insert(one.subject);
    if (std::ssize(batch.drops) < most) continue;
    batch.more = true;
    break;
  }
  co_return Result<void>();
}

Task<Result<std::int64_t>> PastEngagements::forget(Time now, std::int64_t most) {
  auto work = co_await begin(context_, Caller{});
  if (!work) co_return std::move(work).error();
  auto held = co_await holds_.in_force(MonoTime::max());
  if (!held) co_return std::move(held).error();
  Batch batch{.keys = work->keys,
              .held = std::move(*held),
              .closing = {},
              .whole = {},
              .drops = {},
              .touches = {},
              .subjects = {}};
  for (const auto& [id, collection] : work->schema->by_id)
    if (counts_from_closing(*collection)) batch.closing.cells.emplace_back(std::int64_t{id});
  for (auto id : batch.held.collections) batch.whole.cells.emplace_back(std::int64_t{id});
  for (int page = 0; page < kPages && batch.more && std::ssize(batch.drops) < most; ++page)
    if (auto done = co_await look(batch, now - kEngagementsKept, most); !done)
      co_return std::move(done).error();
  if (!batch.more) {
    after_closed_ = {};
    after_ = {};
  }
  const auto count = std::ssize(batch.drops);
  if (count == 0) co_return 0;
  db::Changes changes;
  changes.bulk(kDropEngagement, std::move(batch.drops), db::Expect::exactly(count));
  LegalHolds::guard(changes, std::vector(batch.subjects.begin(), batch.subjects.end()));
  // A keep time that was declared meanwhile may count from one of these.
  auto done = co_await context_.journal.commit(Caller{.generation = work->schema->generation},
                                               std::move(changes),
                                               {.activity = "retention.sweep_engagements",
                                                .touches = std::move(batch.touches),
                                                .facts = {{"count", count}}});
  // What somebody is at is left to the next round.
  if (!done && (done.error().code == Code::conflict || done.error().code == Code::stale))
    co_return 0;
  if (!done) co_return std::move(done).error();
  co_return count;
}

std::span<const db::Sql* const> past_engagement_statements() {
  static constexpr const db::Sql* kAll[] = {&kDecidingEngagements, &kPastEngagements,
                                            &kDropEngagement, &kLockSubjects, &kGuardClosedBy};
  return kAll;
}

}  // namespace holdfast::vault
