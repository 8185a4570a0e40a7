#include "vault/search/rotation.h"

#include <algorithm>
#include <set>

#include "vault/index_terms.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

/// Terms that are looked for together: each pair of term and record is one step into the index.
constexpr std::size_t kTogether = 32;

inline constexpr db::Sql kRecordsAfter{
    "vault.index_records_after",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where id > $1 order by id limit $2"};
inline constexpr db::Sql kHasTerms{
    "vault.index_has_terms",
    "select term, record from vault_index where number = $1 and term {{in $2}} "
    "and record {{in $3}}"};
inline constexpr db::Sql kCountRecords{"vault.index_count_records",
                                       "select count(*) from vault_records"};

/// Where a pass stands: what is damaged is declared anew, then indexes are built, then records are
/// read back from the one behind the mark on.
constexpr std::uint8_t kBuilding = 1, kReading = 2;

bool again(Code code) {
  return code == Code::conflict || code == Code::stale;
}

Bytes blob(RecordId id) {
  return to_bytes(id.bytes());
}

/// Terms that must stand in an index, with their records.
using Wanted = std::vector<std::pair<Bytes, RecordId>>;

struct ReadBack {
  std::map<std::int64_t, Wanted> wanted;
  std::vector<RecordId> refused;  // a value does not open
};

ReadBack terms_of(const MoveJob& job, const Loaded& loaded) {
  ReadBack out;
  std::map<std::int64_t, BlindTerms> indexes;
  for (const auto& openable : loaded.records) {
    const auto& record = openable.record;
    const auto* collection = job.schema->find(record.collection);
    auto fields = unpack(record.sealed);
    bool whole = collection && fields;
    for (std::size_t i = 0; whole && i < fields->size(); ++i) {
      const auto& one = (*fields)[i];
      const auto* field = collection->find(one.field);
      if (!field || field->index == IndexKind::none) continue;
      auto value = openable.keys->open(
          *job.keys, field->keep_group,
          {record.subject, record.id, record.collection, one.field, one.since}, one.sealed);
      if (!value && value.error().code == Code::gone) continue;  // erased meanwhile
      whole = value.has_value();
      const auto* index = field->serving();
      if (!whole || !index || index->key != job.to ||
          (index->kind != IndexKind::exact && index->kind != IndexKind::unique))
        continue;
      const auto& terms = indexes.try_emplace(index->number, *job.keys, *index).first->second;
      auto normal = index_term(*field, value->expose_text(), index->calling_code);
      if (!terms.usable() || normal.empty()) continue;
      out.wanted[index->number].emplace_back(terms.term(normal.expose_text()), record.id);
    }
    if (!whole) out.refused.push_back(record.id);
  }
  return out;
}

/// Those of `wanted` that the index does not have.
Task<Result<std::set<RecordId>>> missing(db::Reader& reader, std::int64_t index, Wanted wanted) {
  std::set<RecordId> out;
  for (std::size_t at = 0; at < wanted.size(); at += kTogether) {
    auto part = std::span(wanted).subspan(at, std::min(kTogether, wanted.size() - at));
    db::List terms, records;
    for (const auto& [term, record] : part) {
      terms.cells.emplace_back(term);
      records.cells.emplace_back(blob(record));
    }
    auto rows = co_await reader.read(kHasTerms, {index, std::move(terms), std::move(records)});
    if (!rows) co_return std::move(rows).error();
    std::set<std::pair<Bytes, Bytes>> there;
    for (std::size_t i = 0; i < rows->size(); ++i)
      there.emplace(to_bytes((*rows)[i].bytes(0)), to_bytes((*rows)[i].bytes(1)));
    for (const auto& [term, record] : part)
      if (!there.contains({term, blob(record)})) out.insert(record);
  }
  co_return out;
}

}  // namespace

bool IndexTerms::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::index && pass == Pass::move;
}

