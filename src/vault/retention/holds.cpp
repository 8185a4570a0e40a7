#include "vault/retention/holds.h"

#include <algorithm>
#include <utility>

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kAddHold{
    "vault.add_hold",
    "insert into vault_holds (id, subject, collection, placed_by, placed_ms, until_ms, "
    "released_by, released_ms, sealed, version, mac_key, mac) "
    "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"};
inline constexpr db::Sql kLiftHold{
    "vault.lift_hold",
    "update vault_holds set released_by = $3, released_ms = $4, version = $5, mac_key = $6, "
    "mac = $7 where id = $1 and version = $2 and released_ms is null"};
inline constexpr db::Sql kMendHold{
    "vault.mend_hold",
    "update vault_holds set subject = $3, collection = $4, placed_by = $5, placed_ms = $6, "
    "until_ms = $7, released_by = $8, released_ms = $9, sealed = $10, version = $11, "
    "mac_key = $12, mac = $13 where id = $1 and version = $2"};
inline constexpr db::Sql kFindHold{
    "vault.find_hold",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where id = $1"};
inline constexpr db::Sql kHoldsInForce{
    "vault.holds_in_force",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where released_ms is null and id > $1 "
    "order by id limit $2"};
inline constexpr db::Sql kEndedHolds{
    "vault.ended_holds",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where released_ms is null and "
    "until_ms <= $1 order by id limit $2"};
inline constexpr db::Sql kPastHolds{
    "vault.past_holds",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where released_ms <= $1 "
    "order by released_ms limit $2"};
inline constexpr db::Sql kDropHold{
    "vault.drop_hold",
    "delete from vault_holds where id = $1 and version = $2 and released_ms is not null"};
inline constexpr db::Sql kHoldsOn{
    "vault.holds_on",
    "select id, subject, collection, placed_by, placed_ms, until_ms, released_by, released_ms, "
    "sealed, version, mac_key, mac from vault_holds where released_ms is null and (subject = $1 "
    "or collection in (select collection from vault_records where subject = $1)) limit 100"};
inline constexpr db::Sql kCountHolds{"vault.count_holds",
                                     "select count(*) from vault_holds where released_ms is null"};

// A hold locks what it is on; whoever destroys shares that lock. So one of the two sees the other.
inline constexpr db::Sql kHoldSubject{"vault.hold_subject",
                                      "select 1 from vault_subjects where id = $1 {{for update}}"};
inline constexpr db::Sql kHoldCollection{
    "vault.hold_collection", "select 1 from vault_collections where id = $1 {{for update}}"};
// Counted, so that a guard holds where there is nothing to lock.
inline constexpr db::Sql kShareSubjects{
    "vault.share_subjects",
    "select 1 where (select count(*) from (select id from vault_subjects where id {{in $1}} "
    "{{for share}}) locked) >= 0"};
inline constexpr db::Sql kShareCollection{
    "vault.share_collection",
    "select 1 where (select count(*) from (select id from vault_collections where id = $1 "
    "{{for share}}) locked) >= 0"};
inline constexpr db::Sql kShareCollectionsOf{
    "vault.share_collections_of",
    "select 1 where (select count(*) from (select id from vault_collections where id in "
    "(select collection from vault_records where subject = $1) {{for share}}) locked) >= 0"};
// What another name of a customer has is theirs: held with them.
inline constexpr db::Sql kShareOwners{
    "vault.share_owners",
    "select 1 where (select count(*) from (select id from vault_subjects where id in "
    "(select coalesce(merged_into, id) from vault_subjects where id {{in $1}}) "
    "{{for share}}) locked) >= 0"};
inline constexpr db::Sql kShareCollectionsOfOwners{
    "vault.share_collections_of_owners",
    "select 1 where (select count(*) from (select id from vault_collections where id in "
    "(select collection from vault_records where subject in (select coalesce(merged_into, id) "
    "from vault_subjects where id {{in $1}})) {{for share}}) locked) >= 0"};
inline constexpr db::Sql kGuardNoHoldOnOwners{
    "vault.guard_no_hold_on_owners",
    "select 1 where not exists (select 1 from vault_holds where released_ms is null and "
    "(subject in (select coalesce(merged_into, id) from vault_subjects where id {{in $1}}) or "
    "collection in (select collection from vault_records where subject in (select "
    "coalesce(merged_into, id) from vault_subjects where id {{in $1}}))))"};
inline constexpr db::Sql kGuardNoHold{
    "vault.guard_no_hold",
    "select 1 where not exists (select 1 from vault_holds where released_ms is null and "
    "(collection = $2 or subject {{in $1}}))"};
inline constexpr db::Sql kGuardNoHoldOn{
    "vault.guard_no_hold_on",
    "select 1 where not exists (select 1 from vault_holds where released_ms is null and "
    "(subject = $1 or collection in (select collection from vault_records where subject = $1)))"};

constexpr std::string_view kPlaced = "hold.placed", kLifted = "hold.lifted";
constexpr std::int64_t kPage = 500;

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}
db::Value nullable(const std::optional<Time>& time) {
  return time ? db::Value(to_ms(*time)) : db::Value();
}
Error held_meanwhile() {
  return {Code::conflict,
          "a legal hold came meanwhile: see `holdfast retention holds`, and repeat when it is "
          "lifted"};
}
Error forged() {
  return {Code::corrupt,
          "a legal hold in the database is not as Holdfast wrote it, so nothing is destroyed: "
          "`holdfast journal verify --state` names it; place the hold anew, then lift that one"};
}

