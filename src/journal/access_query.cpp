// How the index answers.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <queue>

#include "journal/access_index.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr int kTries = 20;

Error moving() {
  return {Code::unavailable, "the index of accesses is being rearranged; try again"};
}

/// Rows of one actor from one place, in order of subject.
struct ScopeSource {
  std::optional<RunReader> run;
  Bytes rows;  // from memory, sorted
  std::size_t at = 0;

  BytesView row() const {
    if (run) return run->row();
    return at < rows.size() ? BytesView(rows).subspan(at, kActorRow) : BytesView();
  }
  Task<Result<void>> advance() {
    at += kActorRow;
    if (run && !run->next()) co_return co_await run->load();
    co_return Result<void>();
  }
};

bool belongs(BytesView row, const ActorName& actor) {
  return !row.empty() && std::memcmp(row.data(), actor.data(), actor.size()) == 0;
}

/// The actor's rows that are in memory.
void rows_in_memory(const AccessRows& rows, const ActorName& actor, SeenSubjects& out) {
  auto found = rows.actors.find(actor);
  if (found == rows.actors.end()) return;
  for (const auto& [subject, seen] : found->second) join(out, subject, seen);
}

Task<Bytes> sorted(ActorName actor, SeenSubjects rows) {
  co_return sorted_actor(actor, rows);
}

void rows_in_memory(const AccessRows& rows, const SubjectId& subject, std::int64_t before,
                    bool opened, std::vector<SubjectRow>& out) {
  for (const auto& row : rows.subjects)
    if (row.subject == subject && row.seq < before && (row.opened || !opened)) out.push_back(row);
}

/// Decodes the entry and reads what it did with the subject.
Result<Access> access_of(EntryWithLeaves read, SubjectId subject) {
  auto entry = decode_entry(read.stored.entry);
  if (!entry) return std::move(entry).error();
  Access out{std::move(read.stored), std::move(*entry), {}};
  if (!out.entry.root) {
    for (const auto& touch : out.entry.touches)
      if (touch.subject == subject) out.rows.push_back({out.entry.kind_text, touch.row, {}});
    return out;
  }
  if (leaves_root(read.leaves) != *out.entry.root)
    return Error(Code::corrupt,
                 "the leaves of a batch are not those that its entry names; "
                 "`holdfast journal verify` says which");
  bool opened = false;
  for (std::size_t i = 0; i < read.leaves.size(); ++i) {
    auto touch = decode_leaf(read.leaves[i]);
    if (!touch) return std::move(touch).error();
    if (touch->subject != subject || (opened && touch->unopened)) continue;
    // Beside rows of which something was opened the others are not named.
    if (!touch->unopened && !std::exchange(opened, true)) out.rows.clear();
    out.rows.push_back({std::string(touch->kind), std::move(touch->row), i});
  }
  return out;
}

Task<Result<Access>> access_on_pool(EntryWithLeaves read, SubjectId subject) {
  co_return access_of(std::move(read), subject);
}

/// The next subject in byte order; nullopt behind the last.
std::optional<SubjectId> successor(SubjectId subject) {
  for (auto at = subject.uuid.rbegin(); at != subject.uuid.rend(); ++at)
    if (++*at != 0) return subject;
  return std::nullopt;
}

}  // namespace

Task<Result<bool>> AccessIndex::unchanged(std::int64_t merges) {
  auto now = co_await store_.merges();
  if (!now) co_return std::move(now).error();
  if (*now == merges) co_return true;
  // Either this process merged, and its state says so by now, or another did.
  bool ours;
  {
    std::scoped_lock lock(mutex_);
    ours = state_.merges == *now || merging_ || writing_;
  }
  if (!ours)
    if (auto done = co_await load(); !done) co_return std::move(done).error();
  co_await pause_for(Millis(2));
  co_return false;
}

Task<Result<void>> AccessIndex::rows_in(Run run, SubjectId subject, std::int64_t before,
                                        std::size_t limit, bool opened,
                                        std::vector<SubjectRow>& out) {
  auto key = subject_key(subject, before);
  Bytes bound(key.begin(), key.end());
  while (out.size() < limit) {
    auto chunk = co_await store_.chunk_before(RowKind::subject, run.id, bound);
    if (!chunk) co_return std::move(chunk).error();
    auto at = lower_bound(RowKind::subject, *chunk, bound);
    while (at > 0 && out.size() < limit) {
      at -= kSubjectRow;
      auto row = subject_row(BytesView(*chunk).subspan(at, kSubjectRow));
      if (row.subject != subject) co_return Result<void>();
      if (row.opened || !opened) out.push_back(row);
    }
    if (chunk->empty()) co_return Result<void>();
    bound.assign(chunk->begin(), chunk->begin() + kSubjectKey);
  }
  co_return Result<void>();
}

/// The newest `limit` rows of the subject: memory first, then runs from the newest entries back.
Task<Result<std::vector<SubjectRow>>> AccessIndex::rows_of(SubjectId subject, std::int64_t before,
                                                           std::size_t limit, bool opened) {
  for (int tries = 0; tries < kTries; ++tries) {
    if (auto done = co_await catch_up(); !done) co_return std::move(done).error();
    std::vector<SubjectRow> out;
    std::vector<Run> runs;
    std::int64_t merges;
    {
      std::scoped_lock lock(mutex_);
      rows_in_memory(tail_, subject, before, opened, out);
      if (frozen_) rows_in_memory(frozen_->rows, subject, before, opened, out);
      runs = state_.runs;
      merges = state_.merges;
    }
    std::ranges::sort(out, std::greater(), &SubjectRow::seq);
    for (auto run = runs.rbegin(); run != runs.rend() && out.size() < limit; ++run)
      if (run->from < before)
        if (auto done = co_await rows_in(*run, subject, before, limit, opened, out); !done)
          co_return std::move(done).error();
    if (out.size() > limit) out.resize(limit);
    auto good = co_await unchanged(merges);
    if (!good) co_return std::move(good).error();
    if (*good) co_return out;
  }
  co_return moving();
}

