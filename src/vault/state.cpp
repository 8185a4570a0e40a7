#include "vault/state.h"

#include <algorithm>
#include <set>

#include "vault/canary.h"
#include "vault/engagement.h"
#include "vault/rights_rows.h"
#include "vault/rotations.h"
#include "vault/statements.h"
#include "vault/token_row.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kPage = 1000;

inline constexpr db::Sql kAllRecords{
    "vault.all_records",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where id > $1 order by id limit $2"};
inline constexpr db::Sql kAllSubjects{
    "vault.all_subjects",
    "select s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s where s.id > $1 "
    "order by s.id limit $2"};
inline constexpr db::Sql kAllTokens{
    "vault.all_tokens",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where id > $1 order by id limit $2"};

inline constexpr db::Sql kAllEngagements{
    "vault.all_engagements",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where id > $1 "
    "order by id limit $2"};
inline constexpr db::Sql kAllKinds{
    "vault.all_engagement_kinds",
    "select name, version, declared, mac from vault_engagement_kinds order by name"};

/// Walks a table by its id, page by page.
template <class Each>
Task<Result<void>> walk(db::Reader& reader, const db::Sql& sql, Each each) {
  Bytes after(16, 0);
  for (;;) {
    auto rows = co_await reader.read(sql, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) each((*rows)[i]);
    if (rows->size() < static_cast<std::size_t>(kPage)) co_return Result<void>();
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  }
}

/// One value of each of its keep groups opens.
bool opens(const crypto::KeySet& keys, const Schema& schema, const Openable& openable) {
  const auto& record = openable.record;
  const auto* collection = schema.find(record.collection);
  auto fields = unpack(record.sealed);
  if (!collection || !fields) return false;
  std::set<std::string_view> tried;
  return std::ranges::all_of(*fields, [&](const SealedField& one) {
    const auto* field = collection->find(one.field);
    if (!field || !tried.insert(field->keep_group).second) return true;
    return openable.keys
        ->open(keys, field->keep_group,
               {record.subject, record.id, record.collection, one.field, one.since}, one.sealed)
        .has_value();
  });
}

/// Both texts of a request, as far as there are any, open.
bool opens(const crypto::KeySet& keys, const Demand& demand, SubjectKeys& own) {
  auto one = [&](std::uint16_t text, const Bytes& sealed) {
    return sealed.empty() ||
           own.open(keys, kRequestsGroup, demand_binding(demand, text), sealed).has_value();
  };
  return one(kAskedText, demand.asked) && one(kAnswerText, demand.answer);
}

}  // namespace

Task<Result<void>> VaultState::closed(Closed report) {
  if (auto done = co_await closed_records(report); !done) co_return done;
  if (auto done = co_await closed_subjects(report); !done) co_return done;
  co_return co_await closed_requests(report);
}

Task<Result<void>> VaultState::closed_records(const Closed& report) {
  Bytes after(sizeof(Uuid), 0);
  for (;;) {
    auto work = co_await begin(context_, Caller{});
    // A declaration by another hand is named as a row, and without it nothing can be opened.
    if (!work && work.error().code == Code::corrupt) co_return Result<void>();
    if (!work) co_return std::move(work).error();
    auto rows = co_await context_.journal.reader().read(kAllRecords, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) co_return Result<void>();
    std::vector<Record> records;
    for (std::size_t i = 0; i < rows->size(); ++i) records.push_back(record_from((*rows)[i]));
    after = to_bytes(records.back().id.bytes());
    auto loaded = co_await context_.store.with_keys(std::move(records), MonoTime::max());
    if (!loaded) co_return std::move(loaded).error();
    for (const auto& one : loaded->records) {
      if (opens(*work->keys, *work->schema, one)) continue;
      // Rows and keys were read one after the other: somebody may have written between the two.
      auto again = co_await context_.store.load({one.record.id}, MonoTime::max());
      if (!again) co_return std::move(again).error();
      auto now = co_await begin(context_, Caller{});
      if (!now) co_return std::move(now).error();
      if (!again->records.empty() && !opens(*now->keys, *now->schema, again->records.front()))
        report("records", one.record.id.bytes());
    }
    co_await give_way();
  }
}

Task<Result<void>> VaultState::closed_subjects(const Closed& report) {
  auto holds = [](const crypto::KeySet& keys, const Subject& subject, SubjectKeys& own) {
    if (subject.external_sealed.empty() || subject.erased) return true;
    return own.open(keys, "account", external_binding(subject.id), subject.external_sealed)
        .has_value();
  };
  Bytes after(sizeof(Uuid), 0);
  for (;;) {
    auto keys = context_.keys.get();
    if (!keys) co_return Error(Code::locked, "the server is locked");
    auto rows = co_await context_.journal.reader().read(kAllSubjects, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) co_return Result<void>();
    std::vector<SubjectId> ids;
    for (std::size_t i = 0; i < rows->size(); ++i) ids.push_back(subject_from((*rows)[i]).id);
    after = to_bytes(ids.back().bytes());
    auto owned = co_await context_.store.keys(std::move(ids), MonoTime::max());
    if (!owned) co_return std::move(owned).error();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      const auto subject = subject_from((*rows)[i]);
      auto own = owned->try_emplace(subject.id, subject.id).first;
      if (holds(*keys, subject, own->second)) continue;
      auto again = co_await context_.store.subject(subject.id, MonoTime::max());
      if (!again) co_return std::move(again).error();
      auto keys_again = co_await context_.store.keys(subject.id, MonoTime::max());
      if (!keys_again) co_return std::move(keys_again).error();
      auto now = context_.keys.get();
      if (!now) co_return Error(Code::locked, "the server is locked");
      if (*again && !holds(*now, **again, *keys_again)) report("subjects", subject.id.bytes());
    }
    co_await give_way();
  }
}

