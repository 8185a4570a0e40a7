// How the log is read: entries, proofs, and the tree brought up to date.
#include <algorithm>
#include <utility>

#include "crypto/aead.h"
#include "journal/log.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

constexpr std::int64_t kBatch = 2000;
constexpr std::size_t kSaltBytes = 16;  // before what a commitment was made over

std::vector<Stored> stored_from(const db::Rows& rows) {
  std::vector<Stored> out;
  out.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto id = EventId::from(rows[i].bytes(1));
    out.push_back(
        {rows[i].integer(0), id.value_or(EventId{}), std::string(as_text(rows[i].bytes(2)))});
  }
  return out;
}

/// How many of the tiles, from the first on, are stored already: a commit whose answer was lost
/// happened all the same.
Task<Result<std::size_t>> count_stored(db::Reader& reader, std::vector<Tile> tiles) {
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const auto level = static_cast<std::int64_t>(tiles[i].level);
    const auto index = static_cast<std::int64_t>(tiles[i].index);
    auto rows = co_await reader.read(kFindTile, {level, index});
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) co_return i;
    if (!std::ranges::equal((*rows)[0].bytes(0), tiles[i].hashes))
      co_return Error(Code::corrupt,
                      "a tile of the journal's tree in the database is not what the entries make; "
                      "run `holdfast journal verify`");
  }
  co_return tiles.size();
}

}  // namespace

/// Computes under the lock; loads the tiles that it lacked without the lock; computes again.
template <class Compute>
auto Log::with_nodes(Compute compute)
    -> Task<Result<typename decltype(compute(std::declval<Tree::Nodes&>()))::value_type>> {
  Tree::Nodes nodes(tree_);
  // A round finds one tile that is missing; the deepest proofs need some twenty.
  for (int round = 0; round < 64; ++round) {
    std::vector<std::pair<unsigned, std::uint64_t>> missing;
    {
      std::scoped_lock lock(tree_mutex_);
      for (const auto& tile : unsaved_) nodes.supply(tile.level, tile.index, tile.hashes);
      nodes.begin();
      auto out = compute(nodes);
      if (out) co_return std::move(*out);
      missing = nodes.missing();
    }
    if (missing.empty()) break;
    for (auto [level, index] : missing) {
      auto rows = co_await reader().read(
          kFindTile, {static_cast<std::int64_t>(level), static_cast<std::int64_t>(index)});
      if (!rows) co_return std::move(rows).error();
      if (rows->empty()) continue;  // complete but not saved yet: the next round finds it
      nodes.supply(level, index, to_bytes((*rows)[0].bytes(0)));
    }
  }
  co_return Error(Code::corrupt, "the journal's tree lacks a tile; run `holdfast journal verify`");
}

/// Gives entries that wait their place, up to this counter at least.
Task<Result<void>> Log::place_pending(std::int64_t until) {
  for (;;) {
    auto more = co_await drain_pending(until);
    if (!more) co_return std::move(more).error();
    if (!*more) co_return Result<void>();
  }
}

/// One batch. False when nothing up to this counter waits.
Task<Result<bool>> Log::drain_pending(std::int64_t until) {
  auto head = co_await reader().read(kReadHead, {});
  if (!head) co_return std::move(head).error();
  auto rows = co_await reader().read(kReadPending, {std::int64_t{1}, kBatch});
  if (!rows) co_return std::move(rows).error();
  if (head->empty() || rows->empty() || (*rows)[0].integer(0) > until) co_return false;
  auto size = (*head)[0].integer(0);
  std::vector<db::Args> entries;
  db::List counters;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    counters.cells.emplace_back((*rows)[i].integer(0));
    entries.push_back({size + static_cast<std::int64_t>(i), to_bytes((*rows)[i].bytes(1)),
                       to_bytes((*rows)[i].bytes(2))});
  }
  auto count = static_cast<std::int64_t>(rows->size());
  db::Changes changes;
  changes.write(kMoveHead, {size, size + count}, db::Expect::exactly(1));
  changes.write(kDeletePending, {std::int64_t{1}, std::move(counters)}, db::Expect::exactly(count));
  changes.bulk(kPutEntry, std::move(entries), db::Expect::exactly(count));
  auto done = co_await writer_->commit(std::move(changes.in_background()));
  if (done) co_return true;
  if (done.error().code != Code::conflict) co_return std::move(done).error();
  // Somebody else drained the same entries: nothing was lost, look again. Then the head has moved;
  // while it stands still each further try would end like this one.
  auto moved = co_await reader().read(kReadHead, {});
  if (!moved) co_return std::move(moved).error();
  if (moved->empty() || (*moved)[0].integer(0) == size)
    co_return Error(Code::corrupt,
                    "the journal's head does not fit its entries: some stand where the next ones "
                    "belong. Somebody wrote in the database past Holdfast: restart the server");
  co_return true;
}

