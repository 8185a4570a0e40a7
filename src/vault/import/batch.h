// One batch of an import: its checked rows, what of them is stored already, and the changes that
// bring the one to the other.
//
//   auto known = co_await known_of(context, *work.keys, rows, deadline);
//   auto sealed = seal_rows(work, import, rows, *known);   // on the pool
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "vault/context.h"
#include "vault/draft.h"
#include "vault/import/report.h"
#include "vault/import/row.h"
#include "vault/policy.h"

namespace holdfast::vault {

struct UniqueTerm {
  const Field* field;
  std::int64_t index;
  Bytes term;
};

struct CheckedRecord {
  const Collection* collection;
  std::string slot;
  std::vector<CheckedValue> values;
  std::vector<UniqueTerm> unique;  // of values that must be unique
};

/// A row whose values fit their fields. Points into the schema that it was checked under.
struct CheckedRow {
  std::string external_id;
  Place place;
  std::vector<CheckedRecord> records;
};

/// What the rows of a batch need to know of what is stored already.
struct KnownRows {
  std::map<std::string, SubjectId> subjects;  // by external id
  std::set<SubjectId> restricted;
  bool aliases = false;  // two of the external ids are one customer's
  std::map<SubjectId, SubjectKeys> keys;
  std::map<std::tuple<SubjectId, std::uint32_t, std::string>, Record> records;
  /// Whose a unique value is: by index and term.
  std::map<std::pair<std::int64_t, Bytes>, RecordId> taken;
};

struct SealedRows {
  db::Changes changes;
  journal::Event event;
  std::int64_t customers = 0, created = 0, updated = 0, unchanged = 0;
  std::vector<RefusedRow> refused;
  /// Rows of a customer whom an earlier row of the batch wrote under another name: they must see
  /// what that one left.
  std::vector<std::size_t> later;
};

RefusedRow refusal(Place place, std::string_view reason, std::string field = {});

/// The terms of a value whose field is `unique`, for CheckedRecord::unique.
void add_unique(const crypto::KeySet& keys, const Field& field, const Secret& value,
                std::vector<UniqueTerm>& out);

/// A row that was checked under an older schema or keys, as these have its fields: they may have
/// got another index. Errors: conflict (a collection or field is gone).
Result<void> carry_over(const Working& work, CheckedRow& row);

/// Four lookups, whatever the number of rows. Errors: corrupt, unavailable.
Task<Result<KnownRows>> known_of(const Context& context, const crypto::KeySet& keys,
                                 const std::vector<CheckedRow>& rows, MonoTime deadline);

/// For the pool: it seals every value. `known` learns of the rows as they are taken.
/// Errors: unavailable (no randomness).
Result<SealedRows> seal_rows(const Working& work, ImportId import,
                             const std::vector<CheckedRow>& rows, KnownRows& known);

}  // namespace holdfast::vault