Task<Result<void>> VaultState::closed_requests(const Closed& report) {
  auto& reader = context_.journal.reader();
  Bytes after(sizeof(Uuid), 0);
  for (;;) {
    auto keys = context_.keys.get();
    if (!keys) co_return Error(Code::locked, "the server is locked");
    auto rows = co_await reader.read(kAllDemands, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) co_return Result<void>();
    std::vector<Demand> demands;
    std::vector<SubjectId> whose;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      demands.push_back(demand_from((*rows)[i]));
      whose.push_back(demands.back().subject);
    }
    after = to_bytes(demands.back().id.bytes());
    auto owned = co_await context_.store.keys(std::move(whose), MonoTime::max());
    if (!owned) co_return std::move(owned).error();
    for (const auto& demand : demands) {
      auto own = owned->try_emplace(demand.subject, demand.subject).first;
      if (opens(*keys, demand, own->second)) continue;
      auto again = co_await reader.read(kFindDemand, {to_bytes(demand.id.bytes())});
      if (!again) co_return std::move(again).error();
      if (again->empty()) continue;
      const auto found = demand_from((*again)[0]);
      auto keys_again = co_await context_.store.keys(found.subject, MonoTime::max());
      if (!keys_again) co_return std::move(keys_again).error();
      auto now = context_.keys.get();
      if (!now) co_return Error(Code::locked, "the server is locked");
      if (!opens(*now, found, *keys_again)) report("requests", found.id.bytes());
    }
    co_await give_way();
  }
}

Task<Result<void>> VaultState::rows(Report report) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::digest))
    if (auto told = co_await rows_under(keys->with_digest(id), report); !told) co_return told;
  co_return co_await keys_put_back(report);
}

Task<Result<void>> VaultState::keys_put_back(const Report& report) {
  auto& reader = context_.journal.reader();
  Bytes after(sizeof(Uuid), 0);
  for (;;) {
    auto rows = co_await reader.read(kAllSubjects, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) co_return Result<void>();
    db::List erased;
    for (std::size_t i = 0; i < rows->size(); ++i)
      if (auto subject = subject_from((*rows)[i]); subject.erased)
        erased.cells.emplace_back(to_bytes(subject.id.bytes()));
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
    if (erased.cells.empty()) continue;
    auto found = co_await reader.read(kKeysOfErased, {std::move(erased)});
    if (!found) co_return std::move(found).error();
    for (std::size_t i = 0; i < found->size(); ++i)
      if ((*found)[i].text(1) == "account") report("subject_keys", (*found)[i].bytes(0), {});
  }
}

