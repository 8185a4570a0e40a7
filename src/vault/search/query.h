// A search as it was understood: what is compared with what, and which view of each field that
// takes. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "vault/context.h"
#include "vault/search/messages.h"

namespace holdfast::vault {

/// One value of `q`.
struct Condition {
  const Field* field;
  const IndexInfo* index;
  Match match;
  Secret wanted;  // normalised
};

/// A field, or one of the record's own times.
struct Comparable {
  const Field* field = nullptr;
  bool created = false;  // of the two times, when there is no field
};

struct Narrowing : Comparable {
  FilterOp op = FilterOp::eq;
  Secret value;  // normalised
  Time time{};
};

struct Ordering : Comparable {
  bool descending = false;
};

struct Query {
  const Collection* collection = nullptr;
  std::vector<Condition> conditions;  // all must hold
  std::vector<Condition> any;         // one must, if there are any
  std::vector<Narrowing> filters;
  std::optional<Ordering> sort;
};

/// Errors: invalid (the field is named: unknown, without an index, a comparison that its index does
/// not offer, fewer than three characters, no date), unavailable (its index is still being built).
Result<Query> read_query(const Collection& collection, const SearchRecords& request);

/// The lowest view of each field that the search takes: verify to compare whole values, clear to
/// look for parts, to compare in order and to sort; masked where the mask shows all of the value.
std::vector<std::pair<const Field*, View>> views_needed(const Query& query);

/// The opened values of one record, each opened once.
class OpenRecord {
 public:
  /// Errors: corrupt.
  static Result<OpenRecord> of(const Working& work, const Collection& collection,
                               const Openable& openable);
  /// nullptr when the record has none, or it is past its keep time, erased or damaged.
  const Secret* value(const Field& field);
  const Record& record() const { return openable_->record; }

 private:
  OpenRecord(const Working& work, const Collection& collection, const Openable& openable)
      : work_(&work), collection_(&collection), openable_(&openable) {}

  const Working* work_;
  const Collection* collection_;
  const Openable* openable_;
  std::vector<SealedField> fields_;
  std::map<std::uint16_t, std::optional<Secret>> opened_;
};

/// Whether the record matches all conditions and filters, and one of `any`. Cost: about 4 µs a
/// value.
bool matches(const Query& query, OpenRecord& record);
/// Whether it has the text in one of the fields of `any`; true without such.
bool matches_any(const Query& query, OpenRecord& record);
/// The fields of what the record does not match: of each condition and filter its one (nullptr for
/// the record's own times), of `any` all. Cost: that of matches() of a record that matches.
std::vector<std::vector<const Field*>> misses(const Query& query, OpenRecord& record);
/// By what the record is sorted: its times, or the first 256 bytes of the normalised value; records
/// without a value have an empty key.
Secret sort_key(const Query& query, OpenRecord& record);

}  // namespace holdfast::vault
