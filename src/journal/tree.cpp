#include "journal/tree.h"

namespace holdfast::journal {
namespace {

crypto::Digest digest_at(BytesView hashes, std::uint64_t at) {
  crypto::Digest out;
  std::copy_n(hashes.begin() + static_cast<std::ptrdiff_t>(at * 32), 32, out.begin());
  return out;
}

}  // namespace

Result<std::vector<crypto::Digest>> tile_hashes(BytesView stored) {
  if (stored.size() != kTileWidth * 32)
    return Error(Code::corrupt, "a tile of the journal's tree is damaged");
  std::vector<crypto::Digest> out(kTileWidth);
  for (std::uint64_t i = 0; i < kTileWidth; ++i) out[i] = digest_at(stored, i);
  return out;
}

void Tree::push(unsigned level, const crypto::Digest& hash, std::vector<Tile>& full) {
  if (partial_.size() <= level) {
    partial_.resize(level + 1);
    complete_.resize(level + 1);
  }
  auto& tile = partial_[level];
  tile.push_back(hash);
  if (tile.size() < kTileWidth) return;
  Bytes hashes;
  hashes.reserve(kTileWidth * 32);
  for (const auto& one : tile) hashes.insert(hashes.end(), one.begin(), one.end());
  auto root = crypto::root_of(tile);
  full.push_back({level, complete_[level]++, std::move(hashes)});
  tile.clear();
  push(level + 1, root, full);
}

void Tree::add(const crypto::Digest& leaf, std::vector<Tile>& full) {
  push(0, leaf, full);
  ++size_;
}

void Tree::resume(std::uint64_t tiles, std::vector<std::vector<crypto::Digest>> partial) {
  partial_ = std::move(partial);
  complete_.clear();
  for (std::size_t level = 0; level < partial_.size(); ++level, tiles /= kTileWidth)
    complete_.push_back(tiles);
  size_ = complete_.empty() ? 0 : complete_[0] * kTileWidth + partial_[0].size();
}

const std::vector<crypto::Digest>* Tree::edge(unsigned level, std::uint64_t index) const {
  return level < partial_.size() && index == complete_[level] ? &partial_[level] : nullptr;
}

void Tree::Nodes::supply(unsigned level, std::uint64_t index, Bytes hashes) {
  tiles_.insert_or_assign({level, index}, std::move(hashes));
}

std::optional<crypto::Digest> Tree::Nodes::operator()(unsigned level, std::uint64_t index) {
  if (auto found = known_.find({level, index}); found != known_.end()) return found->second;
  auto out = compute(level, index);
  if (out) known_.emplace(std::pair(level, index), *out);
  return out;
}

/// A node at `level` lies in tile level `level / 8`, as the root of 2^(level % 8) of its hashes.
std::optional<crypto::Digest> Tree::Nodes::compute(unsigned level, std::uint64_t index) {
  unsigned tile_level = level / 8, height = level % 8;
  std::uint64_t first = index << height, count = std::uint64_t{1} << height;
  std::uint64_t tile = first / kTileWidth, at = first % kTileWidth;
  std::vector<crypto::Digest> hashes;
  if (tile_level < tree_.partial_.size() && tile == tree_.complete_[tile_level]) {
    const auto& edge = tree_.partial_[tile_level];
    if (at + count > edge.size()) return std::nullopt;
    hashes.assign(edge.begin() + static_cast<std::ptrdiff_t>(at),
                  edge.begin() + static_cast<std::ptrdiff_t>(at + count));
  } else {
    auto found = tiles_.find({tile_level, tile});
    if (found == tiles_.end()) {
      missing_.emplace_back(tile_level, tile);
      return std::nullopt;
    }
    if (found->second.size() != kTileWidth * 32) return std::nullopt;
    for (std::uint64_t i = 0; i < count; ++i) hashes.push_back(digest_at(found->second, at + i));
  }
  return crypto::root_of(hashes);
}

}  // namespace holdfast::journal
