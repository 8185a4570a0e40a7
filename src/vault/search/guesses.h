// Values that a search tries on customers who are already named. A caller who may compare a field
// but not see it learns from each search that names a customer some other way whether its guess was
// right: such misses are counted with those of verify, five a customer, field and day over all
// callers. After that the customer is not found by that field until the next day (UTC).
//
// What counts is a record that misses on one blind field and on nothing else, where so few fit the
// rest that they are as good as named.
#pragma once

#include <set>

#include "vault/search/query.h"

namespace holdfast::vault {

/// Threads: one at a time. Lifetime: the query outlives it.
class Guesses {
 public:
  static constexpr std::size_t kNamed = 10;  // candidates that count as named

  /// `blind`: fields of the query that the caller may only compare. `one_customer`: the search sees
  /// nobody else. `driver`: the field by whose values candidates are found, if there is one.
  Guesses(const Query& query, std::vector<const Field*> blind, bool one_customer,
          const Field* driver);

  /// Whether anything is to count at all.
  bool watching() const { return watching_; }
  /// Reads of which of these customers, by id, the values of today are used up. Cost: one read.
  Task<Result<void>> read_spent(db::Reader& reader, const std::vector<Openable>& candidates,
                                Time now, MonoTime deadline);
  /// matches(), except of customers whose values are used up.
  bool matches(OpenRecord& record);

  /// Whose values were compared, found or not.
  const std::vector<std::pair<SubjectId, RecordId>>& missed() const { return missed_; }
  /// Compared, by a driver that is blind itself: as telling as a search for that value alone.
  const std::vector<SubjectId>& compared() const { return compared_; }
  /// The counts of this search; nothing when more candidates than kNamed were looked at. An
  /// expectation fails them with values_used_up() where others used them up meanwhile.
  void count(db::Changes& changes, std::size_t looked, Time now);

 private:
  struct Compared {
    SubjectId subject;
    std::uint32_t field;
    auto operator<=>(const Compared&) const = default;
  };

  const Query* query_;
  std::vector<const Field*> blind_;
  const Field* driver_;
  bool one_customer_, watching_;
  std::set<Compared> spent_, wrong_, right_;
  std::vector<std::pair<SubjectId, RecordId>> missed_;
  std::vector<SubjectId> compared_;
};

}  // namespace holdfast::vault
