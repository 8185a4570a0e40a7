// Budgets: how many different customers a key, a person and the store may open within an hour and
// within a day. A charge is statements of the opening's own commit, so that it is exact under any
// race, on any node and over restarts. Lifetime: everything in Deps outlives it.
//
// A window slides in 60 buckets (a minute, 24 minutes): a customer counts until 60 whole buckets
// have passed since the last opening, however often. A clock that is set back frees nothing. What
// one key and those rotated from it open is one account; so is what one person opens (by pseudonym)
// through whatever key.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <vector>

#include "access/cache.h"
#include "access/messages.h"
#include "access/policy.h"
#include "db/changes.h"
#include "journal/event.h"

namespace holdfast::access {

/// Of the whole store, over all principals; 0: none.
struct Ceiling {
  std::int64_t per_hour = 0, per_day = 0;
};

class Budgets {
 public:
  struct Deps {
    Cache& cache;
    journal::Journal& journal;
    const crypto::HeldKeys& keys;
    const Clock& clock;
  };
  /// The statements of a charge, to stand before all others of a commit. `watched` are those whose
  /// result settle() looks at.
  struct Watched {
    std::size_t statement = 0;
    std::uint16_t rule = 0;
    std::int64_t limit = 0;
  };
  struct Charge {
    db::Changes changes;
    std::vector<Watched> watched;
  };
  struct Spent {
    Error error;
    journal::Event event;
  };

  explicit Budgets(Deps deps, Ceiling ceiling = {}) : deps_(deps), ceiling_(ceiling) {}

  /// No I/O, no allocation: `owed` are packed Owed of the caller's rights.
  bool counts(std::span<const std::uint32_t> owed) const;

  /// How many customers more fit in now, wherever there is a limit; nothing where there is none.
  /// Cost: a read for each limit. Errors: exhausted (not one fits in), locked, unavailable.
  Task<Result<std::optional<std::int64_t>>> room(Caller caller, std::vector<std::uint32_t> owed);
  /// Counts these customers, each once, on the key, the person and the store, wherever one of them
  /// has a limit. Guards fail the commit with `exhausted` at `budget.person.per_hour` and the like;
  /// where there are no customers, also when not one more would fit in. Those of `beyond` are
  /// counted behind the guards, whether they fit in or not.
  /// Cost: five statements and one for each customer, per account and window; everyone who is
  /// charged to the same account waits for its row. Errors: locked, unauthenticated, unavailable.
  Task<Result<Charge>> charge(Caller caller, std::vector<Bytes> subjects, std::vector<Bytes> beyond,
                              std::vector<std::uint32_t> owed);
  /// The caller's budgets as they count for what is not a field: all that are not observed.
  std::vector<std::uint32_t> all_owed(const Caller& caller) const;
  /// The error of a spent budget with the time at which `subjects` more fit in, and the event with
  /// the facts of it. Any other error comes back as it is. Cost: two reads.
  Task<Spent> spent(Caller caller, std::size_t subjects, std::vector<std::uint32_t> owed,
                    Error error, journal::Event event);
  /// What the commit would have been refused for, if the rules under observation held: an event and
  /// a count each. `used` is what the watched statements gave, in order.
  Task<void> settle(Caller caller, std::vector<std::uint32_t> owed, std::vector<Watched> watched,
                    std::vector<std::int64_t> used);

  /// What an account has used within the windows, with the limits that are known here.
  struct Use {
    std::string account;
    std::int64_t hour = 0, day = 0;
  };
  /// All accounts with anything used, or the one named; at most 1,000, by name.
  Task<Result<std::vector<Use>>> uses(std::string account, MonoTime deadline);
  Ceiling ceiling() const { return ceiling_; }

  /// Forgets what has left its window. Gives the number of rows.
  Task<Result<std::int64_t>> sweep(MonoTime deadline);

 private:
  struct Line;
  Task<Result<std::vector<Line>>> lines(Caller caller, std::span<const std::uint32_t> owed);

  const Deps deps_;
  const Ceiling ceiling_;
};

/// What rules under observation would have refused, out of scratch.
Task<Result<std::vector<Observed>>> read_observed(db::Scratch& scratch, MonoTime deadline);

std::span<const db::Sql* const> budget_statements();
std::span<const db::Sql* const> budget_scratch_statements();
/// Makes the table of counts in scratch.
Task<Result<void>> prepare_observed(db::Scratch& scratch);

}  // namespace holdfast::access
