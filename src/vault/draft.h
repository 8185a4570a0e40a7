// Rows that are about to be written, gathered by table, so that one record and twenty thousand go
// the same way: bulk statements and one event.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "base/result.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "journal/event.h"
#include "vault/index_terms.h"
#include "vault/schema.h"
#include "vault/store.h"

namespace holdfast::vault {

/// A value that passed its field's check. No value: take the field out of the record.
struct CheckedValue {
  const Field* field;
  Secret value;
  bool remove = false;
};

/// Whether a value goes. One that another takes the place of does not: what the shop knows of a
/// customer must stay right under a legal hold, too.
bool loses(std::span<const CheckedValue> values);

/// Checks values against a collection's fields. Errors: invalid, all violations at once
/// (`values.email`), at most 20.
Result<std::vector<CheckedValue>> check_values(const Collection& collection, const Values& values,
                                               const FieldPath& where);

/// A commit's error when another record has a unique value.
Error value_taken();

/// Threads: not safe; made per request.
class Draft {
 public:
  Draft(const crypto::KeySet& keys, Time now) : keys_(keys), now_(now) {}

  /// A new customer; `external_id` may be empty. Its id is sealed under the `account` key.
  Result<SubjectId> add_subject(std::string_view external_id, SubjectKeys& out);
  /// A new record. `keys` is of its subject and gets what keys it lacks.
  Result<Record> add_record(SubjectKeys& keys, const Collection& collection,
                            std::optional<std::string> slot, std::span<const CheckedValue> values);
  /// The record with some values replaced or taken out. Unchanged values stay sealed as they are;
  /// nothing is written when nothing changed (false).
  Result<bool> change_record(SubjectKeys& keys, const Collection& collection, Record& record,
                             std::span<const CheckedValue> values);
  /// The record as one of another customer: its values sealed under that one's keys, in that slot.
  /// Index terms stay: they name the record. Errors: corrupt (a value does not open).
  Result<void> move_record(SubjectKeys& from, SubjectKeys& to, const Collection& collection,
                           Record& record, std::optional<std::string> slot);
  /// Takes out the record, its index terms and its tokens (all of them: Store::tokens_of).
  Result<void> drop_record(SubjectKeys& keys, const Collection& collection, const Record& record,
                           std::span<const TokenOf> tokens);
  void drop_tokens(SubjectId subject, std::span<const TokenOf> tokens);
  /// From here on a value that is taken out is no change of its record: `updated` stays as it is,
  /// so that the keep times of its other values do not begin anew.
  void keep_updated() { keeps_updated_ = true; }
  /// The commit fails with `gone` when this customer is erased or merged away meanwhile.
  void expect_living(SubjectId subject) { living_.insert(subject); }

  /// Everything gathered, in the order in which it must be written.
  db::Changes changes() &&;
  std::vector<journal::Touch>& touches() { return touches_; }
  std::size_t records() const { return records_.size() + puts_.size() + moves_.size(); }

 private:
  const BlindTerms& terms_of(const IndexInfo& index);
  void add_terms(const Field& field, RecordId record, std::int64_t version, BytesView value);
  void drop_terms(SubjectKeys& keys, const Collection& collection, const Record& record,
                  const Field& field, const SealedField& old);
  void post(const BlindTerms& terms, std::string_view normal, RecordId record, std::int64_t version,
            bool adds);
  void add_blocks(db::Changes& out);

  const crypto::KeySet& keys_;
  Time now_;
  std::vector<db::Args> subjects_, subject_keys_, records_, puts_, moves_, drops_, old_terms_,
      terms_, unique_;
  std::map<std::int64_t, BlindTerms> indexes_;
  std::map<std::pair<std::int64_t, Bytes>, std::vector<Posting>> postings_;
  db::List token_drops_;
  std::set<SubjectId> living_;
  bool keeps_updated_ = false;
  std::set<std::pair<SubjectId, std::string>> lost_;  // groups of which single values went
  std::vector<journal::Touch> touches_;
};

}  // namespace holdfast::vault
