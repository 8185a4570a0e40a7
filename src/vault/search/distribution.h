// The real distribution of an index's terms, by a walk over its rows.
#pragma once

#include "vault/context.h"
#include "vault/index_plan.h"

namespace holdfast::vault {

/// Counts the rows of an index, those of its commonest term, and terms that more than one row has.
/// Reads 2,000 rows at a time and gives way between. Cost: about 1 µs a row. Errors: unavailable.
Task<Result<Distribution>> measure(db::Reader& reader, std::int64_t index);

/// Counts the records of collections as they grow: each call looks at 10,000 more at most.
/// Threads: one.
class Growth {
 public:
  /// Records counted so far; `complete` when all that there are were counted.
  struct Count {
    RecordId after{};
    std::int64_t records = 0;
    bool complete = false;
  };
  Task<Result<Count>> look(db::Reader& reader, std::uint32_t collection);

 private:
  std::map<std::uint32_t, Count> counts_;
};

std::span<const db::Sql* const> distribution_statements();

}  // namespace holdfast::vault