/// The afterlog's line: id, customer or nothing, collection + 1 or 0, until + 1 or 0.
Bytes placed_line(const Hold& hold) {
  Bytes out = blob(hold.id);
  put_part(out, hold.subject ? BytesView(hold.subject->bytes()) : BytesView());
  put_u64(out, hold.collection ? std::uint64_t{*hold.collection} + 1 : 0);
  put_u64(out, hold.until ? static_cast<std::uint64_t>(to_ms(*hold.until)) + 1 : 0);
  return out;
}

std::optional<Hold> read_placed(BytesView line, Time at) {
  ByteReader reader(line);
  auto id = reader.take(16);
  auto subject = reader.part();
  auto collection = reader.u64();
  auto until = reader.u64();
  if (!id || !subject || !collection || !until || !reader.done()) return std::nullopt;
  Hold out{.id = *HoldId::from(*id),
           .subject = {},
           .collection = {},
           .placed_by = "system",
           .placed = at,
           .until = {},
           .released_by = {},
           .released = {},
           .sealed = {},
           .version = 1};
  if (!subject->empty()) {
    out.subject = SubjectId::from(*subject);
    if (!out.subject) return std::nullopt;
  }
  if (*collection > 0) out.collection = static_cast<std::uint32_t>(*collection - 1);
  if (*until > 0) out.until = from_ms(static_cast<std::int64_t>(*until - 1));
  return out;
}

void put_first(db::Changes& changes, db::Changes first) {
  first.append(std::move(changes));
  changes = std::move(first);
}

}  // namespace

Task<Result<std::vector<Hold>>> LegalHolds::read(const db::Sql& sql, db::Args args,
                                                 MonoTime deadline) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await context_.journal.reader().read(sql, std::move(args), deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<Hold> out;
  out.reserve(rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto hold = authentic_hold(*keys, (*rows)[i]);
    if (!hold) co_return forged();
    out.push_back(std::move(*hold));
  }
  co_return out;
}

Task<Result<void>> LegalHolds::none_damaged(MonoTime deadline) {
  std::vector<HoldId> left;
  {
    std::scoped_lock lock(mutex_);
    left.assign(damaged_.begin(), damaged_.end());
  }
  for (const auto& id : left) {
    auto found = co_await find(id, deadline);
    if (!found) co_return std::move(found).error();
    if (!*found || (*found)->damaged) co_return forged();
    std::scoped_lock lock(mutex_);
    damaged_.erase(id);
  }
  co_return Result<void>();
}

Task<Result<bool>> LegalHolds::held(SubjectId subject, MonoTime deadline) {
  if (auto good = co_await none_damaged(deadline); !good) co_return std::move(good).error();
  if (auto good = co_await stand(known_on(subject), deadline); !good)
    co_return std::move(good).error();
  auto found = co_await read(kHoldsOn, {blob(subject)}, deadline);
  if (!found) co_return std::move(found).error();
  co_return !found->empty();
}