Task<Result<MovedRows>> IndexTerms::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  if (after.empty()) {
    auto done = co_await rebuild_.renew_damaged();
    if (!done && !again(done.error().code)) co_return std::move(done).error();
    co_return MovedRows{.after = done ? Bytes{kBuilding} : Bytes{}};
  }
  if (after.front() == kBuilding) co_return co_await build(std::move(job));
  co_return co_await read_back(std::move(job), std::move(after), limit);
}

Task<Result<MovedRows>> IndexTerms::build(MoveJob job) {
  auto before = rebuild_.looked();
  auto more = co_await rebuild_.step();
  if (!more && !again(more.error().code)) co_return std::move(more).error();
  auto under = co_await rebuild_.under_key(job.from);
  if (!under) co_return std::move(under).error();
  auto looked = rebuild_.looked() - before;
  bool whole = *under == 0 && rebuild_.building() == 0;
  // Without more to do it will not become whole: an index waits for somebody. What is left under
  // the old key is counted, and stops the rotation.
  bool next = whole || (more && !*more);
  co_return MovedRows{
      .after = next ? Bytes{kReading} : Bytes{kBuilding}, .looked = looked, .moved = looked};
}

Task<Result<MovedRows>> IndexTerms::read_back(MoveJob job, Bytes after, std::int64_t limit) {
  auto& reader = context_.journal.reader();
  auto rows = co_await reader.read(kRecordsAfter, {Bytes(after.begin() + 1, after.end()), limit});
  if (!rows) co_return std::move(rows).error();
  std::vector<Record> page;
  for (std::size_t i = 0; i < rows->size(); ++i) page.push_back(record_from((*rows)[i]));
  MovedRows out{.after = std::move(after),
                .looked = static_cast<std::int64_t>(page.size()),
                .last = page.size() < static_cast<std::size_t>(limit)};
  if (!page.empty()) {
    out.after = {kReading};
    auto last = page.back().id.bytes();
    out.after.insert(out.after.end(), last.begin(), last.end());
  }
  std::map<RecordId, std::int64_t> versions;
  for (const auto& record : page) versions.emplace(record.id, record.version);
  auto loaded = co_await context_.store.with_keys(std::move(page), MonoTime::max());
  if (!loaded) co_return std::move(loaded).error();
  auto back = terms_of(job, *loaded);
  std::set<RecordId> refused(back.refused.begin(), back.refused.end());
  std::set<RecordId> lacking;
  for (auto& [index, wanted] : back.wanted) {
    auto some = co_await missing(reader, index, std::move(wanted));
    if (!some) co_return std::move(some).error();
    lacking.merge(*some);
  }
  // One that was changed or erased meanwhile had its terms changed with it.
  for (auto id : lacking) {
    auto now = co_await context_.store.record(id, MonoTime::max());
    if (!now) co_return std::move(now).error();
    if (*now && (*now)->version == versions.at(id)) refused.insert(id);
  }
  for (auto id : refused) out.refused.push_back("records " + id.text());
  co_return out;
}

Task<Result<std::int64_t>> IndexTerms::left(MoveJob job, Pass) {
  return rebuild_.under_key(job.from);
}

/// Each index looks at each record, and then they are read back.
Task<Result<std::int64_t>> IndexTerms::total(MoveJob job) {
  auto rows = co_await context_.journal.reader().read(kCountRecords, {});
  if (!rows) co_return std::move(rows).error();
  std::int64_t passes = 1;
  for (const auto& [name, collection] : job.schema->collections)
    passes = std::max(passes, 1 + std::ranges::count_if(collection.fields, [](const Field& field) {
                                return field.index != IndexKind::none;
                              }));
  co_return rows->empty() ? 0 : passes*(*rows)[0].integer(0);
}

std::span<const db::Sql* const> index_rotation_statements() {
  static constexpr const db::Sql* kAll[] = {&kRecordsAfter, &kHasTerms, &kCountRecords};
  return kAll;
}

}  // namespace holdfast::vault