/// Whoever writes in the database could take out or change an entry before the tree holds it.
Task<Result<void>> Log::miss_no_entry(std::vector<EventId> durable) {
  std::int64_t changed = 0;
  {
    std::scoped_lock lock(expected_mutex_);
    std::erase_if(durable, [this](const EventId& id) { return !expected_.contains(id); });
    changed = std::exchange(changed_, 0);
  }
  if (durable.empty() && changed == 0) co_return Result<void>();
  Event event{.activity = "journal.entries_lost",
              .outcome = Outcome::failed,
              .reason = "corrupt",
              .alarm = true,
              .facts = {{"changed", changed}, {"count", std::ssize(durable)}}};
  auto told = co_await commit(Caller{}, {}, std::move(event));
  std::scoped_lock lock(expected_mutex_);
  if (!told) changed_ += changed;  // tried again
  if (!told) co_return std::move(told).error();
  for (const auto& id : durable) expected_.erase(id);
  co_return Error(Code::corrupt,
                  "entries of the journal were taken out of the database, or changed in it, right "
                  "after they were written; `holdfast journal list --operation "
                  "journal.entries_lost` says how many");
}

Task<Result<std::size_t>> Log::take_in() {
  auto rows = co_await reader().read(kEntriesFrom, {size(), kBatch});
  if (!rows) co_return std::move(rows).error();
  std::vector<crypto::Digest> hashes(rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i) hashes[i] = crypto::leaf_hash((*rows)[i].bytes(2));
  std::scoped_lock lock(tree_mutex_);
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto seq = static_cast<std::uint64_t>((*rows)[i].integer(0));
    if (seq < tree_.size()) continue;  // a concurrent call was faster
    if (seq > tree_.size())
      co_return Error(Code::corrupt, "the journal has a gap: entries were taken out of it");
    if (auto id = EventId::from((*rows)[i].bytes(1))) {
      std::scoped_lock expecting(expected_mutex_);
      if (auto found = expected_.find(*id); found != expected_.end()) {
        if (found->second.leaf != hashes[i]) ++changed_;
        expected_.erase(found);
      }
    }
    std::vector<Tile> full;
    tree_.add(hashes[i], full);
    witness_due_ = true;
    for (auto& tile : full) unsaved_.push_back(std::move(tile));
  }
  co_return rows->size();
}

/// One saver at a time and in order, so that what is stored has no gap.
Task<Result<void>> Log::save_tiles() {
  std::vector<Tile> tiles;
  {
    std::scoped_lock lock(tree_mutex_);
    if (saving_ || unsaved_.empty()) co_return Result<void>();
    saving_ = true;
    tiles.assign(unsaved_.begin(), unsaved_.end());
  }
  std::vector<db::Args> rows;
  for (const auto& tile : tiles)
    rows.push_back({static_cast<std::int64_t>(tile.level), static_cast<std::int64_t>(tile.index),
                    tile.hashes});
  const auto count = static_cast<std::int64_t>(rows.size());
  db::Changes changes;
  changes.bulk(kAddTile, std::move(rows), db::Expect::exactly(count));
  auto done = co_await writer_->commit(std::move(changes.in_background()));
  auto stored = done ? Result<std::size_t>(tiles.size()) : Result<std::size_t>(done.error());
  if (!done && done.error().code == Code::conflict)
    stored = co_await count_stored(reader(), std::move(tiles));
  std::scoped_lock lock(tree_mutex_);
  saving_ = false;
  if (!stored) co_return std::move(stored).error();
  if (*stored == 0) co_return std::move(done).error();
  unsaved_.erase(unsaved_.begin(), unsaved_.begin() + static_cast<std::ptrdiff_t>(*stored));
  co_return Result<void>();
}

Task<Result<void>> Log::sequence() {
  std::vector<EventId> durable;
  {
    std::scoped_lock lock(expected_mutex_);
    for (const auto& [id, expected] : expected_)
      if (expected.durable) durable.push_back(id);
  }
  if (deps_.database.kind() == db::Database::Kind::postgres) {
    auto last = co_await reader().read(kLastPending, {std::int64_t{1}});
    if (!last) co_return std::move(last).error();
    if (auto placed = co_await place_pending((*last)[0].integer(0)); !placed) co_return placed;
  }
  for (;;) {
    auto taken = co_await take_in();
    if (!taken) co_return std::move(taken).error();
    if (*taken < static_cast<std::size_t>(kBatch)) break;
    if (auto saved = co_await save_tiles(); !saved) co_return std::move(saved).error();
  }
  if (auto whole = co_await miss_no_entry(std::move(durable)); !whole) co_return whole;
  co_return co_await save_tiles();
}

