#include "journal/tree.h"

#include <gtest/gtest.h>

#include <map>

#include "crypto/merkle.h"

namespace holdfast::journal {
namespace {

crypto::Digest leaf(std::uint64_t i) {
  Bytes bytes;
  put_u64(bytes, i);
  return crypto::leaf_hash(bytes);
}

/// A tree with the tiles that it gave out.
struct TreeBench {
  Tree tree;
  std::map<std::pair<unsigned, std::uint64_t>, Bytes> stored;

  void grow_to(std::uint64_t size) {
    std::vector<Tile> full;
    while (tree.size() < size) tree.add(leaf(tree.size()), full);
    for (auto& tile : full) stored[{tile.level, tile.index}] = std::move(tile.hashes);
  }
  std::optional<crypto::Digest> root_at(std::uint64_t size) {
    Tree::Nodes nodes(tree);
    for (int round = 0; round < 8; ++round) {
      nodes.begin();
      auto root = crypto::root_at(size, std::ref(nodes));
      if (root) return root;
      for (auto [level, index] : nodes.missing())
        nodes.supply(level, index, stored.at({level, index}));
    }
    return std::nullopt;
  }
  /// A tree made from what is stored, as after a restart.
  Tree resumed() {
    std::uint64_t tiles = tree.size() / kTileWidth, complete = tiles;
    std::vector<std::vector<crypto::Digest>> partial(1);
    for (unsigned level = 0; complete > 0; ++level, complete /= kTileWidth) {
      auto& above = partial.emplace_back();
      for (auto i = complete / kTileWidth * kTileWidth; i < complete; ++i)
        above.push_back(crypto::root_of(*tile_hashes(stored.at({level, i}))));
    }
    Tree out;
    out.resume(tiles, std::move(partial));
    std::vector<Tile> full;
    while (out.size() < tree.size()) out.add(leaf(out.size()), full);
    return out;
  }
};

constexpr std::uint64_t kSizes[] = {0,   1,    2,      255,    256,    257,     511,
                                    512, 1000, 65'535, 65'536, 65'537, 131'072, 131'073};

TEST(Tree, has_the_root_of_rfc_6962_at_every_size_it_ever_had) {
  TreeBench bench;
  crypto::TreeEdge reference;
  std::map<std::uint64_t, crypto::Digest> roots;
  for (auto size : kSizes) {
    bench.grow_to(size);
    while (reference.size() < size) reference.add(leaf(reference.size()));
    roots[size] = reference.root();

    EXPECT_EQ(bench.root_at(size), reference.root()) << size;
  }
  for (const auto& [size, root] : roots) EXPECT_EQ(bench.root_at(size), root) << size;
}

TEST(Tree, resumed_from_its_tiles_goes_on_as_if_it_had_not_stopped) {
  for (auto size : kSizes) {
    TreeBench bench;
    bench.grow_to(size);

    bench.tree = bench.resumed();
    bench.grow_to(size + 300);

    crypto::TreeEdge reference;
    while (reference.size() < size + 300) reference.add(leaf(reference.size()));
    EXPECT_EQ(bench.root_at(size + 300), reference.root()) << size;
  }
}

TEST(Tree, does_not_take_a_tile_of_another_size) {
  EXPECT_FALSE(tile_hashes(Bytes(255 * 32)));
  EXPECT_FALSE(tile_hashes(Bytes()));
  EXPECT_TRUE(tile_hashes(Bytes(256 * 32)));
}

}  // namespace
}  // namespace holdfast::journal
