// The Merkle tree over the entries, kept as complete tiles of 256 hashes (C2SP tlog-tiles) in the
// database and a right edge in memory. Tiles are derived: a crash loses only what is made again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "crypto/merkle.h"
#include "db/database.h"

namespace holdfast::journal {

inline constexpr std::uint64_t kTileWidth = 256;

/// A tile that became complete and wants to be stored.
struct Tile {
  unsigned level;
  std::uint64_t index;
  Bytes hashes;  // 256 * 32 bytes
};

/// Threads: not safe; the journal guards it.
class Tree {
 public:
  /// Adds the next leaf. Complete tiles go to `full`.
  void add(const crypto::Digest& leaf, std::vector<Tile>& full);
  std::uint64_t size() const { return size_; }
  /// The unfinished tile of a level, when that is the one asked for.
  const std::vector<crypto::Digest>* edge(unsigned level, std::uint64_t index) const;

  /// Which tiles a computation at `size` wants from storage. `Nodes` asks for them by way of
  /// missing(): compute, load what was missing, compute again; two rounds are enough.
  class Nodes {
   public:
    explicit Nodes(const Tree& tree) : tree_(tree) {}
    std::optional<crypto::Digest> operator()(unsigned level, std::uint64_t index);
    const std::vector<std::pair<unsigned, std::uint64_t>>& missing() const { return missing_; }
    void supply(unsigned level, std::uint64_t index, Bytes hashes);
    void begin() { missing_.clear(); }

   private:
    std::optional<crypto::Digest> compute(unsigned level, std::uint64_t index);

    const Tree& tree_;
    std::map<std::pair<unsigned, std::uint64_t>, Bytes> tiles_;
    // Found in an earlier round: a node whose leaves are all there never changes.
    std::map<std::pair<unsigned, std::uint64_t>, crypto::Digest> known_;
    std::vector<std::pair<unsigned, std::uint64_t>> missing_;
  };

  /// Resumes after `tiles` complete tiles of level 0; `partial[l]` holds the hashes of level l's
  /// last, incomplete tile. The entries behind tiles * 256 are added by the caller.
  void resume(std::uint64_t tiles, std::vector<std::vector<crypto::Digest>> partial);

 private:
  friend class Nodes;
  void push(unsigned level, const crypto::Digest& hash, std::vector<Tile>& full);

  std::uint64_t size_ = 0;
  std::vector<std::vector<crypto::Digest>> partial_;  // by tile level
  std::vector<std::uint64_t> complete_;               // complete tiles by level
};

/// The hashes of one stored tile, or corrupt.
Result<std::vector<crypto::Digest>> tile_hashes(BytesView stored);

}  // namespace holdfast::journal
