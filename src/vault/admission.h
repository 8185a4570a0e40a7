// The one way past which anything sealed is shown: the engagement that a call names must hold,
// every customer is counted against the budgets, invented ones raise the alarm, and all of it is
// decided in the commit of the entry that records the opening.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vault/canary.h"
#include "vault/context.h"
#include "vault/engagement.h"

namespace holdfast::vault {

/// What a request is about to show.
struct Showing {
  std::vector<SubjectId> subjects;    // whose values are shown, compared or matched; may repeat
  std::vector<SubjectId> compared{};  // and not found: charged beyond any budget, no alarm
  std::vector<std::uint32_t> terms;   // Permitted::terms of all that is shown, each once
  std::optional<Engaged> engaged;
  bool alarm = true;  // false where no value of the customer's is shown
  /// A search: that nobody was found is an answer, and takes a budget with room. The first `found`
  /// of `subjects` are shown; the others it compared.
  bool asks = false;
  std::size_t found = 0;

  void add(std::uint32_t term);
};

/// Threads: any io_context thread. Lifetime: everything that it is given outlives it.
class Admission {
 public:
  struct Deps {
    Context context;
    Budgets& budgets;
    CanaryCache& canaries;
    Alarms& alarms;
  };
  explicit Admission(Deps deps) : deps_(deps) {}

  /// The engagement that a request names, if it holds for this caller: whoever opened it may not
  /// reveal under it. Cost: one or two reads. Errors: forbidden (at `engagement`; the caller
  /// records it), corrupt, unavailable.
  Task<Result<Engaged>> engage(Working work, Caller caller, std::string text);

  /// Commits `event` with `changes` and with what admission demands of it; only then anything may
  /// be shown. What is refused is recorded, but for a search's budget: whoever searches looks for
  /// room() again. Cost: without budgets and engagement that of the commit
  /// alone. Errors: those of the changes; exhausted (a budget, with the time at which it frees),
  /// forbidden (the engagement ended meanwhile), stale, unavailable.
  Task<Result<journal::Written>> record(Working work, Caller caller, Showing showing,
                                        db::Changes changes, journal::Event event);
  /// How many customers more a search under these terms may find; nothing where no budget counts.
  /// Without room for one it is refused before it looks for anybody: else what is refused would
  /// tell that there is somebody. Cost: none without budgets. Errors: exhausted (recorded), locked,
  /// unavailable.
  Task<Result<std::optional<std::int64_t>>> room(Caller caller, std::vector<std::uint32_t> terms,
                                                 journal::Event event);
  /// Records that nothing was shown, and says so. A literal `reason`, or the error's code.
  Task<Error> refused(Caller caller, journal::Event event, Error error,
                      std::string_view reason = {});

  Budgets& budgets() { return deps_.budgets; }

 private:
  const Deps deps_;
};

}  // namespace holdfast::vault
