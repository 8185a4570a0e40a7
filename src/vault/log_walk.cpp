#include "vault/log_walk.h"

#include "journal/slices.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kPage = 200;
/// Entries this far behind `until` end the walk: the clock may have been set.
constexpr Millis kSlack{86'400'000};

Error damaged() {
  return {Code::corrupt,
          "an entry of the journal is damaged; `holdfast journal verify` says which"};
}

}  // namespace

Task<Result<std::int64_t>> first_entry_at(journal::Log& log, Time at) {
  std::int64_t low = 0, high = log.size();
  while (low < high) {
    auto middle = low + (high - low) / 2;
    auto entries = co_await log.read(middle, 1);
    if (!entries) co_return std::move(entries).error();
    if (entries->empty()) co_return damaged();
    auto entry = journal::scan_entry(entries->front().entry);
    if (!entry) co_return damaged();
    if (from_ms(entry->at_ms) < at)
      low = middle + 1;
    else
      high = middle;
  }
  co_return low;
}

Task<Result<std::int64_t>> walk_entries(journal::Log& log, std::int64_t from, Time since,
                                        Time until, MonoTime deadline, const Clock& clock,
                                        EntrySeen seen) {
  journal::Slices slices;
  const auto size = log.size();
  while (from < size) {
    if (clock.mono() > deadline)
      co_return Error(Code::unavailable, "this takes too long: choose a shorter period");
    auto entries = co_await log.read(from, kPage);
    if (!entries) co_return std::move(entries).error();
    if (entries->empty()) co_return damaged();
    for (const auto& stored : *entries) {
      auto entry = journal::scan_entry(stored.entry);
      if (!entry) co_return damaged();
      const auto at = from_ms(entry->at_ms);
      if (at >= until + kSlack) co_return from;
      from = stored.seq + 1;
      if (at < since || at >= until) continue;
      auto more = seen(stored, *entry);
      if (!more) co_return std::move(more).error();
      if (!*more) co_return from;
      if (slices.due()) co_await slices.pause();
    }
    co_await slices.pause();
  }
  co_return from;
}

}  // namespace holdfast::vault
