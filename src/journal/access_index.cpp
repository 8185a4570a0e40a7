// How the index follows the log and keeps its runs; access_query.cpp is how it answers.
#include "journal/access_index.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "crypto/merkle.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

/// After so many entries without a row the position is kept all the same.
constexpr std::int64_t kSavedPosition = 100'000;

Bytes hash_of(const Stored& stored) {
  auto hash = crypto::leaf_hash(as_bytes(stored.entry));
  return {hash.begin(), hash.end()};
}

Task<Result<AccessRows>> parsed(std::vector<EntryWithLeaves> entries) {
  co_return access_rows(entries);
}

struct Sorted {
  Bytes subjects, actors;
};
Task<Sorted> sorted(const AccessRows* rows) {
  co_return Sorted{rows->sorted_subjects(), rows->sorted_actors()};
}

}  // namespace

AccessIndex::AccessIndex(Log& log, const Clock& clock, AccessOptions options)
    : log_(log), clock_(clock), options_(options), store_(log.scratch(), options.chunk_rows) {}

AccessIndex::~AccessIndex() {
  pool_.join();
}

Task<Result<std::unique_ptr<AccessIndex>>> AccessIndex::open(Log& log, const Clock& clock,
                                                             AccessOptions options) {
  std::unique_ptr<AccessIndex> index(new AccessIndex(log, clock, options));
  if (auto done = co_await index->load(); !done) co_return std::move(done).error();
  if (auto done = co_await index->store_.clean(); !done) co_return std::move(done).error();
  co_return index;
}

/// Reads the state, and begins anew when it is not of this log: another origin, or another entry
/// before the position.
Task<Result<void>> AccessIndex::load() {
  auto state = co_await store_.open();
  if (!state) co_return std::move(state).error();
  bool same = state->origin == log_.origin() && state->cursor <= log_.size();
  if (same && state->cursor > 0) {
    auto before = co_await log_.read(state->cursor - 1, 1);
    if (!before) co_return std::move(before).error();
    same = before->size() == 1 && hash_of(before->front()) == state->last;
  }
  if (!same) {
    state = co_await store_.reset(std::move(*state), log_.origin());
    if (!state) co_return std::move(state).error();
  }
  std::scoped_lock lock(mutex_);
  state_ = std::move(*state);
  cursor_ = state_.cursor;
  last_ = state_.last;
  tail_ = {};
  frozen_.reset();
  co_return Result<void>();
}

std::int64_t AccessIndex::position() const {
  std::scoped_lock lock(mutex_);
  return cursor_;
}

Task<Result<void>> AccessIndex::catch_up() {
  if (auto done = co_await log_.sequence(); !done) co_return std::move(done).error();
  const auto size = log_.size();
  for (;;) {
    bool late, full, over;
    {
      std::scoped_lock lock(mutex_);
      late = cursor_ < size;
      full = tail_.size() >= options_.run_rows;
      over = full && tail_.size() >= 4 * options_.run_rows;
    }
    // What cannot be written must not pile up; until then a failure can wait.
    if (full)
      if (auto done = co_await flush(true); !done && over) co_return std::move(done).error();
    if (!late) co_return Result<void>();
    if (auto done = co_await follow(); !done) co_return std::move(done).error();
  }
}

/// One batch, by one at a time.
Task<Result<void>> AccessIndex::follow() {
  std::int64_t from;
  bool busy;
  {
    std::scoped_lock lock(mutex_);
    busy = std::exchange(following_, true);
    from = cursor_;
  }
  if (busy) {
    co_await pause_for(Millis(1));
    co_return Result<void>();
  }
  auto done = co_await take_batch(from);
  std::scoped_lock lock(mutex_);
  following_ = false;
  co_return done;
}