Task<Result<void>> VaultState::rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                          Report report) {
  auto& reader = context_.journal.reader();
  auto done = co_await walk(reader, kAllRecords, [&](const db::Rows::Row& row) {
    report("records", row.bytes(0), record_digest(*keys, record_from(row)));
  });
  if (!done) co_return done;
  done = co_await walk(reader, kAllSubjects, [&](const db::Rows::Row& row) {
    report("subjects", row.bytes(0), subject_digest(*keys, subject_from(row)));
  });
  if (!done) co_return done;
  done = co_await walk(reader, kAllTokens, [&](const db::Rows::Row& row) {
    report("tokens", row.bytes(0), token_digest(*keys, unchecked_token_row(row)));
  });
  if (!done) co_return done;
  auto rotations = co_await all_rotations(reader);
  if (!rotations) co_return std::move(rotations).error();
  for (const auto& one : *rotations)
    report("rotations", one.id.bytes(), rotation_digest(*keys, one));
  done = co_await walk(reader, kAllEngagements, [&](const db::Rows::Row& row) {
    report("engagements", row.bytes(0), engagement_digest(*keys, engagement_from(row)));
  });
  if (!done) co_return done;
  auto kinds = co_await reader.read(kAllKinds, {});
  if (!kinds) co_return std::move(kinds).error();
  for (std::size_t i = 0; i < kinds->size(); ++i) {
    auto row = (*kinds)[i];
    report("engagement_kinds", as_bytes(row.text(0)),
           declared_digest(*keys, "engagement_kinds", row.text(0), row.text(2), row.bytes(3)));
  }
  auto canaries = co_await reader.read(kListCanaries, {});
  if (!canaries) co_return std::move(canaries).error();
  for (std::size_t i = 0; i < canaries->size(); ++i) {
    auto row = (*canaries)[i];
    report("canaries", row.bytes(0), canary_digest(*keys, row.bytes(0), row.bytes(1)));
  }
  done = co_await walk(reader, kAllDecisions, [&](const db::Rows::Row& row) {
    report("decisions", row.bytes(0), decision_digest(*keys, decision_from(row)));
  });
  if (!done) co_return done;
  done = co_await walk(reader, kAllDemands, [&](const db::Rows::Row& row) {
    report("requests", row.bytes(0), demand_digest(*keys, demand_from(row)));
  });
  if (!done) co_return done;
  auto collections = co_await reader.read(kListCollections, {});
  if (!collections) co_return std::move(collections).error();
  for (std::size_t i = 0; i < collections->size(); ++i) {
    auto row = (*collections)[i];
    report("collections", as_bytes(row.text(1)),
           declared_digest(*keys, "collections", row.text(1), row.text(3), row.bytes(4)));
  }
  auto switches = co_await reader.read(kListSwitches, {});
  if (!switches) co_return std::move(switches).error();
  for (std::size_t i = 0; i < switches->size(); ++i) {
    auto row = (*switches)[i];
    report("switches", as_bytes(row.text(0)),
           declared_digest(*keys, "switches", row.text(0), row.text(2), row.bytes(3)));
  }
  auto purposes = co_await reader.read(kListPurposes, {});
  if (!purposes) co_return std::move(purposes).error();
  for (std::size_t i = 0; i < purposes->size(); ++i) {
    auto row = (*purposes)[i];
    report("purposes", as_bytes(row.text(0)),
           declared_digest(*keys, "purposes", row.text(0), row.text(2), row.bytes(3)));
  }
  co_return Result<void>();
}

std::span<const db::Sql* const> state_statements() {
  static constexpr const db::Sql* kAll[] = {&kAllRecords, &kAllSubjects, &kAllTokens,
                                            &kAllEngagements, &kAllKinds};
  return kAll;
}

}  // namespace holdfast::vault
