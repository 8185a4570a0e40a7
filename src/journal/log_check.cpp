// Entries against the tree.
#include "journal/log.h"
#include "journal/slices.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

Error changed_tile() {
  return {Code::corrupt,
          "the journal's tree was changed in the database; `holdfast journal verify` says where"};
}

}  // namespace

Task<Result<std::vector<crypto::Digest>>> Log::tile(unsigned level, std::uint64_t index) {
  Bytes stored;
  {
    std::scoped_lock lock(tree_mutex_);
    if (const auto* edge = tree_.edge(level, index)) co_return *edge;
    for (const auto& tile : unsaved_)
      if (tile.level == level && tile.index == index) stored = tile.hashes;
  }
  if (stored.empty()) {
    auto rows = co_await reader().read(
        kFindTile, {static_cast<std::int64_t>(level), static_cast<std::int64_t>(index)});
    if (!rows) co_return std::move(rows).error();
    if (!rows->empty()) stored = to_bytes((*rows)[0].bytes(0));
  }
  auto hashes = tile_hashes(stored);
  co_return hashes ? std::move(*hashes) : std::vector<crypto::Digest>();
}

/// A complete tile's root stands in the tile above; the edge in memory was compared with the
/// witness at start.
Task<Result<std::vector<crypto::Digest>>> Log::checked_tile(unsigned level, std::uint64_t index,
                                                            CheckedTiles& seen) {
  if (auto known = seen.find({level, index}); known != seen.end()) co_return known->second;
  auto hashes = co_await tile(level, index);
  if (!hashes) co_return std::move(hashes).error();
  if (hashes->empty()) co_return changed_tile();
  if (hashes->size() < kTileWidth) co_return std::move(*hashes);  // only the edge is unfinished
  auto above = co_await checked_tile(level + 1, index / kTileWidth, seen);
  if (!above) co_return std::move(above).error();
  if (index % kTileWidth >= above->size() ||
      (*above)[index % kTileWidth] != crypto::root_of(*hashes))
    co_return changed_tile();
  seen.emplace(std::pair(level, index), *hashes);
  co_return std::move(*hashes);
}

Task<Result<void>> Log::check(std::span<const Stored> entries) {
  CheckedTiles seen;
  Slices slices;
  std::vector<crypto::Digest> tile;
  std::optional<std::uint64_t> at;
  for (const auto& stored : entries) {
    auto index = static_cast<std::uint64_t>(stored.seq) / kTileWidth;
    auto place = static_cast<std::uint64_t>(stored.seq) % kTileWidth;
    if (at != index || place >= tile.size()) {
      auto read = co_await checked_tile(0, index, seen);
      if (!read) co_return std::move(read).error();
      tile = std::move(*read);
      at = index;
      co_await slices.pause();
    }
    if (place >= tile.size() || tile[place] != crypto::leaf_hash(as_bytes(stored.entry)))
      co_return Error(Code::corrupt,
                      "an entry of the journal was changed in the database; "
                      "`holdfast journal verify` says which");
  }
  co_return Result<void>();
}

Task<Result<bool>> Log::in_tree(const Stored& stored) {
  auto good = co_await check({&stored, 1});
  if (!good && good.error().code != Code::corrupt) co_return std::move(good).error();
  co_return good.has_value();
}

}  // namespace holdfast::journal