std::vector<Hold> LegalHolds::known_on(const SubjectId& subject) {
  std::vector<Hold> out;
  std::scoped_lock lock(mutex_);
  for (const auto& [id, hold] : known_)
    if (hold.collection || hold.subject == subject) out.push_back(hold);
  return out;
}

void LegalHolds::know(const Hold& hold) {
  std::scoped_lock lock(mutex_);
  known_.insert_or_assign(hold.id, hold);
}

void LegalHolds::forget_known(const HoldId& id) {
  std::scoped_lock lock(mutex_);
  known_.erase(id);
}

Task<Result<void>> LegalHolds::stand(std::vector<Hold> known, MonoTime deadline) {
  for (const auto& hold : known) {
    auto there = co_await find(hold.id, deadline);
    if (!there) co_return std::move(there).error();
    if (!*there) {
      auto again = co_await hold_again(hold);
      if (!again) co_return std::move(again).error();
    } else if ((*there)->damaged) {
      co_return forged();
    } else if ((*there)->released) {
      forget_known(hold.id);
    }
  }
  co_return Result<void>();
}

Task<Result<bool>> LegalHolds::hold_again(Hold hold) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  hold.sealed = seal_reason(*keys, hold.id, "");
  db::Changes changes;
  journal::Event event{.activity = "retention.hold_again"};
  add(changes, event, *keys, hold);
  auto done = co_await context_.journal.commit(Caller{}, std::move(changes), std::move(event));
  if (!done && done.error().code == Code::not_found) co_return false;
  if (!done) co_return std::move(done).error();
  know(hold);
  co_return true;
}

void LegalHolds::guard(db::Changes& changes, SubjectId subject) const {
  db::Changes first;
  db::List one;
  one.cells.emplace_back(blob(subject));
  first.guard(kShareSubjects, {std::move(one)});
  first.guard(kShareCollectionsOf, {blob(subject)});
  first.guard(kGuardNoHoldOn, {blob(subject)}, held_meanwhile());
  put_first(changes, std::move(first));
}

void LegalHolds::guard(db::Changes& changes, const std::vector<SubjectId>& subjects,
                       std::uint32_t collection) {
  db::Changes first;
  db::List list;
  for (const auto& subject : subjects) list.cells.emplace_back(blob(subject));
  first.guard(kShareSubjects, {list});
  first.guard(kShareCollection, {std::int64_t{collection}});
  first.guard(kGuardNoHold, {std::move(list), std::int64_t{collection}}, held_meanwhile());
  put_first(changes, std::move(first));
}

void LegalHolds::guard(db::Changes& changes, const std::vector<SubjectId>& subjects) {
  db::Changes first;
  db::List list;
  for (const auto& subject : subjects) list.cells.emplace_back(blob(subject));
  first.guard(kShareOwners, {list});
  first.guard(kShareCollectionsOfOwners, {list});
  first.guard(kGuardNoHoldOnOwners, {std::move(list)}, held_meanwhile());
  put_first(changes, std::move(first));
}

Task<Result<Held>> LegalHolds::in_force(MonoTime deadline) {
  if (auto good = co_await none_damaged(deadline); !good) co_return std::move(good).error();
  std::map<HoldId, Hold> missing;
  {
    std::scoped_lock lock(mutex_);
    missing = known_;
  }
  Held out;
  auto take = [&out](const Hold& hold) {
    if (hold.subject) out.subjects.insert(*hold.subject);
    if (hold.collection) out.collections.insert(*hold.collection);
  };
  HoldId after{};
  for (;;) {
    auto page = co_await read(kHoldsInForce, {blob(after), kPage}, deadline);
    if (!page) co_return std::move(page).error();
    for (const auto& hold : *page) {
      take(hold);
      missing.erase(hold.id);
    }
    if (std::ssize(*page) < kPage) break;
    after = page->back().id;
  }
  std::vector<Hold> gone;
  for (const auto& [id, hold] : missing) gone.push_back(hold);
  if (auto good = co_await stand(gone, deadline); !good) co_return std::move(good).error();
  std::scoped_lock lock(mutex_);
  for (const auto& hold : gone)
    if (known_.contains(hold.id)) take(hold);
  co_return out;
}

