// Wrong values offered for a customer's field: five a day (UTC), over all callers and all
// operations that say whether a value is right. Errors of the reads: unavailable.
#pragma once

#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "vault/context.h"

namespace holdfast::vault {

inline constexpr std::int64_t kWrongValues = 5;  // a day
/// A caller's searches in a day that tried values of a field which it may not see on so many
/// customers that nobody was as good as named.
inline constexpr std::int64_t kGuessingSearches = 200;

/// A field, by id, of a customer whose value was compared.
struct Compared {
  SubjectId subject;
  std::uint32_t field;
  auto operator<=>(const Compared&) const = default;
};

/// Of which fields of these customers (at most 20,000) the values of today are used up. Cost: one
/// read.
Task<Result<std::set<Compared>>> used_up(db::Reader& reader, const std::vector<SubjectId>& subjects,
                                         std::uint32_t collection, Time now, MonoTime deadline);
/// How many wrong values of today are counted on `whose`, by collection and field. Cost: one read.
Task<Result<std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t>>> wrong_today(
    db::Reader& reader, SubjectId whose, Time now, MonoTime deadline);
/// Counts those that are true in `wrong`. Right ones wait for the same rows, so that of many values
/// offered at once no more than five wrong ones come before the answer. The commit fails with
/// values_used_up() where others were faster; with `Expect::any()` it goes through: for answers
/// that were given already.
void count_wrong(db::Changes& changes, std::uint32_t collection,
                 const std::map<Compared, bool>& wrong, Time now,
                 db::Expect expect = db::Expect::exactly(1));
Error values_used_up();

/// On whom a caller's own tries are counted: a place among customers that is nobody's. `what` tells
/// kinds of tries apart.
SubjectId place_of_tries(const crypto::KeySet& keys, std::string_view what,
                         std::string_view caller);
/// Counts a guessing search on `guesser`. The commit fails where it is one too many.
void count_guessing(db::Changes& changes, SubjectId guesser, std::uint32_t collection,
                    const std::set<std::uint32_t>& fields, Time now);
Error guesses_used_up();

std::span<const db::Sql* const> wrong_value_statements();

}  // namespace holdfast::vault
