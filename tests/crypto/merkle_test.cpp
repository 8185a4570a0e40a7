#include "crypto/merkle.h"

#include <map>
#include <sstream>
#include <stdexcept>

#include "cases.h"

namespace holdfast::crypto {
namespace {

constexpr std::uint64_t kMost = 130;  // past two powers of two

/// What RFC 6962 section 2.1 says, word for word and slow.
namespace naive {

using Leaves = std::span<const Digest>;

std::size_t split(std::size_t n) {
  std::size_t k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

Digest root(Leaves d) {
  if (d.empty()) return sha256(BytesView());
  if (d.size() == 1) return d[0];
  auto k = split(d.size());
  auto left = root(d.first(k)), right = root(d.subspan(k));
  Bytes node{1};
  node.insert(node.end(), left.begin(), left.end());
  node.insert(node.end(), right.begin(), right.end());
  return sha256(node);
}

std::vector<Digest> path(std::size_t m, Leaves d) {
  if (d.size() == 1) return {};
  auto k = split(d.size());
  auto out = m < k ? path(m, d.first(k)) : path(m - k, d.subspan(k));
  out.push_back(m < k ? root(d.subspan(k)) : root(d.first(k)));
  return out;
}

std::vector<Digest> subproof(std::size_t m, Leaves d, bool whole) {
  if (m == d.size()) return whole ? std::vector<Digest>{} : std::vector<Digest>{root(d)};
  auto k = split(d.size());
  auto out = m <= k ? subproof(m, d.first(k), whole) : subproof(m - k, d.subspan(k), false);
  out.push_back(m <= k ? root(d.subspan(k)) : root(d.first(k)));
  return out;
}

}  // namespace naive

std::vector<Digest> leaves(std::size_t count) {
  std::vector<Digest> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(leaf_hash(to_bytes(std::to_string(i))));
  return out;
}

/// Keeps the complete subtrees as a store would.
struct Nodes {
  std::map<std::pair<unsigned, std::uint64_t>, Digest> kept;
  std::size_t asked = 0;

  TreeEdge::Sink sink() {
    return [this](unsigned level, std::uint64_t index, const Digest& hash) {
      EXPECT_TRUE(kept.emplace(std::pair(level, index), hash).second) << "reported twice";
    };
  }
  NodeSource source() {
    return [this](unsigned level, std::uint64_t index) -> std::optional<Digest> {
      ++asked;
      auto found = kept.find({level, index});
      return found == kept.end() ? std::nullopt : std::optional(found->second);
    };
  }
};

/// A tree with kMost leaves, all its nodes, and the roots of every size before it.
struct Grown {
  std::vector<Digest> leaf = leaves(kMost);
  Nodes nodes;
  std::vector<Digest> root;

  Grown() {
    TreeEdge tree;
    root.push_back(tree.root());
    for (const auto& one : leaf) {
      tree.add(one, nodes.sink());
      root.push_back(tree.root());
    }
  }
};

Digest digest(std::string_view text) {
  auto bytes = unhex(text).value();
  Digest out{};
  std::copy_n(bytes.begin(), out.size(), out.begin());
  return out;
}

std::vector<Digest> digests(const std::string& text) {
  std::istringstream in(text);
  std::vector<Digest> out;
  for (std::string word; in >> word;) out.push_back(digest(word));
  return out;
}

/// The published test leaves: their hashes and the root of each size.
struct Published {
  std::vector<Digest> leaf, root{empty_root()};
  Nodes nodes;

