#include "vault/store.h"

#include <algorithm>
#include <unordered_map>

#include "vault/statements.h"

namespace holdfast::vault {
namespace {

std::vector<Record> records_from(const db::Rows& rows) {
  std::vector<Record> out;
  out.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(record_from(rows[i]));
  return out;
}

void add_key(SubjectKeys& keys, const db::Rows::Row& row, std::size_t at) {
  keys.add_wrapped(row.text(at), static_cast<std::uint32_t>(row.integer(at + 1)),
                   static_cast<std::uint32_t>(row.integer(at + 2)), row.bytes(at + 3));
}

template <class Ids>
db::List list_of(const Ids& ids) {
  db::List out;
  out.cells.reserve(ids.size());
  for (const auto& id : ids) out.cells.emplace_back(to_bytes(id.bytes()));
  return out;
}

}  // namespace

Record record_from(const db::Rows::Row& row) {
  return {RecordId::from(row.bytes(0)).value_or(RecordId{}),
          SubjectId::from(row.bytes(1)).value_or(SubjectId{}),
          static_cast<std::uint32_t>(row.integer(2)),
          row.null(3) ? std::nullopt : std::optional(std::string(row.text(3))),
          row.integer(4),
          from_ms(row.integer(5)),
          from_ms(row.integer(6)),
          to_bytes(row.bytes(7))};
}

Task<Result<std::optional<Subject>>> Store::subject(SubjectId id, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindSubject, {to_bytes(id.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::nullopt;
  co_return subject_from((*rows)[0]);
}

Task<Result<std::optional<Subject>>> Store::subject_by_term(Bytes term, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindExternal, {std::move(term)}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::nullopt;
  co_return subject_from((*rows)[0]);
}

Task<Result<std::map<SubjectId, Subject>>> Store::subjects(std::vector<SubjectId> ids,
                                                           MonoTime deadline) {
  std::map<SubjectId, Subject> out;
  if (ids.empty()) co_return out;
  auto rows = co_await reader_.read(kFindSubjects, {list_of(ids)}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto subject = subject_from((*rows)[i]);
    out.emplace(subject.id, std::move(subject));
  }
  co_return out;
}

Task<Result<std::map<Bytes, Subject>>> Store::subjects_by_term(std::vector<Bytes> terms,
                                                               MonoTime deadline) {
  std::map<Bytes, Subject> out;
  if (terms.empty()) co_return out;
  db::List list;
  for (auto& term : terms) list.cells.emplace_back(std::move(term));
  auto rows = co_await reader_.read(kFindExternals, {std::move(list)}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    out.emplace(to_bytes(row.bytes(0)), subject_from(row, 1));
  }
  co_return out;
}

Task<Result<std::vector<Subject>>> Store::aliases(SubjectId id, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindAliases, {to_bytes(id.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<Subject> out;
  for (std::size_t i = 0; i < rows->size(); ++i) out.push_back(subject_from((*rows)[i]));
  co_return out;
}

Task<Result<SubjectKeys>> Store::keys(SubjectId id, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindKeys, {to_bytes(id.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  SubjectKeys out(id);
  for (std::size_t i = 0; i < rows->size(); ++i) add_key(out, (*rows)[i], 1);
  co_return out;
}

Task<Result<std::map<SubjectId, SubjectKeys>>> Store::keys(std::vector<SubjectId> ids,
                                                           MonoTime deadline) {
  std::map<SubjectId, SubjectKeys> out;
  if (ids.empty()) co_return out;
  for (const auto& id : ids) out.try_emplace(id, id);
  auto rows = co_await reader_.read(kFindManyKeys, {list_of(ids)}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto id = SubjectId::from((*rows)[i].bytes(0));
    if (!id) continue;
    add_key(out.try_emplace(*id, *id).first->second, (*rows)[i], 1);
  }
  co_return out;
}

Task<Result<std::optional<Record>>> Store::record(RecordId id, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindRecord, {to_bytes(id.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::nullopt;
  co_return record_from((*rows)[0]);
}

Task<Result<std::map<RecordId, Record>>> Store::records(std::vector<RecordId> ids,
                                                        MonoTime deadline) {
  std::map<RecordId, Record> out;
  if (ids.empty()) co_return out;
  auto rows = co_await reader_.read(kFindRecords, {list_of(ids)}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (auto& record : records_from(*rows)) out.emplace(record.id, std::move(record));
  co_return out;
}

Task<Result<std::optional<Record>>> Store::record_in_slot(SubjectId subject,
                                                          std::uint32_t collection,
                                                          std::string slot, MonoTime deadline) {
  auto rows = co_await reader_.read(
      kFindSlot, {to_bytes(subject.bytes()), std::int64_t{collection}, std::move(slot)}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::nullopt;
  co_return record_from((*rows)[0]);
}

Task<Result<std::vector<Record>>> Store::records_of(SubjectId subject, MonoTime deadline) {
  auto rows = co_await reader_.read(kFindOf, {to_bytes(subject.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return records_from(*rows);
}

Task<Result<std::vector<Record>>> Store::slots_of(std::vector<SubjectId> subjects,
                                                  MonoTime deadline) {
  if (subjects.empty()) co_return std::vector<Record>();
  auto rows = co_await reader_.read(kFindOfMany, {list_of(subjects)}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return records_from(*rows);
}

Task<Result<std::vector<Record>>> Store::page(std::uint32_t collection, RecordId after,
                                              std::int64_t limit, MonoTime deadline) {
  auto rows = co_await reader_.read(
      kPageRecords, {std::int64_t{collection}, to_bytes(after.bytes()), limit}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return records_from(*rows);
}

Task<Result<Loaded>> Store::with_keys(std::vector<Record> records, MonoTime deadline) {
  std::vector<SubjectId> subjects;
  for (const auto& record : records) subjects.push_back(record.subject);
  std::ranges::sort(subjects);
  subjects.erase(std::ranges::unique(subjects).begin(), subjects.end());
  auto keys = co_await this->keys(subjects, deadline);
  if (!keys) co_return std::move(keys).error();
  auto rows = co_await this->subjects(std::move(subjects), deadline);
  if (!rows) co_return std::move(rows).error();
  Loaded out{{}, std::move(*keys), std::move(*rows)};
  out.records.reserve(records.size());
  for (auto& record : records) {
    auto* of = &out.keys.at(record.subject);
    const auto* whose = &out.subjects[record.subject];
    out.records.push_back({std::move(record), of, whose});
  }
  co_return out;
}

Task<Result<Loaded>> Store::load(std::vector<RecordId> ids, MonoTime deadline) {
  if (ids.size() == 1) {
    auto rows = co_await reader_.read(kOpenRecord, {to_bytes(ids.front().bytes())}, deadline);
    if (!rows) co_return std::move(rows).error();
    Loaded out;
    if (rows->empty()) co_return out;
    auto record = record_from((*rows)[0]);
    auto& keys = out.keys.try_emplace(record.subject, record.subject).first->second;
    auto& whose = out.subjects[record.subject] = subject_from((*rows)[0], 8);
    for (std::size_t i = 0; i < rows->size(); ++i)
      if (!(*rows)[i].null(18)) add_key(keys, (*rows)[i], 18);
    out.records.push_back({std::move(record), &keys, &whose});
    co_return out;
  }
  auto rows = co_await reader_.read(kFindRecords, {list_of(ids)}, deadline);
  if (!rows) co_return std::move(rows).error();
  auto found = records_from(*rows);
  std::unordered_map<RecordId, std::size_t> at;
  for (std::size_t i = 0; i < found.size(); ++i) at.emplace(found[i].id, i);
  std::vector<Record> ordered;
  ordered.reserve(found.size());
  for (const auto& id : ids)
    if (auto one = at.find(id); one != at.end()) {
      ordered.push_back(std::move(found[one->second]));
      at.erase(one);
    }
  co_return co_await with_keys(std::move(ordered), deadline);
}

Task<Result<std::vector<Candidate>>> Store::with_term(std::int64_t index, Bytes term,
                                                      RecordId after, std::int64_t limit,
                                                      MonoTime deadline) {
  auto rows = co_await reader_.read(
      kFindTerm, {index, std::move(term), to_bytes(after.bytes()), limit}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<Candidate> out;
  out.reserve(rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i)
    out.push_back(
        {RecordId::from((*rows)[i].bytes(0)).value_or(RecordId{}), to_bytes((*rows)[i].bytes(1))});
  co_return out;
}

Task<Result<std::map<Bytes, RecordId>>> Store::with_unique_terms(std::int64_t index,
                                                                 std::vector<Bytes> terms,
                                                                 MonoTime deadline) {
  db::List list;
  for (auto& term : terms) list.cells.emplace_back(std::move(term));
  auto rows = co_await reader_.read(kFindTerms, {index, std::move(list)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::map<Bytes, RecordId> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto id = RecordId::from((*rows)[i].bytes(1)))
      out.emplace(to_bytes((*rows)[i].bytes(0)), *id);
  co_return out;
}

Task<Result<std::vector<TokenOf>>> Store::tokens_of(RecordId record, MonoTime deadline) {
  auto rows = co_await reader_.read(kTokensOf, {to_bytes(record.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<TokenOf> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto id = TokenId::from((*rows)[i].bytes(0)))
      out.push_back({*id, static_cast<std::uint16_t>((*rows)[i].integer(1))});
  co_return out;
}

crypto::Digest record_digest(const crypto::KeySet& keys, const Record& record) {
  Bytes input;
  input.reserve(100 + record.sealed.size());
  put_part(input, std::string_view("records"));
  put_part(input, record.id.bytes());
  put_part(input, record.subject.bytes());
  put_u32(input, record.collection);
  put_part(input, record.slot ? std::string_view(*record.slot) : std::string_view());
  put_u64(input, static_cast<std::uint64_t>(record.version));
  put_u64(input, static_cast<std::uint64_t>(to_ms(record.created)));
  put_u64(input, static_cast<std::uint64_t>(to_ms(record.updated)));
  put_part(input, record.sealed);
  return keys.digest.mac(input);
}

std::span<const db::Sql* const> statements() {
  static constexpr const db::Sql* kAll[] = {
      &kListCollections, &kAddCollection, &kPutCollection,  &kDropCollection, &kListPurposes,
      &kPutPurpose,      &kFindSubject,   &kFindExternal,   &kFindExternals,  &kAddSubject,
      &kGuardSubject,    &kFindKeys,      &kFindManyKeys,   &kKeysOfErased,   &kAddKey,
      &kFindRecord,      &kFindRecords,   &kFindSlot,       &kFindOf,         &kFindOfMany,
      &kPageRecords,     &kAddRecord,     &kPutRecord,      &kDropRecord,     &kAddTerm,
      &kDropTerm,        &kFindTerm,      &kTakeUniqueTurn, &kGuardUnique,    &kFindAnswer,
      &kAddAnswer,       &kDropAnswers,   &kOpenRecord,     &kNoRecord,       &kTokensOf,
      &kDropTokens,      &kFindTerms,     &kListSwitches,   &kPutSwitch,      &kLostValue,
      &kFindSubjects,    &kFindAliases,   &kPutSubject,     &kLockSubject,    &kGuardNoOthers,
      &kMoveRecord,      &kAddBlock,      &kAddIndexState,  &kIndexStates,    &kCountSome};
  return kAll;
}

}  // namespace holdfast::vault
