// Postings are written as one small block per term and change, because that is cheap and never
// conflicts. Here small blocks become large ones, and entries that were taken back go for good.
#pragma once

#include <map>
#include <set>

#include "base/pool.h"
#include "vault/context.h"
#include "vault/index_terms.h"

namespace holdfast::vault {

/// Threads: one.
class Compaction {
 public:
  Compaction(Context context, Pool& pool) : context_(context), pool_(pool) {}

  /// Merges terms that lost entries first, then some with sixteen small blocks or more. One event a
  /// step. True when there is more to do. A damaged block stays where it is and is noted in its
  /// index's state. Errors: conflict (another node was faster), locked, unavailable.
  Task<Result<bool>> step(Working work, std::map<std::int64_t, IndexInfo> indexes);

  /// In the middle of looking for small blocks: each step goes on by 2,000.
  bool scanning() const { return place_.number != 0; }

 private:
  struct Term {
    std::int64_t number;
    Bytes term;
  };
  struct Merging {
    db::List gone;
    std::map<RecordId, Posting> newest;
  };
  Task<Result<std::vector<Term>>> due();
  Task<Result<void>> merge(const BlindTerms& terms, const Term& term, db::Changes& changes);
  Task<Result<void>> take_back(const BlindTerms& terms, const Term& term, Merging& merging);

  Context context_;
  Pool& pool_;
  Term place_{0, {}};        // where the search for small blocks goes on
  std::set<Bytes> damaged_;  // terms that cannot be merged
};

std::span<const db::Sql* const> compaction_statements();

}  // namespace holdfast::vault