Task<Result<std::vector<Hold>>> LegalHolds::list(bool ended, HoldId after, std::int64_t limit,
                                                 MonoTime deadline) {
  return read(ended ? kAllHolds : kHoldsInForce, {blob(after), limit}, deadline);
}

Task<Result<std::optional<Hold>>> LegalHolds::find(HoldId id, MonoTime deadline) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await context_.journal.reader().read(kFindHold, {blob(id)}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::optional<Hold>();
  auto hold = hold_as_it_is(*keys, (*rows)[0]);
  if (!hold) co_return forged();
  co_return hold;
}

Task<Result<std::int64_t>> LegalHolds::count(MonoTime deadline) {
  auto rows = co_await context_.journal.reader().read(kCountHolds, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return (*rows)[0].integer(0);
}

Task<Result<std::vector<Hold>>> LegalHolds::ended_by(Time now, std::int64_t limit) {
  return read(kEndedHolds, {to_ms(now), limit}, MonoTime::max());
}

void LegalHolds::add(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                     const Hold& hold) {
  Error missing(Code::not_found, "what is to be held is not there any more");
  if (hold.subject) changes.guard(kHoldSubject, {blob(*hold.subject)}, missing);
  if (hold.collection)
    changes.guard(kHoldCollection, {std::int64_t{*hold.collection}}, std::move(missing));
  auto key = std::int64_t{keys.ring.active_id(crypto::KeyUse::authority)};
  changes.write(
      kAddHold,
      {blob(hold.id), hold.subject ? db::Value(blob(*hold.subject)) : db::Value(),
       hold.collection ? db::Value(std::int64_t{*hold.collection}) : db::Value(), hold.placed_by,
       to_ms(hold.placed), nullable(hold.until), hold.released_by, nullable(hold.released),
       hold.sealed, hold.version, key, hold_mac(keys, key, hold)},
      db::Expect::exactly(1));
  event.touches.push_back({hold.subject, "holds", blob(hold.id), hold_digest(keys, hold)});
}

void LegalHolds::lift(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                      Hold& hold, std::string by, Time at) {
  auto before = hold.version++;
  hold.released_by = std::move(by);
  hold.released = at;
  auto key = std::int64_t{keys.ring.active_id(crypto::KeyUse::authority)};
  Error changed(Code::conflict, "the hold changed meanwhile: read it and repeat");
  if (std::exchange(hold.damaged, false)) {
    event.facts.emplace_back("damaged", std::int64_t{1});
    changes.write(
        kMendHold,
        {blob(hold.id), before, hold.subject ? db::Value(blob(*hold.subject)) : db::Value(),
         hold.collection ? db::Value(std::int64_t{*hold.collection}) : db::Value(), hold.placed_by,
         to_ms(hold.placed), nullable(hold.until), hold.released_by, to_ms(at), hold.sealed,
         hold.version, key, hold_mac(keys, key, hold)},
        db::Expect::exactly(1), std::move(changed));
  } else {
    changes.write(kLiftHold,
                  {blob(hold.id), before, hold.released_by, to_ms(at), hold.version, key,
                   hold_mac(keys, key, hold)},
                  db::Expect::exactly(1), std::move(changed));
  }
  event.touches.push_back({hold.subject, "holds", blob(hold.id), hold_digest(keys, hold)});
}

journal::Line LegalHolds::placed(const Hold& hold) {
  return {kPlaced, placed_line(hold)};
}

Task<Result<void>> LegalHolds::note_lifted(HoldId id) {
  forget_known(id);
  return context_.journal.afterlog(kLifted, blob(id));
}

Task<Result<std::int64_t>> LegalHolds::forget(Time now, std::int64_t most) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await context_.journal.reader().read(kPastHolds, {to_ms(now - kHoldsKept), most});
  if (!rows) co_return std::move(rows).error();
  std::vector<db::Args> drops;
  journal::Event event{.activity = "retention.sweep_holds"};
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto hold = authentic_hold(*keys, (*rows)[i]);
    if (!hold) continue;  // `journal verify --state` names it
    // The line may be missing since a crash, and without it the next start would hold again.
    if (auto noted = co_await note_lifted(hold->id); !noted) co_return std::move(noted).error();
    drops.push_back({blob(hold->id), hold->version});
    event.touches.push_back({hold->subject, "holds", blob(hold->id), crypto::Digest{}});
  }
  const auto count = std::ssize(drops);
  if (count == 0) co_return 0;
  event.facts = {{"count", count}};
  db::Changes changes;
  changes.bulk(kDropHold, std::move(drops), db::Expect::exactly(count));
  auto done = co_await context_.journal.commit(Caller{}, std::move(changes), std::move(event));
  if (!done && done.error().code == Code::conflict) co_return 0;  // moved to another key meanwhile
  if (!done) co_return std::move(done).error();
  co_return count;
}

