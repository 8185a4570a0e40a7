// What the vault remembers, read back. Writes are built in draft.h and the services.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "db/database.h"
#include "vault/sealing.h"
#include "vault/standing.h"

namespace holdfast::vault {

struct Record {
  RecordId id;
  SubjectId subject;
  std::uint32_t collection = 0;
  std::optional<std::string> slot;
  std::int64_t version = 0;
  Time created{};
  Time updated{};
  Bytes sealed;
};

/// A token of a record and the field that it stands for.
struct TokenOf {
  TokenId id;
  std::uint16_t field = 0;
};

/// A record that an index names, to be opened and compared.
struct Candidate {
  RecordId record;
  Bytes tag;
};

/// A record with the row and the keys of its subject, which live in Loaded.
struct Openable {
  Record record;
  SubjectKeys* keys;
  const Subject* subject;
};
struct Loaded {
  std::vector<Openable> records;  // in the order asked for; missing ones are left out
  std::map<SubjectId, SubjectKeys> keys;
  std::map<SubjectId, Subject> subjects;  // an empty row where one is missing
};

/// Threads: any io_context thread. Errors of all: unavailable, corrupt.
class Store {
 public:
  explicit Store(db::Reader& reader) : reader_(reader) {}

  /// Rows as they are: unchecked, and aliases as aliases. context.h finds whom they stand for.
  Task<Result<std::optional<Subject>>> subject(SubjectId id, MonoTime deadline);
  Task<Result<std::optional<Subject>>> subject_by_term(Bytes term, MonoTime deadline);
  /// Of many at once (at most 20,000).
  Task<Result<std::map<SubjectId, Subject>>> subjects(std::vector<SubjectId> ids,
                                                      MonoTime deadline);
  Task<Result<std::map<Bytes, Subject>>> subjects_by_term(std::vector<Bytes> terms,
                                                          MonoTime deadline);
  /// Those that were merged into this one.
  Task<Result<std::vector<Subject>>> aliases(SubjectId id, MonoTime deadline);
  Task<Result<SubjectKeys>> keys(SubjectId id, MonoTime deadline);
  Task<Result<std::map<SubjectId, SubjectKeys>>> keys(std::vector<SubjectId> ids,
                                                      MonoTime deadline);

  Task<Result<std::optional<Record>>> record(RecordId id, MonoTime deadline);
  Task<Result<std::map<RecordId, Record>>> records(std::vector<RecordId> ids, MonoTime deadline);
  Task<Result<std::optional<Record>>> record_in_slot(SubjectId subject, std::uint32_t collection,
                                                     std::string slot, MonoTime deadline);
  Task<Result<std::vector<Record>>> records_of(SubjectId subject, MonoTime deadline);
  /// Records in slots of many subjects at once: for imports.
  Task<Result<std::vector<Record>>> slots_of(std::vector<SubjectId> subjects, MonoTime deadline);
  Task<Result<std::vector<Record>>> page(std::uint32_t collection, RecordId after,
                                         std::int64_t limit, MonoTime deadline);
  /// Records with their customers and keys. One read for one record, three for several.
  Task<Result<Loaded>> load(std::vector<RecordId> ids, MonoTime deadline);
  Task<Result<Loaded>> with_keys(std::vector<Record> records, MonoTime deadline);
  /// Records with a term of an exact or unique index, by id, with their tags.
  Task<Result<std::vector<Candidate>>> with_term(std::int64_t index, Bytes term, RecordId after,
                                                 std::int64_t limit, MonoTime deadline);
  /// Whose values of a unique index these are (at most 20,000 terms).
  Task<Result<std::map<Bytes, RecordId>>> with_unique_terms(std::int64_t index,
                                                            std::vector<Bytes> terms,
                                                            MonoTime deadline);
  Task<Result<std::vector<TokenOf>>> tokens_of(RecordId record, MonoTime deadline);

 private:
  db::Reader& reader_;
};

/// From a row with the columns of vault.find_record.
Record record_from(const db::Rows::Row& row);

/// Keyed digests that events leave behind, one per kind of row.
crypto::Digest record_digest(const crypto::KeySet& keys, const Record& record);

std::span<const db::Sql* const> statements();

}  // namespace holdfast::vault