Task<Result<Checkpoint>> Log::head() {
  co_return co_await with_nodes([this](Tree::Nodes& nodes) -> std::optional<Checkpoint> {
    auto root = crypto::root_at(tree_.size(), std::ref(nodes));
    if (!root) return std::nullopt;
    return Checkpoint{origin_, tree_.size(), *root};
  });
}

Task<Result<std::string>> Log::checkpoint() {
  auto now = co_await head();
  if (!now) co_return std::move(now).error();
  co_return signed_note(*now);
}

Task<Result<std::vector<Stored>>> Log::read(std::int64_t from, std::int64_t limit) {
  auto rows = co_await reader().read(kEntriesFrom, {from, std::min<std::int64_t>(limit, 1000)});
  if (!rows) co_return std::move(rows).error();
  co_return stored_from(*rows);
}

Task<Result<std::vector<Stored>>> Log::read_before(std::int64_t from, std::int64_t limit) {
  auto rows = co_await reader().read(kEntriesBefore, {from, std::min<std::int64_t>(limit, 1000)});
  if (!rows) co_return std::move(rows).error();
  co_return stored_from(*rows);
}

Task<Result<std::vector<Stored>>> Log::read_at(std::vector<std::int64_t> seqs) {
  db::List list;
  for (auto seq : seqs) list.cells.emplace_back(seq);
  auto rows = co_await reader().read(kEntriesAt, {std::move(list)});
  if (!rows) co_return std::move(rows).error();
  co_return stored_from(*rows);
}

Task<Result<Stored>> Log::find(EventId id) {
  if (auto done = co_await sequence(); !done) co_return std::move(done).error();
  auto rows = co_await reader().read(kEntryById, {to_bytes(id.bytes())});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Error(Code::not_found, "no such event in the journal");
  co_return std::move(stored_from(*rows).front());
}

Task<Result<Proof>> Log::prove(std::int64_t seq) {
  if (auto done = co_await sequence(); !done) co_return std::move(done).error();
  if (seq < 0 || seq >= size()) co_return Error(Code::not_found, "no such entry in the journal");
  struct Made {
    Checkpoint head;
    std::vector<crypto::Digest> path;
  };
  auto made = co_await with_nodes([this, seq](Tree::Nodes& nodes) -> std::optional<Made> {
    auto root = crypto::root_at(tree_.size(), std::ref(nodes));
    auto path =
        crypto::inclusion_proof(static_cast<std::uint64_t>(seq), tree_.size(), std::ref(nodes));
    if (!root || !path) return std::nullopt;
    return Made{{origin_, tree_.size(), *root}, std::move(*path)};
  });
  if (!made) co_return std::move(made).error();
  auto note = signed_note(made->head);
  if (!note) co_return std::move(note).error();
  co_return Proof{seq, std::move(*note), std::move(made->path)};
}

Task<Result<std::vector<crypto::Digest>>> Log::consistency(std::uint64_t from, std::uint64_t to) {
  if (auto done = co_await sequence(); !done) co_return std::move(done).error();
  if (from > to || to > static_cast<std::uint64_t>(size()))
    co_return Error(Code::invalid, "sizes must be in order and within the log").at("to");
  co_return co_await with_nodes([from, to](Tree::Nodes& nodes) {
    return crypto::consistency_proof(from, to, std::ref(nodes));
  });
}

Task<Result<crypto::Digest>> Log::root_at(std::uint64_t size) {
  co_return co_await with_nodes(
      [size](Tree::Nodes& nodes) { return crypto::root_at(size, std::ref(nodes)); });
}

Task<Result<Secret>> Log::side(crypto::Digest commitment) {
  auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked: unlock it first");
  auto rows = co_await reader().read(kFindSide, {to_bytes(commitment)});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Error(Code::gone, "this is past its keep time");
  Error damaged(Code::corrupt, "a sealed part of the journal was changed or its key is missing");
  auto sealed = (*rows)[0].bytes(0);
  auto id = crypto::sealed_key_id(sealed);
  const auto* key = id ? keys->ring.find(crypto::KeyUse::side, *id) : nullptr;
  if (!key) co_return damaged;
  auto salted = crypto::open(key->expose(), sealed, commitment);
  if (!salted || salted->size() < kSaltBytes || crypto::sha256(salted->expose()) != commitment)
    co_return damaged;
  co_return Secret::copy(salted->expose().subspan(kSaltBytes));
}

Task<Result<Bytes>> Log::stored_leaves(EventId id) {
  auto rows = co_await reader().read(kFindLeaves, {to_bytes(id.bytes())});
  if (!rows) co_return std::move(rows).error();
  co_return rows->empty() ? Bytes() : to_bytes((*rows)[0].bytes(0));
}

Task<Result<std::vector<Bytes>>> Log::leaves(EventId id) {
  auto stored = co_await stored_leaves(id);
  if (!stored) co_return std::move(stored).error();
  co_return split_leaves(*stored);
}

}  // namespace holdfast::journal