Task<Result<void>> AccessIndex::take_batch(std::int64_t from) {
  auto stored = co_await log_.read(from, options_.batch);
  if (!stored) co_return std::move(stored).error();
  while (!stored->empty() && stored->back().seq >= log_.size()) stored->pop_back();
  if (stored->empty() && from >= log_.size()) co_return Result<void>();
  if (stored->empty() || stored->front().seq != from ||
      stored->back().seq - from + 1 != std::ssize(*stored))
    co_return Error(Code::corrupt, "the journal has a gap: entries were taken out of it");
  if (auto good = co_await log_.check(*stored); !good) co_return std::move(good).error();

  const auto next = stored->back().seq + 1;
  auto last = hash_of(stored->back());
  std::vector<EntryWithLeaves> entries;
  entries.reserve(stored->size());
  for (auto& one : *stored) {
    std::vector<Bytes> leaves;
    if (wants_leaves(one.entry)) {
      auto read = co_await log_.leaves(one.id);
      if (!read) co_return std::move(read).error();
      leaves = std::move(*read);
    }
    entries.push_back({std::move(one), std::move(leaves)});
  }
  auto rows =
      co_await boost::asio::co_spawn(pool_, parsed(std::move(entries)), boost::asio::use_awaitable);
  if (!rows) co_return std::move(rows).error();

  std::scoped_lock lock(mutex_);
  if (cursor_ != from) co_return Result<void>();  // the state was read anew meanwhile
  if (tail_.size() == 0) tail_since_ = clock_.mono();
  tail_.add(std::move(*rows));
  cursor_ = next;
  last_ = std::move(last);
  co_return Result<void>();
}

Task<Result<void>> AccessIndex::tend() {
  if (auto done = co_await catch_up(); !done) co_return std::move(done).error();
  if (auto done = co_await flush(false); !done) co_return std::move(done).error();
  co_return co_await merge();
}

/// Makes a run of the rows in memory: when there are enough of them or they are old, or `all`.
Task<Result<void>> AccessIndex::flush(bool all) {
  std::shared_ptr<const Frozen> frozen;
  {
    std::scoped_lock lock(mutex_);
    if (writing_) co_return Result<void>();
    if (!frozen_) {
      bool due = all || tail_.size() >= options_.run_rows ||
                 (tail_.size() > 0 && clock_.mono() - tail_since_ >= options_.run_age) ||
                 cursor_ - state_.cursor >= kSavedPosition;
      if (!due || cursor_ == state_.cursor) co_return Result<void>();
      frozen_ = std::make_shared<const Frozen>(std::exchange(tail_, {}), cursor_, last_);
    }
    frozen = frozen_;
    writing_ = true;
  }
  auto done = co_await write(frozen);
  std::scoped_lock lock(mutex_);
  writing_ = false;
  co_return done;
}

Task<Result<void>> AccessIndex::write(std::shared_ptr<const Frozen> frozen) {
  auto rows =
      co_await boost::asio::co_spawn(pool_, sorted(&frozen->rows), boost::asio::use_awaitable);
  RunState state;
  {
    std::scoped_lock lock(mutex_);
    state = state_;
  }
  auto next = co_await store_.add(std::move(state), std::move(rows.subjects),
                                  std::move(rows.actors), frozen->to, frozen->last);
  if (next) {
    std::scoped_lock lock(mutex_);
    state_ = std::move(*next);
    frozen_.reset();
    co_return Result<void>();
  }
  co_return co_await settled(std::move(next));
}

/// A conflict means that somebody else changed the runs: what they left is what counts.
Task<Result<void>> AccessIndex::settled(Result<RunState> next) {
  if (next) {
    std::scoped_lock lock(mutex_);
    state_ = std::move(*next);
    co_return Result<void>();
  }
  if (next.error().code == Code::conflict) co_return co_await load();
  co_return std::move(next).error();
}

Task<Result<void>> AccessIndex::merge() {
  for (;;) {
    std::vector<Run> inputs;
    {
      std::scoped_lock lock(mutex_);
      if (merging_) co_return Result<void>();
      inputs = RunStore::due(state_, options_.fan_in);
      if (inputs.empty()) co_return Result<void>();
      merging_ = true;
    }
    auto made = co_await store_.merged(inputs);
    for (bool waiting = made.has_value(); waiting;) {
      {
        std::scoped_lock lock(mutex_);
        waiting = writing_;
        writing_ = true;
      }
      if (waiting) co_await pause_for(Millis(2));
    }
    RunState state;
    {
      std::scoped_lock lock(mutex_);
      merging_ = false;
      state = state_;
    }
    if (!made) co_return std::move(made).error();
    auto next = co_await store_.replace(std::move(state), inputs, *made);
    const bool replaced = next.has_value();
    auto done = co_await settled(std::move(next));
    {
      std::scoped_lock lock(mutex_);
      writing_ = false;
    }
    if (!replaced) (void)co_await store_.drop(made->id);
    if (!done) co_return std::move(done).error();
    if (replaced)
      for (const auto& input : inputs)
        if (auto dropped = co_await store_.drop(input.id); !dropped)
          co_return std::move(dropped).error();
  }
}

}  // namespace holdfast::journal
