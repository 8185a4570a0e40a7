#include "journal/access_runs.h"

#include <algorithm>
#include <cstring>

#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr std::string_view kTables = R"(
create table if not exists access_state (
  id {{int}} primary key,
  origin {{text}} not null,
  position {{int}} not null,
  last {{bytes}} not null,
  version {{int}} not null,
  merges {{int}} not null,
  next_run {{int}} not null
) {{strict}};
create table if not exists access_runs (
  run {{int}} primary key,
  tier {{int}} not null,
  from_seq {{int}} not null,
  to_seq {{int}} not null
) {{strict}};
create table if not exists access_chunks (
  kind {{int}} not null,
  run {{int}} not null,
  first {{bytes}} not null,
  chunk {{bytes}} not null,
  primary key (kind, run, first)
) {{strict}};
)";

constexpr db::Sql kFirstState{
    "journal.access_first_state",
    "insert into access_state (id, origin, position, last, version, merges, next_run) "
    "values (1, '', 0, $1, 1, 0, 1) on conflict (id) do nothing"};

constexpr db::Sql kReadState{
    "journal.access_state",
    "select origin, position, last, version, merges from access_state where id = 1"};
constexpr db::Sql kReadMerges{"journal.access_merges",
                              "select merges from access_state where id = 1"};
constexpr db::Sql kReadRuns{
    "journal.access_runs", "select run, tier, from_seq, to_seq from access_runs order by from_seq"};
constexpr db::Sql kSetState{
    "journal.access_set_state",
    "update access_state set origin = $2, position = $3, last = $4, version = version + 1, "
    "merges = $5 where id = 1 and version = $1"};
constexpr db::Sql kNextRun{
    "journal.access_next_run",
    "update access_state set next_run = next_run + 1 where id = 1 returning next_run"};
constexpr db::Sql kAddRun{
    "journal.access_add_run",
    "insert into access_runs (run, tier, from_seq, to_seq) values ($1, $2, $3, $4)"};
constexpr db::Sql kDropRun{"journal.access_drop_run", "delete from access_runs where run = $1"};
constexpr db::Sql kDropRuns{"journal.access_drop_runs", "delete from access_runs"};
constexpr db::Sql kAddChunk{
    "journal.access_add_chunk",
    "insert into access_chunks (kind, run, first, chunk) values ($1, $2, $3, $4)"};
constexpr db::Sql kDropChunks{
    "journal.access_drop_chunks",
    "delete from access_chunks where kind = $1 and run = $2 and first in "
    "(select first from access_chunks where kind = $1 and run = $2 order by first limit 64) "
    "returning run"};
constexpr db::Sql kDropStray{
    "journal.access_drop_stray",
    "delete from access_chunks where run not in (select run from access_runs)"};
constexpr db::Sql kHasChunks{"journal.access_has_chunks",
                             "select 1 from (select count(*) as n from access_chunks where kind in "
                             "(1, 2) and run = $1) as c "
                             "where c.n = $2"};
constexpr db::Sql kChunkWith{
    "journal.access_chunk_with",
    "select chunk from access_chunks where kind = $1 and run = $2 and first <= $3 "
    "order by first desc limit 1"};
constexpr db::Sql kChunkBefore{
    "journal.access_chunk_before",
    "select chunk from access_chunks where kind = $1 and run = $2 and first < $3 "
    "order by first desc limit 1"};
constexpr db::Sql kChunkAfter{
    "journal.access_chunk_after",
    "select chunk from access_chunks where kind = $1 and run = $2 and first > $3 "
    "order by first limit 1"};

Error outrun() {
  return {Code::conflict, "another process changed the index of accesses meanwhile"};
}

void set_state(db::Changes& changes, const RunState& was, const RunState& next) {
  changes.write(kSetState, {was.version, next.origin, next.cursor, next.last, next.merges},
                db::Expect::exactly(1), outrun());
}

}  // namespace