Task<Result<Access>> AccessIndex::access_from(Stored stored, SubjectId subject) {
  if (!wants_leaves(stored.entry)) co_return access_of({std::move(stored), {}}, subject);
  auto leaves = co_await log_.leaves(stored.id);
  if (!leaves) co_return std::move(leaves).error();
  co_return co_await boost::asio::co_spawn(
      pool_, access_on_pool({std::move(stored), std::move(*leaves)}, subject),
      boost::asio::use_awaitable);
}

Task<Result<AccessPage>> AccessIndex::accesses(SubjectId subject, std::int64_t before_seq,
                                               std::size_t limit, bool opened) {
  limit = std::min<std::size_t>(limit, 1000);
  auto rows = co_await rows_of(subject, before_seq, limit + 1, opened);
  if (!rows) co_return std::move(rows).error();
  AccessPage out;
  if (rows->size() > limit) {
    rows->resize(limit);
    out.before_seq = rows->back().seq;
  }
  std::vector<std::int64_t> seqs;
  for (const auto& row : *rows) seqs.push_back(row.seq);
  auto stored = co_await log_.read_at(std::move(seqs));
  if (!stored) co_return std::move(stored).error();
  if (stored->size() != rows->size())
    co_return Error(Code::corrupt, "entries of the journal are missing");
  if (auto good = co_await log_.check(*stored); !good) co_return std::move(good).error();
  Slices slices;
  for (auto& one : *stored) {
    auto access = co_await access_from(std::move(one), subject);
    if (!access) co_return std::move(access).error();
    out.accesses.push_back(std::move(*access));
    if (slices.due()) co_await slices.pause();
  }
  co_return out;
}

Task<Result<ScopePage>> AccessIndex::scope(std::string actor, std::optional<SubjectId> after,
                                           std::size_t limit) {
  co_return co_await scope_once(actor_name(actor), after, std::min<std::size_t>(limit, 1000));
}

Task<Result<ScopePage>> AccessIndex::scope_once(ActorName actor, std::optional<SubjectId> after,
                                                std::size_t limit) {
  auto begin = after ? successor(*after) : std::optional<SubjectId>(SubjectId{});
  if (!begin) co_return ScopePage();
  const auto from = actor_key(actor, *begin);
  for (int tries = 0; tries < kTries; ++tries) {
    if (auto done = co_await catch_up(); !done) co_return std::move(done).error();
    std::int64_t merges;
    std::vector<Run> runs;
    SeenSubjects in_memory;
    {
      std::scoped_lock lock(mutex_);
      rows_in_memory(tail_, actor, in_memory);
      if (frozen_) rows_in_memory(frozen_->rows, actor, in_memory);
      runs = state_.runs;
      merges = state_.merges;
    }
    std::vector<ScopeSource> sources(1);
    sources[0].rows = co_await boost::asio::co_spawn(pool_, sorted(actor, std::move(in_memory)),
                                                     boost::asio::use_awaitable);
    sources[0].at = lower_bound(RowKind::actor, sources[0].rows, from);
    for (const auto& run : runs) {
      auto& source = sources.emplace_back();
      source.run.emplace(store_, RowKind::actor, run.id);
      if (auto done = co_await source.run->seek(Bytes(from.begin(), from.end())); !done)
        co_return std::move(done).error();
    }

    auto later = [&](std::size_t a, std::size_t b) {
      return std::memcmp(sources[a].row().data(), sources[b].row().data(), kActorKey) > 0;
    };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> order(later);
    for (std::size_t i = 0; i < sources.size(); ++i)
      if (belongs(sources[i].row(), actor)) order.push(i);

    ScopePage out;
    std::int64_t distinct = 0;
    SubjectId current;
    Slices slices;
    while (!order.empty()) {
      auto least = order.top();
      order.pop();
      auto row = sources[least].row();
      auto subject = *SubjectId::from(row.subspan(16, 16));
      if (distinct == 0 || subject != current) {
        if (++distinct > static_cast<std::int64_t>(limit) && after) break;
        current = subject;
        if (out.subjects.size() < limit) out.subjects.push_back({subject, seen_in(row)});
      } else if (out.subjects.back().subject == subject) {
        out.subjects.back().seen = joined(out.subjects.back().seen, seen_in(row));
      }
      if (auto done = co_await sources[least].advance(); !done) co_return std::move(done).error();
      if (belongs(sources[least].row(), actor)) order.push(least);
      if (slices.due()) co_await slices.pause();
    }
    if (!after) out.total = distinct;
    if (distinct > static_cast<std::int64_t>(limit) && !out.subjects.empty())
      out.after = out.subjects.back().subject;
    auto good = co_await unchanged(merges);
    if (!good) co_return std::move(good).error();
    if (*good) co_return out;
  }
  co_return moving();
}

}  // namespace holdfast::journal
