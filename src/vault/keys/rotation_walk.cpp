#include "vault/keys/rotation_walk.h"

namespace holdfast::vault::walk {
namespace {

inline constexpr db::Sql kKeysFrom{
    "vault.keys_from",
    "select subject, keep_group, key_id, epoch, wrapped, retired_ms from vault_subject_keys "
    "where (subject, keep_group, key_id) > ($1, $2, $3) "
    "order by subject, keep_group, key_id limit $4"};
inline constexpr db::Sql kCountKeys{"vault.count_keys", "select count(*) from vault_subject_keys"};
inline constexpr db::Sql kCountLost{"vault.count_lost", "select count(*) from vault_lost_values"};
inline constexpr db::Sql kSubjectsFrom{
    "vault.subjects_from",
    "select id, external_term, external_sealed, created_ms, erased_ms, version, merged_into, "
    "standing, mac, external_other from vault_subjects where id > $1 order by id limit $2"};
inline constexpr db::Sql kRecordsFrom{
    "vault.records_from",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where id > $1 order by id limit $2"};
inline constexpr db::Sql kLostFrom{
    "vault.lost_from",
    "select subject, keep_group from vault_lost_values "
    "where (subject, keep_group) > ($1, $2) order by subject, keep_group limit $3"};

/// Where a page of keys ended: subject, group, id.
Bytes key_cursor(const KeyRow& row) {
  Bytes out;
  put_part(out, row.subject.bytes());
  put_part(out, row.group);
  put_u32(out, row.id);
  return out;
}

struct KeyPlace {
  Bytes subject;
  std::string group;
  std::int64_t id = -1;
};
KeyPlace key_place(BytesView cursor) {
  ByteReader reader(cursor);
  auto subject = reader.part();
  auto group = reader.part();
  auto id = reader.u32();
  if (!id) return {};
  return {to_bytes(*subject), std::string(as_text(*group)), *id};
}

bool full(const db::Rows& rows, std::int64_t limit) {
  return rows.size() >= static_cast<std::size_t>(limit);
}

SubjectId subject_in(const db::Rows::Row& row, std::size_t at) {
  return SubjectId::from(row.bytes(at)).value_or(SubjectId{});
}

}  // namespace

Task<Result<KeyPage>> keys(db::Reader& reader, Bytes after, std::int64_t limit, bool whole) {
  for (;; limit *= 4) {
    auto from = key_place(after);
    auto rows = co_await reader.read(kKeysFrom, {from.subject, from.group, from.id, limit});
    if (!rows) co_return std::move(rows).error();
    KeyPage out{.rows = {}, .after = after, .last = !full(*rows, limit)};
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto row = (*rows)[i];
      out.rows.push_back(
          {subject_in(row, 0), std::string(row.text(1)), static_cast<std::uint32_t>(row.integer(2)),
           static_cast<std::uint32_t>(row.integer(3)), to_bytes(row.bytes(4)), !row.null(5)});
    }
    if (whole && !out.last) {
      const auto cut = out.rows.back().subject;
      if (out.rows.front().subject == cut) continue;  // one customer fills it: read more
      while (out.rows.back().subject == cut) out.rows.pop_back();
    }
    if (!out.rows.empty()) out.after = key_cursor(out.rows.back());
    co_return out;
  }
}

Bytes behind_group(const KeyRow& row) {
  auto last = row;
  last.id = ~std::uint32_t{0};
  return key_cursor(last);
}

Task<Result<SubjectPage>> subjects(db::Reader& reader, Bytes after, std::int64_t limit) {
  auto rows = co_await reader.read(kSubjectsFrom, {after, limit});
  if (!rows) co_return std::move(rows).error();
  SubjectPage out{.rows = {}, .after = std::move(after), .last = !full(*rows, limit)};
  for (std::size_t i = 0; i < rows->size(); ++i) out.rows.push_back(subject_from((*rows)[i]));
  if (!out.rows.empty()) out.after = to_bytes(out.rows.back().id.bytes());
  co_return out;
}

Task<Result<RecordPage>> records(db::Reader& reader, Bytes after, std::int64_t limit) {
  auto rows = co_await reader.read(kRecordsFrom, {after, limit});
  if (!rows) co_return std::move(rows).error();
  RecordPage out{.rows = {}, .after = std::move(after), .last = !full(*rows, limit)};
  for (std::size_t i = 0; i < rows->size(); ++i) out.rows.push_back(record_from((*rows)[i]));
  if (!out.rows.empty()) out.after = to_bytes(out.rows.back().id.bytes());
  co_return out;
}

Task<Result<LostPage>> lost(db::Reader& reader, Bytes after, std::int64_t limit) {
  auto from = key_place(after);
  auto rows = co_await reader.read(kLostFrom, {from.subject, from.group, limit});
  if (!rows) co_return std::move(rows).error();
  LostPage out{.rows = {}, .after = std::move(after), .last = !full(*rows, limit)};
  for (std::size_t i = 0; i < rows->size(); ++i)
    out.rows.push_back({subject_in((*rows)[i], 0), std::string((*rows)[i].text(1))});
  if (!out.rows.empty())
    out.after = key_cursor({out.rows.back().subject, out.rows.back().group, 0, 0, {}, false});
  co_return out;
}

Task<Result<std::int64_t>> count(db::Reader& reader, const db::Sql& sql) {
  auto rows = co_await reader.read(sql, {});
  if (!rows) co_return std::move(rows).error();
  co_return (*rows)[0].integer(0);
}

Task<Result<std::int64_t>> count_keys(db::Reader& reader) {
  return count(reader, kCountKeys);
}

Task<Result<std::int64_t>> count_lost(db::Reader& reader) {
  return count(reader, kCountLost);
}

std::span<const db::Sql* const> statements() {
  static constexpr const db::Sql* kAll[] = {&kKeysFrom,    &kCountKeys, &kSubjectsFrom,
                                            &kRecordsFrom, &kLostFrom,  &kCountLost};
  return kAll;
}

}  // namespace holdfast::vault::walk