std::size_t lower_bound(RowKind kind, BytesView chunk, BytesView key) {
  std::size_t width = row_bytes(kind), low = 0, high = chunk.size() / width;
  while (low < high) {
    auto middle = (low + high) / 2;
    if (std::memcmp(chunk.data() + middle * width, key.data(), key.size()) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low * width;
}

/// Cuts rows into chunks and hands them to scratch in bounded commits.
class RunWriter {
 public:
  RunWriter(RunStore& store, RowKind kind, std::int64_t run)
      : store_(store), kind_(kind), run_(run) {}

  void add(BytesView row) {
    chunk_.insert(chunk_.end(), row.begin(), row.end());
    if (chunk_.size() >= store_.chunk_rows_ * row_bytes(kind_)) cut();
  }
  void add_all(BytesView rows) {
    for (; !rows.empty(); rows = rows.subspan(row_bytes(kind_))) add(rows.first(row_bytes(kind_)));
  }
  bool full() const { return done_.size() >= 16; }
  /// Cut so far.
  std::int64_t chunks() const { return chunks_; }

  /// What has come together, as statements of the caller's own commit.
  void flush(db::Changes& changes) {
    if (!chunk_.empty()) cut();
    changes.bulk(kAddChunk, std::exchange(done_, {}));
  }
  Task<Result<void>> flush() {
    db::Changes changes;
    changes.bulk(kAddChunk, std::exchange(done_, {}));
    auto committed = co_await store_.scratch_.commit(std::move(changes));
    if (!committed) co_return std::move(committed).error();
    co_return Result<void>();
  }

 private:
  void cut() {
    Bytes first(chunk_.begin(), chunk_.begin() + static_cast<std::ptrdiff_t>(key_bytes(kind_)));
    done_.push_back(
        {static_cast<std::int64_t>(kind_), run_, std::move(first), std::exchange(chunk_, {})});
    ++chunks_;
  }

  RunStore& store_;
  RowKind kind_;
  std::int64_t run_;
  Bytes chunk_;
  std::vector<db::Args> done_;
  std::int64_t chunks_ = 0;
};

Task<Result<RunState>> RunStore::open() {
  db::Changes changes;
  changes.script(std::string(kTables));
  auto made = co_await scratch_.commit(std::move(changes));
  if (!made) co_return std::move(made).error();
  db::Changes first;
  first.write(kFirstState, {Bytes()});
  auto stated = co_await scratch_.commit(std::move(first));
  if (!stated) co_return std::move(stated).error();

  auto rows = co_await scratch_.read(kReadState, {});
  if (!rows) co_return std::move(rows).error();
  auto runs = co_await scratch_.read(kReadRuns, {});
  if (!runs) co_return std::move(runs).error();
  if (rows->size() != 1) co_return Error(Code::corrupt, "scratch lacks the state of its index");
  RunState state;
  state.origin = (*rows)[0].text(0);
  state.cursor = (*rows)[0].integer(1);
  state.last = to_bytes((*rows)[0].bytes(2));
  state.version = (*rows)[0].integer(3);
  state.merges = (*rows)[0].integer(4);
  for (std::size_t i = 0; i < runs->size(); ++i)
    state.runs.push_back({(*runs)[i].integer(0), (*runs)[i].integer(1), (*runs)[i].integer(2),
                          (*runs)[i].integer(3)});
  co_return state;
}

Task<Result<void>> RunStore::clean() {
  db::Changes changes;
  changes.write(kDropStray, {});
  auto done = co_await scratch_.commit(std::move(changes));
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

Task<Result<RunState>> RunStore::reset(RunState now, std::string origin) {
  RunState next;
  next.origin = std::move(origin);
  next.version = now.version + 1;
  next.merges = now.merges + 1;
  db::Changes changes;
  set_state(changes, now, next);
  changes.write(kDropRuns, {});
  changes.write(kDropStray, {});
  auto done = co_await scratch_.commit(std::move(changes));
  if (!done) co_return std::move(done).error();
  co_return next;
}

Task<Result<std::int64_t>> RunStore::next_id() {
  db::Changes changes;
  changes.write(kNextRun, {}, db::Expect::exactly(1));
  auto done = co_await scratch_.commit(std::move(changes));
  if (!done) co_return std::move(done).error();
  co_return done->returned[0][0].integer(0);
}

Task<Result<RunState>> RunStore::add(RunState state, Bytes subjects, Bytes actors, std::int64_t to,
                                     Bytes last) {
  auto next = state;
  ++next.version;
  next.cursor = to;
  next.last = std::move(last);
  db::Changes changes;
  if (!subjects.empty()) {
    auto id = co_await next_id();
    if (!id) co_return std::move(id).error();
    RunWriter by_subject(*this, RowKind::subject, *id), by_actor(*this, RowKind::actor, *id);
    by_subject.add_all(subjects);
    by_actor.add_all(actors);
    by_subject.flush(changes);
    by_actor.flush(changes);
    Run run{*id, 0, state.cursor, to};
    changes.write(kAddRun, {run.id, run.tier, run.from, run.to});
    next.runs.push_back(run);
  }
  set_state(changes, state, next);
  auto done = co_await scratch_.commit(std::move(changes));
  if (!done) co_return std::move(done).error();
  co_return next;
}

std::vector<Run> RunStore::due(const RunState& state, std::size_t fan_in) {
  // Runs of one tier lie side by side; higher tiers hold older entries.
  const auto& runs = state.runs;
  for (std::size_t end = runs.size(), begin = end; end > 0; end = begin) {
    while (begin > 0 && runs[begin - 1].tier == runs[end - 1].tier) --begin;
    if (end - begin >= fan_in)
      return {runs.begin() + static_cast<std::ptrdiff_t>(begin),
              runs.begin() + static_cast<std::ptrdiff_t>(begin + fan_in)};
  }
  return {};
}

Task<Result<Run>> RunStore::merged(std::vector<Run> inputs) {
  auto id = co_await next_id();
  if (!id) co_return std::move(id).error();
  Run made{*id, inputs.front().tier + 1, inputs.front().from, inputs.back().to};
  for (auto kind : {RowKind::subject, RowKind::actor}) {
    auto chunks = co_await merge_kind(kind, inputs, *id);
    if (!chunks) {
      (void)co_await drop(*id);
      co_return std::move(chunks).error();
    }
    made.chunks += *chunks;
  }
  co_return made;
}

Task<Result<RunState>> RunStore::replace(RunState state, std::vector<Run> inputs, Run made) {
  auto next = state;
  ++next.version;
  ++next.merges;
  auto first = std::ranges::find(next.runs, inputs.front().id, &Run::id);
  *first = made;
  next.runs.erase(first + 1, first + static_cast<std::ptrdiff_t>(inputs.size()));
  db::Changes changes;
  changes.guard(kHasChunks, {made.id, made.chunks}, outrun());
  changes.write(kAddRun, {made.id, made.tier, made.from, made.to});
  for (const auto& input : inputs)
    changes.write(kDropRun, {input.id}, db::Expect::exactly(1), outrun());
  set_state(changes, state, next);
  auto done = co_await scratch_.commit(std::move(changes));
  if (!done) co_return std::move(done).error();
  co_return next;
}

Task<Result<void>> RunStore::drop(std::int64_t run) {
  for (auto kind : {RowKind::subject, RowKind::actor}) {
    for (bool more = true; more;) {
      db::Changes changes;
      changes.write(kDropChunks, {static_cast<std::int64_t>(kind), run});
      auto done = co_await scratch_.commit(std::move(changes));
      if (!done) co_return std::move(done).error();
      more = !done->returned[0].empty();
    }
  }
  co_return Result<void>();
}

Task<Result<std::int64_t>> RunStore::merge_kind(RowKind kind, std::vector<Run> inputs,
                                                std::int64_t into) {
  std::vector<RunReader> readers;
  for (const auto& run : inputs) {
    auto& reader = readers.emplace_back(*this, kind, run.id);
    if (auto done = co_await reader.seek(Bytes(key_bytes(kind))); !done)
      co_return std::move(done).error();
  }
  RunWriter writer(*this, kind, into);
  Slices slices;
  const auto width = key_bytes(kind);
  for (;;) {
    RunReader* least = nullptr;
    for (auto& reader : readers)
      if (!reader.row().empty() &&
          (!least || std::memcmp(reader.row().data(), least->row().data(), width) < 0))
        least = &reader;
    if (!least) break;
    if (kind == RowKind::subject) {
      writer.add(least->row());
      if (!least->next())
        if (auto done = co_await least->load(); !done) co_return std::move(done).error();
    } else {
      // The same actor and subject in several runs become one row.
      ActorKey key;
      std::copy_n(least->row().begin(), key.size(), key.begin());
      std::optional<Seen> all;
      for (auto& reader : readers) {
        if (reader.row().empty() || std::memcmp(reader.row().data(), key.data(), width) != 0)
          continue;
        all = all ? joined(*all, seen_in(reader.row())) : seen_in(reader.row());
        if (!reader.next())
          if (auto done = co_await reader.load(); !done) co_return std::move(done).error();
      }
      Bytes row;
      put_row(row, key, *all);
      writer.add(row);
    }
    if (writer.full())
      if (auto done = co_await writer.flush(); !done) co_return std::move(done).error();
    if (slices.due()) co_await slices.pause();
  }
  db::Changes rest;
  writer.flush(rest);
  auto done = co_await scratch_.commit(std::move(rest));
  if (!done) co_return std::move(done).error();
  co_return writer.chunks();
}

Task<Result<std::int64_t>> RunStore::merges() {
  auto rows = co_await scratch_.read(kReadMerges, {});
  if (!rows) co_return std::move(rows).error();
  co_return rows->empty() ? -1 : (*rows)[0].integer(0);
}

Task<Result<Bytes>> RunStore::chunk(const db::Sql& sql, RowKind kind, std::int64_t run, Bytes key) {
  auto rows = co_await scratch_.read(sql, {static_cast<std::int64_t>(kind), run, std::move(key)});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Bytes();
  auto chunk = (*rows)[0].bytes(0);
  if (chunk.empty() || chunk.size() % row_bytes(kind) != 0)
    co_return Error(Code::corrupt,
                    "the index of accesses is damaged: remove scratch.db, it is made again");
  co_return to_bytes(chunk);
}

Task<Result<Bytes>> RunStore::chunk_with(RowKind kind, std::int64_t run, Bytes key) {
  co_return co_await chunk(kChunkWith, kind, run, std::move(key));
}
Task<Result<Bytes>> RunStore::chunk_before(RowKind kind, std::int64_t run, Bytes key) {
  co_return co_await chunk(kChunkBefore, kind, run, std::move(key));
}
Task<Result<Bytes>> RunStore::chunk_after(RowKind kind, std::int64_t run, Bytes key) {
  co_return co_await chunk(kChunkAfter, kind, run, std::move(key));
}

Task<Result<void>> RunReader::seek(Bytes key) {
  auto chunk = co_await store_->chunk_with(kind_, run_, key);
  if (!chunk) co_return std::move(chunk).error();
  if (chunk->empty()) {
    chunk = co_await store_->chunk_after(kind_, run_, key);
    if (!chunk) co_return std::move(chunk).error();
  }
  chunk_ = std::move(*chunk);
  at_ = lower_bound(kind_, chunk_, key);
  if (at_ == chunk_.size() && !chunk_.empty()) co_return co_await load();
  co_return Result<void>();
}

Task<Result<void>> RunReader::load() {
  if (chunk_.empty()) co_return Result<void>();
  Bytes last(chunk_.end() - static_cast<std::ptrdiff_t>(row_bytes(kind_)), chunk_.end());
  last.resize(key_bytes(kind_));
  auto chunk = co_await store_->chunk_after(kind_, run_, std::move(last));
  if (!chunk) co_return std::move(chunk).error();
  chunk_ = std::move(*chunk);
  at_ = 0;
  co_return Result<void>();
}

}  // namespace holdfast::journal