  Published() {
    TreeEdge tree;
    for (const auto& known : test::read_cases("merkle_roots.txt")) {
      leaf.push_back(leaf_hash(known.bytes("leaf")));
      tree.add(leaf.back(), nodes.sink());
      root.push_back(digest(known.text("root")));
    }
  }
};

TEST(MerkleTree, gives_the_published_roots) {
  Published published;

  for (std::size_t size = 0; size <= published.leaf.size(); ++size)
    EXPECT_EQ(hex(root_of(std::span(published.leaf).first(size))), hex(published.root[size]));
  EXPECT_EQ(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(MerkleTree, gives_the_published_inclusion_proofs) {
  Published published;

  for (const auto& known : test::read_cases("merkle_inclusion.txt")) {
    auto index = known.number("index"), size = known.number("size");
    EXPECT_EQ(inclusion_proof(index, size, published.nodes.source()), digests(known.text("proof")))
        << known.where;
    EXPECT_TRUE(verify_inclusion(published.leaf[index], index, size, digests(known.text("proof")),
                                 published.root[size]))
        << known.where;
  }
}

TEST(MerkleTree, gives_the_published_consistency_proofs) {
  Published published;

  for (const auto& known : test::read_cases("merkle_consistency.txt")) {
    auto old_size = known.number("old_size"), size = known.number("size");
    EXPECT_EQ(consistency_proof(old_size, size, published.nodes.source()),
              digests(known.text("proof")))
        << known.where;
    EXPECT_TRUE(verify_consistency(old_size, published.root[old_size], size, published.root[size],
                                   digests(known.text("proof"))))
        << known.where;
  }
}

TEST(MerkleTree, has_the_root_of_the_rfc_at_every_size) {
  Grown tree;

  for (std::uint64_t size = 0; size <= kMost; ++size) {
    auto expected = naive::root(std::span(tree.leaf).first(size));
    EXPECT_EQ(tree.root[size], expected) << size;
    EXPECT_EQ(root_of(std::span(tree.leaf).first(size)), expected) << size;
    EXPECT_EQ(root_at(size, tree.nodes.source()), expected) << size;
  }
}

TEST(MerkleTree, makes_the_inclusion_proofs_of_the_rfc_and_verifies_them) {
  Grown tree;

  for (std::uint64_t size = 1; size <= kMost; ++size)
    for (std::uint64_t index = 0; index < size; ++index) {
      auto proof = inclusion_proof(index, size, tree.nodes.source());
      ASSERT_TRUE(proof);
      EXPECT_EQ(*proof, naive::path(index, std::span(tree.leaf).first(size)));
      EXPECT_TRUE(verify_inclusion(tree.leaf[index], index, size, *proof, tree.root[size]));
    }
}

TEST(MerkleTree, makes_the_consistency_proofs_of_the_rfc_and_verifies_them) {
  Grown tree;

  for (std::uint64_t size = 0; size <= kMost; ++size)
    for (std::uint64_t old_size = 0; old_size <= size; ++old_size) {
      auto proof = consistency_proof(old_size, size, tree.nodes.source());
      ASSERT_TRUE(proof);
      if (old_size > 0) {
        EXPECT_EQ(*proof, naive::subproof(old_size, std::span(tree.leaf).first(size), true));
      } else {
        EXPECT_TRUE(proof->empty());
      }
      EXPECT_TRUE(verify_consistency(old_size, tree.root[old_size], size, tree.root[size], *proof));
    }
}

TEST(MerkleTree, asks_for_few_nodes) {
  Grown tree;

  for (std::uint64_t index = 0; index < kMost; ++index) {
    tree.nodes.asked = 0;
    ASSERT_TRUE(inclusion_proof(index, kMost, tree.nodes.source()));
    EXPECT_LE(tree.nodes.asked, 2u * 8);
  }
}

TEST(MerkleTree, resumes_from_its_edge_at_every_size) {
  auto leaf = leaves(kMost);
  for (std::uint64_t size = 0; size <= kMost; ++size) {
    TreeEdge first;
    for (std::uint64_t i = 0; i < size; ++i) first.add(leaf[i]);

    TreeEdge resumed(first.size(), first.edge());
    for (std::uint64_t i = size; i < kMost; ++i) resumed.add(leaf[i]);

    EXPECT_EQ(resumed.size(), kMost);
    EXPECT_EQ(resumed.root(), root_of(leaf)) << size;
  }
}

TEST(MerkleTree, refuses_an_edge_that_cannot_be_of_that_size) {
  EXPECT_THROW(TreeEdge(3, {Digest{}}), std::invalid_argument);
  EXPECT_THROW(TreeEdge(0, {Digest{}}), std::invalid_argument);
  EXPECT_NO_THROW(TreeEdge(~std::uint64_t{0}, std::vector<Digest>(64)));
}

TEST(MerkleTree, works_at_sizes_of_a_very_long_log) {
  // Every complete subtree of equal leaves is known without making the leaves.
  std::vector<Digest> level{leaf_hash({})};
  for (int i = 0; i < 63; ++i) level.push_back(node_hash(level.back(), level.back()));
  NodeSource nodes = [&](unsigned at, std::uint64_t) { return std::optional(level[at]); };
  const std::uint64_t size = 0xfedc'ba98'7654'3211, old_size = 0x8000'0000'0000'0001;
  auto root = root_at(size, nodes).value(), old_root = root_at(old_size, nodes).value();

  for (std::uint64_t index : {std::uint64_t{0}, old_size, size - 1}) {
    auto proof = inclusion_proof(index, size, nodes).value();
    EXPECT_TRUE(verify_inclusion(level[0], index, size, proof, root));
    EXPECT_LE(proof.size(), 64u);
  }
  auto proof = consistency_proof(old_size, size, nodes).value();
  EXPECT_TRUE(verify_consistency(old_size, old_root, size, root, proof));
}

TEST(MerkleTree, has_no_proof_when_a_node_cannot_be_had) {
  Grown tree;
  NodeSource none = [](unsigned, std::uint64_t) { return std::optional<Digest>(); };

  EXPECT_EQ(root_at(5, none), std::nullopt);
  EXPECT_EQ(inclusion_proof(2, 5, none), std::nullopt);
  EXPECT_EQ(consistency_proof(2, 5, none), std::nullopt);
  EXPECT_EQ(consistency_proof(3, 5, none), std::nullopt);
  EXPECT_EQ(root_at(kMost + 1, tree.nodes.source()), std::nullopt);
}

TEST(MerkleTree, has_no_proof_of_what_is_not_in_it) {
  Grown tree;

  EXPECT_EQ(inclusion_proof(0, 0, tree.nodes.source()), std::nullopt);
  EXPECT_EQ(inclusion_proof(7, 7, tree.nodes.source()), std::nullopt);
  EXPECT_EQ(consistency_proof(8, 7, tree.nodes.source()), std::nullopt);
}

/// Every way to damage a proof itself: a bit of a hash, a hash less, more, twice, or moved.
std::vector<std::vector<Digest>> tampered(const std::vector<Digest>& proof, bool every_bit) {
  std::vector<std::vector<Digest>> out;
  for (std::size_t i = 0; i < proof.size(); ++i) {
    for (std::size_t bit = 0; bit < 256; bit += every_bit ? 1 : 37) {
      out.push_back(proof);
      out.back()[i][bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    }
    out.push_back(proof);
    out.back().erase(out.back().begin() + static_cast<long>(i));
    out.push_back(proof);
    out.back().insert(out.back().begin() + static_cast<long>(i), proof[i]);
    if (i > 0 && proof[i] != proof[i - 1]) {
      out.push_back(proof);
      std::swap(out.back()[i], out.back()[i - 1]);
    }
  }
  out.push_back(proof);
  out.back().push_back(Digest{});
  out.push_back(proof);
  out.back().insert(out.back().begin(), Digest{});
  return out;
}

TEST(MerkleProof, of_inclusion_never_verifies_when_tampered_with) {
  Grown tree;
  for (std::uint64_t size : {1, 2, 3, 7, 8, 9, 33, 130})
    for (std::uint64_t index = 0; index < size; ++index) {
      SCOPED_TRACE(testing::Message() << index << " of " << size);
      auto proof = inclusion_proof(index, size, tree.nodes.source()).value();
      const auto& leaf = tree.leaf[index];
      const auto& root = tree.root[size];

      for (const auto& bad : tampered(proof, size < 10))
        EXPECT_FALSE(verify_inclusion(leaf, index, size, bad, root));
      for (std::uint64_t other = 0; other <= size; ++other)
        if (other != index) {
          EXPECT_FALSE(verify_inclusion(leaf, other, size, proof, root));
        }
      EXPECT_FALSE(verify_inclusion(tree.leaf[(index + 1) % kMost], index, size, proof, root));
      EXPECT_FALSE(verify_inclusion(leaf, index, size, proof, tree.root[size - 1]));
      EXPECT_FALSE(verify_inclusion(leaf, ~std::uint64_t{0}, size, proof, root));
    }
}

TEST(MerkleProof, of_inclusion_never_verifies_against_the_root_of_another_size) {
  Grown tree;
  for (std::uint64_t size = 1; size <= 40; ++size)
    for (std::uint64_t index = 0; index < size; ++index) {
      auto proof = inclusion_proof(index, size, tree.nodes.source()).value();
      for (std::uint64_t other = 0; other <= 40; ++other)
        if (other != size) {
          EXPECT_FALSE(verify_inclusion(tree.leaf[index], index, other, proof, tree.root[other]));
        }
    }
}

TEST(MerkleProof, of_consistency_never_verifies_when_tampered_with) {
  Grown tree;
  for (std::uint64_t size : {1, 2, 3, 7, 8, 9, 33, 130})
    for (std::uint64_t old_size = 1; old_size <= size; ++old_size) {
      SCOPED_TRACE(testing::Message() << old_size << " to " << size);
      auto proof = consistency_proof(old_size, size, tree.nodes.source()).value();
      const auto& old_root = tree.root[old_size];
      const auto& root = tree.root[size];
      auto changed = root;
      changed[7] ^= 4;

      for (const auto& bad : tampered(proof, size < 10))
        EXPECT_FALSE(verify_consistency(old_size, old_root, size, root, bad));
      for (std::uint64_t other = 1; other <= kMost; ++other)
        if (other != old_size) {
          EXPECT_FALSE(verify_consistency(old_size, tree.root[other], size, root, proof));
        }
      EXPECT_FALSE(verify_consistency(old_size, old_root, size, changed, proof));
      EXPECT_FALSE(verify_consistency(size + 1, old_root, size, root, proof));
    }
}

TEST(MerkleProof, of_consistency_with_an_empty_tree_needs_its_root_and_no_hashes) {
  Grown tree;

  EXPECT_TRUE(verify_consistency(0, empty_root(), 5, tree.root[5], {}));
  EXPECT_FALSE(verify_consistency(0, tree.root[1], 5, tree.root[5], {}));
  EXPECT_FALSE(verify_consistency(0, empty_root(), 5, tree.root[5], tree.leaf));
  EXPECT_TRUE(verify_consistency(0, empty_root(), 0, empty_root(), {}));
}

TEST(MerkleProof, does_not_take_a_node_for_a_leaf) {
  // The tags keep them apart: a pair of hashes given as an entry is another leaf.
  auto two = leaves(2);
  Bytes pair = to_bytes(BytesView(two[0]));
  pair.insert(pair.end(), two[1].begin(), two[1].end());

  EXPECT_NE(leaf_hash(pair), node_hash(two[0], two[1]));
}

}  // namespace
}  // namespace holdfast::crypto
