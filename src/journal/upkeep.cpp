#include "journal/upkeep.h"

#include "journal/slices.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

constexpr Millis kStep{100};
constexpr int kStepsPerRound = 10;

Task<Result<void>> round(FollowDeps& deps, int step) {
  if (step % kStepsPerRound != 0) co_return co_await deps.log.sequence();
  if (auto done = co_await deps.log.settle(); !done) co_return std::move(done).error();
  co_return co_await deps.index.tend();
}

}  // namespace

Task<void> follow(FollowDeps deps) {
  int good = kStepsPerRound;  // steps since one failed: a round has each kind of step
  for (int step = 0; !deps.stop; ++step) {
    auto done = co_await round(deps, step);
    if (!done) {
      if (good == kStepsPerRound) deps.tell(&done.error());
      good = 0;
    } else if (good < kStepsPerRound && ++good == kStepsPerRound) {
      deps.tell(nullptr);
    }
    co_await pause_for(kStep);
  }
  if (auto done = co_await deps.log.settle(); !done) deps.tell(&done.error());
}

Task<Result<std::int64_t>> sweep_some_sides(Journal& journal, Time now, std::int64_t most) {
  auto rows = co_await journal.reader().read(kExpiredSides, {to_ms(now), most});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return 0;
  auto count = static_cast<std::int64_t>(rows->size());
  db::List expired;
  for (std::size_t i = 0; i < rows->size(); ++i)
    expired.cells.emplace_back(to_bytes((*rows)[i].bytes(0)));
  db::Changes changes;
  changes.write(kDropSides, {std::move(expired)}, db::Expect::exactly(count));
  auto done =
      co_await journal.commit(Caller{}, std::move(changes),
                              {.activity = "journal.sweep_sides", .facts = {{"count", count}}});
  if (!done) co_return std::move(done).error();
  co_return count;
}

Task<Result<std::int64_t>> sweep_sides(Journal& journal, Time now) {
  std::int64_t total = 0;
  for (;;) {
    auto count = co_await sweep_some_sides(journal, now, kSweptSides);
    if (!count) co_return std::move(count).error();
    if (*count == 0) co_return total;
    total += *count;
  }
}

}  // namespace holdfast::journal
