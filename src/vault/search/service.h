// Search on sealed fields: records are found by keyed terms, opened, compared, and shown masked.
#pragma once

#include "base/pool.h"
#include "http/route.h"
#include "vault/admission.h"
#include "vault/context.h"
#include "vault/records/opening.h"
#include "vault/search/cursor.h"
#include "vault/search/messages.h"
#include "vault/search/query.h"

namespace holdfast::vault {

class Candidates;
class Guesses;

/// Threads: any io_context thread.
class Search {
 public:
  Search(Context context, Opening& opening, Admission& admission, Pool& pool)
      : context_(context), opening_(opening), admission_(admission), pool_(pool) {}

  /// Records that match all values of `q` and all filters. Each was opened and compared; each is
  /// touched in the journal as opened, so that histories of access count it, and goes through
  /// admission before anything is shown: budgets count every customer who matched, canaries alarm.
  /// A budget with less room than a page cuts the page; a spent one refuses before anybody is
  /// looked for. Values that the caller may only compare, tried on somebody who is already named,
  /// are counted like those of verify (guesses.h): who misses is touched too, and left out when the
  /// values of the day are used up. Customers who closed themselves for the purpose are left out
  /// and only counted, in the journal.
  ///
  /// Without `sort` a page looks at 10,000 candidates at most and says where to go on. With it all
  /// candidates are opened, and more than 10,000 are refused.
  ///
  /// Cost: one share of a group commit, 1 µs a row that shares a cut-off term, about 10 µs a
  /// candidate. Errors: those of read_query, forbidden (recorded), exhausted (a budget), invalid
  /// (cursor, too many candidates to sort or to look through), stale, locked, corrupt, unavailable.
  Task<Result<FoundRecords>> search(Caller caller, SearchRecords request);

 private:
  struct Run;  // one search on its way

  /// Nothing, where the budgets have less room by now than when it looked.
  Task<Result<std::optional<FoundRecords>>> once(Caller caller, const SearchRecords& request);

  Task<Result<void>> find_in_order(Run& run, Candidates& candidates, Guesses& guesses,
                                   FoundRecords& out);
  Task<Result<void>> find_sorted(Run& run, Candidates& candidates, Guesses& guesses,
                                 FoundRecords& out);
  Task<Result<void>> show(Run& run, const std::vector<const Openable*>& found, FoundRecords& out);

  Context context_;
  Opening& opening_;
  Admission& admission_;
  Pool& pool_;
};

/// nullptr only to be described.
std::vector<http::Route> search_routes(Search* search);
std::span<const db::Sql* const> search_statements();

}  // namespace holdfast::vault
