#include "journal/verify.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "journal/access_rows.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr std::int64_t kTile = static_cast<std::int64_t>(kTileWidth);
constexpr std::int64_t kBlock = 8 * kTile;

/// Entries in memory, with views into them.
struct Block {
  std::vector<Stored> stored;
  std::vector<std::string> ids;
  std::vector<Bytes> leaves;
  std::vector<EntryToCheck> entries;
};

Task<CheckedEntries> check_on_pool(std::span<const EntryToCheck> entries) {
  co_return check_entries(entries);
}

class Verification {
 public:
  Verification(Log& log, Progress progress) : log_(log), progress_(std::move(progress)) {}

  Task<Result<VerifyReport>> run() {
    auto witness = co_await log_.witness();
    if (!witness && witness.error().code == Code::corrupt)
      report_.witness_matches = false;
    else if (!witness)
      co_return std::move(witness).error();
    else
      witness_ = std::move(*witness);
    auto note = co_await log_.settled_head();
    if (!note) co_return std::move(note).error();
    report_.verifier = log_.verifier();
    auto key = parse_verifier_key(report_.verifier);
    auto head = key ? open_checkpoint(*note, key->key) : Result<Checkpoint>(std::move(key).error());
    if (!head) co_return std::move(head).error();
    report_.head = std::move(*head);
    size_ = static_cast<std::int64_t>(report_.head.size);
    if (witness_ && witness_->size == 0) meet_witness();

    for (std::int64_t at = 0; at < size_; at += kBlock) {
      if (auto done = co_await block(at, std::min(kBlock, size_ - at)); !done)
        co_return std::move(done).error();
      if (progress_) progress_(std::min(at + kBlock, size_), size_);
    }
    if (auto done = co_await upper_tiles(); !done) co_return std::move(done).error();
    report_.entries = size_;
    report_.root_matches = recount_.root() == report_.head.root;
    if (witness_ && !report_.witness_matches) report_.witness_matches = false;
    co_return std::move(report_);
  }

 private:
  /// Reads entries [from, from + count), checks them on both threads, and folds them in.
  Task<Result<void>> block(std::int64_t from, std::int64_t count) {
    Block block;
    for (auto at = from; at < from + count; at += kTile) {
      auto stored = co_await log_.read(at, std::min(kTile, from + count - at));
      if (!stored) co_return std::move(stored).error();
      for (auto& one : *stored)
        if (one.seq < std::min(at + kTile, from + count)) block.stored.push_back(std::move(one));
      co_await slices_.pause();
    }
    for (const auto& one : block.stored) {
      block.ids.push_back(one.id.text());
      Bytes leaves;
      if (wants_leaves(one.entry)) {
        auto read = co_await log_.stored_leaves(one.id);
        if (!read) co_return std::move(read).error();
        leaves = std::move(*read);
        if (slices_.due()) co_await slices_.pause();
      }
      block.leaves.push_back(std::move(leaves));
    }
    for (std::size_t i = 0; i < block.stored.size(); ++i)
      block.entries.push_back(
          {block.stored[i].seq, block.stored[i].entry, block.leaves[i], block.ids[i]});

    using namespace boost::asio::experimental::awaitable_operators;
    auto half = std::span(block.entries).first(block.entries.size() / 2);
    auto other = std::span(block.entries).subspan(half.size());
    auto [a, b] =
        co_await (boost::asio::co_spawn(pool_, check_on_pool(half), boost::asio::use_awaitable) &&
                  boost::asio::co_spawn(pool_, check_on_pool(other), boost::asio::use_awaitable));
    a.hashes.insert(a.hashes.end(), b.hashes.begin(), b.hashes.end());
    for (const auto* part : {&a, &b}) {
      report_.batches += part->batches;
      report_.leaves += part->leaves;
      for (const auto& finding : part->faults) report_.add(finding.fault, finding.seq);
    }
    co_return co_await fold(from, count, block, a.hashes);
  }

  /// Compares each hash with the tree's, and grows the recount; a missing entry counts as zeroes.
  Task<Result<void>> fold(std::int64_t from, std::int64_t count, const Block& block,
                          const std::vector<crypto::Digest>& hashes) {
    std::size_t next = 0;
    std::vector<crypto::Digest> tile;
    for (auto seq = from; seq < from + count; ++seq) {
      auto place = static_cast<std::size_t>(seq % kTile);
      if (place == 0) {
        auto read = co_await log_.tile(0, static_cast<std::uint64_t>(seq / kTile));
        if (!read) co_return std::move(read).error();
        tile = std::move(*read);
        if (tile.empty()) report_.add(Fault::tile_missing, seq);
        if (tile.size() == kTileWidth)
          roots_.push_back(crypto::root_of(tile));
        else if (seq + kTile <= size_)
          roots_.emplace_back();
        co_await slices_.pause();
      }
      crypto::Digest hash{};
      if (next < block.stored.size() && block.stored[next].seq == seq) {
        hash = hashes[next++];
        if (!tile.empty() && (place >= tile.size() || tile[place] != hash))
          report_.add(Fault::entry_changed, seq);
      } else {
        report_.add(Fault::entry_missing, seq);
      }
      recount_.add(hash);
      if (witness_ && recount_.size() == witness_->size) meet_witness();
    }
    co_return Result<void>();
  }

  void meet_witness() {
    report_.witness_matches =
        recount_.root() == witness_->root && witness_->origin == report_.head.origin;
  }

  /// Each stored tile's root against the tile above it, level by level.
  Task<Result<void>> upper_tiles() {
    std::int64_t below = kTile;  // entries under one hash of this level
    for (unsigned level = 1; !roots_.empty(); ++level, below *= kTile) {
      std::vector<crypto::Digest> above;
      for (std::size_t i = 0; i < roots_.size(); i += kTileWidth) {
        auto read = co_await log_.tile(level, i / kTileWidth);
        if (!read) co_return std::move(read).error();
        auto count = std::min<std::size_t>(kTileWidth, roots_.size() - i);
        if (read->empty()) report_.add(Fault::tile_missing, static_cast<std::int64_t>(i) * below);
        for (std::size_t j = 0; j < count && !read->empty(); ++j)
          if (roots_[i + j] != crypto::Digest{} &&
              (j >= read->size() || (*read)[j] != roots_[i + j]))
            report_.add(Fault::tile_changed, static_cast<std::int64_t>(i + j) * below);
        if (count == kTileWidth)
          above.push_back(read->size() == kTileWidth ? crypto::root_of(*read) : crypto::Digest{});
        co_await slices_.pause();
      }
      roots_ = std::move(above);
    }
    co_return Result<void>();
  }

  Log& log_;
  Progress progress_;
  VerifyReport report_;
  std::int64_t size_ = 0;
  std::optional<Checkpoint> witness_;
  Recount recount_;
  std::vector<crypto::Digest> roots_;  // of stored tiles of level 0; zero where one is missing
  Slices slices_;
  boost::asio::thread_pool pool_{2};
};

}  // namespace

Task<Result<VerifyReport>> verify_log(Log& log, Progress progress) {
  Verification verification(log, std::move(progress));
  co_return co_await verification.run();
}

}  // namespace holdfast::journal
