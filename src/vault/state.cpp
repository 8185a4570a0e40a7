#include "vault/state.h"

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

}  // namespace

Task<Result<void>> VaultState::rows(Report report) {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::digest))
    if (auto told = co_await rows_under(keys->with_digest(id), report); !told) co_return told;
  co_return Result<void>();
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
