// Pages of the vault's tables in the order of their keys, for rotations.
#pragma once

#include "db/database.h"
#include "vault/rotations.h"
#include "vault/store.h"

namespace holdfast::vault::walk {

/// A row of vault_subject_keys.
struct KeyRow {
  SubjectId subject;
  std::string group;
  std::uint32_t id = 0, epoch = 0;
  Bytes wrapped;
  bool retired = false;
};
struct KeyPage {
  std::vector<KeyRow> rows;
  Bytes after;
  bool last = false;
};
/// With `whole`, the rows of one customer are never cut: the page may be shorter, and longer when
/// one customer has more keys than the limit.
Task<Result<KeyPage>> keys(db::Reader& reader, Bytes after, std::int64_t limit, bool whole);

/// What a `select count(*)` without parameters gives. Errors: unavailable.
Task<Result<std::int64_t>> count(db::Reader& reader, const db::Sql& sql);
/// How many keys there are.
Task<Result<std::int64_t>> count_keys(db::Reader& reader);

/// A cursor behind all keys of this row's group, also those that are yet to be made.
Bytes behind_group(const KeyRow& row);

struct SubjectPage {
  std::vector<Subject> rows;
  Bytes after;
  bool last = false;
};
Task<Result<SubjectPage>> subjects(db::Reader& reader, Bytes after, std::int64_t limit);

struct RecordPage {
  std::vector<Record> rows;
  Bytes after;
  bool last = false;
};
Task<Result<RecordPage>> records(db::Reader& reader, Bytes after, std::int64_t limit);

/// Keep groups that lost single values.
struct LostRow {
  SubjectId subject;
  std::string group;
};
struct LostPage {
  std::vector<LostRow> rows;
  Bytes after;
  bool last = false;
};
Task<Result<LostPage>> lost(db::Reader& reader, Bytes after, std::int64_t limit);
Task<Result<std::int64_t>> count_lost(db::Reader& reader);

std::span<const db::Sql* const> statements();

}  // namespace holdfast::vault::walk
