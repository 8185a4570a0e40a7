// Values that a search tries on customers who are already named. A caller who may compare a field
// but not see it learns from each search that names a customer some other way whether its guess was
// right: such misses are counted with those of verify, five a customer, field and day over all
// callers. After that the customer is not found by that field until the next day (UTC).
//
// What counts is a record that misses on a blind field and on nothing that the field has no part in
// (a text is looked for in several at once), where so few fit the rest that they
// are as good as named. A value that names one person (an email) does so however many records have
// it: a caller can write records that have it too. Where nobody is as good as named the search
// itself counts, on the caller's key: else whoever writes enough such records could guess without
// end.
#pragma once

#include <functional>

#include "vault/admission.h"
#include "vault/records/wrong_values.h"
#include "vault/search/query.h"

namespace holdfast::vault {

/// Threads: one at a time. Lifetime: the query outlives it.
class Guesses {
 public:
  /// How many candidates found by this field's values count as named; nullptr: by parts of values.
  static std::size_t named(const Field* by);

  /// `blind`: fields of the query that the caller may only compare. `one_customer`: the search sees
  /// nobody else. `driver`: the field by whose values candidates are found, if there is one;
  /// `by_any` when they are found by the fields of `any`.
  Guesses(const Query& query, std::vector<const Field*> blind, bool one_customer,
          const Field* driver, bool by_any);

  /// Reads of which of these customers the values of today are used up. Cost: one read. Errors:
  /// unavailable.
  Task<Result<void>> read_spent(db::Reader& reader, const std::vector<Openable>& candidates,
                                Time now, MonoTime deadline);
  /// matches(), except of customers whose values are used up. `told`: something else than the
  /// driver's value names this record.
  bool matches(OpenRecord& record, bool told);

  /// Who is as good as named: by one condition (`alone`), or since few fit the search without the
  /// fields that they missed, where all of these are candidates (`whole_without`).
  struct Naming {
    std::function<bool(RecordId)> alone;
    std::function<bool(const std::vector<std::uint16_t>&)> whole_without;
  };
  /// Adds what this search is to count. Who was compared and missed goes into `showing`, and where
  /// it counts into `event`.
  void settle(const Naming& naming, SubjectId guesser, Time now, db::Changes& changes,
              Showing& showing, journal::Event& event) const;
  /// Errors: exhausted (the guesser's searches of today are used up), unavailable. Cost: one read,
  /// where values are compared that the caller may not see.
  Task<Result<void>> allowed(db::Reader& reader, SubjectId guesser, Time now,
                             MonoTime deadline) const;

 private:
  /// Values of blind fields that were compared with one record's.
  struct Tried {
    SubjectId subject;
    RecordId record;
    std::vector<std::uint16_t> fields;
  };

  bool is_named(const Tried& tried, const Naming& naming) const;

  const Query* query_;
  std::vector<const Field*> blind_;
  const Field* driver_;
  bool by_any_;
  bool watching_;
  std::set<Compared> spent_;
  std::vector<Tried> right_, wrong_;  // wrong_: these missed, and nothing that the caller sees
  std::vector<SubjectId> compared_;   // and not found
};

}  // namespace holdfast::vault