Task<Result<HeldAgain>> LegalHolds::replay(std::vector<journal::AfterlogEntry> entries) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  std::map<HoldId, Hold> placed;
  std::set<HoldId> lifted;
  for (const auto& entry : entries) {
    if (entry.kind == kPlaced) {
      auto hold = read_placed(entry.id, entry.at);
      if (!hold) co_return Error(Code::corrupt, "a line of the afterlog cannot be read");
      placed.insert_or_assign(hold->id, std::move(*hold));
    } else if (entry.kind == kLifted) {
      auto id = HoldId::from(entry.id);
      if (!id) co_return Error(Code::corrupt, "a line of the afterlog cannot be read");
      lifted.insert(*id);
    }
  }
  HeldAgain out;
  for (auto& [id, hold] : placed) {
    auto there = co_await find(id, MonoTime::max());
    if (!there && there.error().code != Code::corrupt) co_return std::move(there).error();
    if (!there || (*there && (*there)->damaged)) {
      out.damaged.push_back(id);
      std::scoped_lock lock(mutex_);
      if (!lifted.contains(id)) damaged_.insert(id);
      continue;
    }
    if (!*there && !lifted.contains(id)) {
      auto again = co_await hold_again(std::move(hold));
      if (!again) co_return std::move(again).error();
      out.again += *again ? 1 : 0;
    } else if (*there && !(*there)->released && lifted.contains(id)) {
      db::Changes changes;
      journal::Event event{.activity = "retention.unhold_again"};
      lift(changes, event, *keys, **there, "system", context_.clock.now());
      auto done = co_await context_.journal.commit(Caller{}, std::move(changes), std::move(event));
      if (!done) co_return std::move(done).error();
      ++out.again;
    } else if (*there && !(*there)->released) {
      know(**there);
    }
  }
  co_return out;
}

Task<Result<void>> LegalHolds::rows(journal::StateSource::Report report,
                                    std::shared_ptr<const crypto::KeySet> keys) {
  Bytes after;
  for (;;) {
    auto rows = co_await context_.journal.reader().read(kAllHolds, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto hold = hold_from((*rows)[i]);
      report("holds", (*rows)[i].bytes(0), hold ? hold_digest(*keys, *hold) : crypto::Digest{1});
      after = to_bytes((*rows)[i].bytes(0));
    }
    if (static_cast<std::int64_t>(rows->size()) < kPage) co_return Result<void>();
  }
}

Task<Result<void>> HoldState::rows(Report report) {
  auto keys = holds_.keys();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::digest))
    if (auto told = co_await rows_under(keys->with_digest(id), report); !told) co_return told;
  co_return Result<void>();
}

Task<Result<void>> HoldState::rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                         Report report) {
  return holds_.rows(std::move(report), std::move(keys));
}

std::span<const db::Sql* const> hold_statements() {
  static constexpr const db::Sql* kAll[] = {&kAddHold,
                                            &kMendHold,
                                            &kLiftHold,
                                            &kFindHold,
                                            &kHoldsInForce,
                                            &kAllHolds,
                                            &kEndedHolds,
                                            &kHoldsOn,
                                            &kCountHolds,
                                            &kHoldSubject,
                                            &kHoldCollection,
                                            &kShareSubjects,
                                            &kShareCollection,
                                            &kShareCollectionsOf,
                                            &kGuardNoHold,
                                            &kGuardNoHoldOn,
                                            &kPastHolds,
                                            &kDropHold,
                                            &kShareOwners,
                                            &kShareCollectionsOfOwners,
                                            &kGuardNoHoldOnOwners};
  return kAll;
}

}  // namespace holdfast::vault
