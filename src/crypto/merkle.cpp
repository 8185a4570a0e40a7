#include "crypto/merkle.h"

#include <bit>
#include <stdexcept>
#include <utility>

namespace holdfast::crypto {
namespace {

constexpr std::uint8_t kLeafTag = 0x00, kNodeTag = 0x01;

/// The largest power of two below n (n > 1): where RFC 6962 splits a tree.
std::uint64_t split(std::uint64_t n) {
  return std::bit_floor(n - 1);
}

/// Root over the leaves [begin, begin + count), where begin is a multiple of a power of two that
/// is at least count: the shape of every subtree that the RFC's recursion meets.
std::optional<Digest> subtree(std::uint64_t begin, std::uint64_t count, const NodeSource& nodes) {
  if (std::has_single_bit(count)) {
    auto level = static_cast<unsigned>(std::countr_zero(count));
    return nodes(level, begin >> level);
  }
  auto k = split(count);
  auto left = subtree(begin, k, nodes);
  if (!left) return std::nullopt;
  auto right = subtree(begin + k, count - k, nodes);
  if (!right) return std::nullopt;
  return node_hash(*left, *right);
}

/// Adds the root of one more subtree to a proof that is still whole.
bool append(std::vector<Digest>& proof, std::optional<Digest> hash) {
  if (hash) proof.push_back(*hash);
  return hash.has_value();
}

}  // namespace

Digest leaf_hash(BytesView entry) {
  return sha256({{&kLeafTag, 1}, entry});
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 1 + 2 * sizeof(Digest)> bytes;
  bytes[0] = kNodeTag;
  std::copy(left.begin(), left.end(), bytes.begin() + 1);
  std::copy(right.begin(), right.end(), bytes.begin() + 1 + sizeof(Digest));
  return sha256(BytesView(bytes));
}

Digest empty_root() {
  return sha256(BytesView());
}

Digest root_of(std::span<const Digest> leaves) {
  TreeEdge tree;
  for (const auto& leaf : leaves) tree.add(leaf);
  return tree.root();
}

TreeEdge::TreeEdge(std::uint64_t size, std::vector<Digest> edge)
    : size_(size), edge_(std::move(edge)) {
  if (edge_.size() != static_cast<std::size_t>(std::popcount(size)))
    throw std::invalid_argument("a tree's edge has one hash for each bit set in its size");
}

void TreeEdge::add(const Digest& leaf, const Sink& sink) {
  Digest node = leaf;
  if (sink) sink(0, size_, node);
  // Each bit that is set from the bottom is a subtree as large as what we hold: join them.
  unsigned level = 0;
  for (auto index = size_; index & 1; index >>= 1) {
    node = node_hash(edge_.back(), node);
    edge_.pop_back();
    ++level;
    if (sink) sink(level, index >> 1, node);
  }
  edge_.push_back(node);
  ++size_;
}

Digest TreeEdge::root() const {
  if (edge_.empty()) return empty_root();
  Digest root = edge_.back();
  for (auto i = edge_.size() - 1; i-- > 0;) root = node_hash(edge_[i], root);
  return root;
}

std::optional<Digest> root_at(std::uint64_t size, const NodeSource& nodes) {
  if (size == 0) return empty_root();
  return subtree(0, size, nodes);
}

std::optional<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size,
                                                   const NodeSource& nodes) {
  if (index >= size) return std::nullopt;
  // From the root down; the path is read from the leaf up.
  std::vector<Digest> path;
  std::uint64_t begin = 0, count = size;
  while (count > 1) {
    auto k = split(count);
    bool left = index - begin < k;
    if (!append(path, left ? subtree(begin + k, count - k, nodes) : subtree(begin, k, nodes)))
      return std::nullopt;
    begin += left ? 0 : k;
    count = left ? k : count - k;
  }
  return std::vector<Digest>(path.rbegin(), path.rend());
}

std::optional<std::vector<Digest>> consistency_proof(std::uint64_t old_size, std::uint64_t size,
                                                     const NodeSource& nodes) {
  if (old_size > size) return std::nullopt;
  std::vector<Digest> path;
  if (old_size == 0 || old_size == size) return path;
  // SUBPROOF(m, D[n], b) from the root down; b: the old tree is all of what is left, and its
  // root, which the verifier has, needs no place in the proof.
  std::uint64_t begin = 0, count = size, old = old_size;
  while (old != count) {
    auto k = split(count);
    bool left = old <= k;
    if (!append(path, left ? subtree(begin + k, count - k, nodes) : subtree(begin, k, nodes)))
      return std::nullopt;
    begin += left ? 0 : k;
    count = left ? k : count - k;
    old -= left ? 0 : k;
  }
  if (begin != 0 && !append(path, subtree(begin, count, nodes))) return std::nullopt;
  return std::vector<Digest>(path.rbegin(), path.rend());
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                      std::span<const Digest> proof, const Digest& root) {
  if (index >= size) return false;
  auto fn = index, sn = size - 1;
  Digest hash = leaf;
  for (const auto& sibling : proof) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      hash = node_hash(sibling, hash);
      for (; (fn & 1) == 0 && fn != 0; fn >>= 1) sn >>= 1;
    } else {
      hash = node_hash(hash, sibling);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size,
                        const Digest& root, std::span<const Digest> proof) {
  if (old_size > size) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  if (old_size == 0) return proof.empty() && old_root == empty_root();

  auto fn = old_size - 1, sn = size - 1;
  for (; fn & 1; fn >>= 1) sn >>= 1;
  // A whole power of two is its own starting point; else the proof begins with it.
  Digest old_hash = old_root;
  if (!std::has_single_bit(old_size)) {
    if (proof.empty()) return false;
    old_hash = proof.front();
    proof = proof.subspan(1);
  }
  Digest hash = old_hash;
  for (const auto& sibling : proof) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      old_hash = node_hash(sibling, old_hash);
      hash = node_hash(sibling, hash);
      for (; (fn & 1) == 0 && fn != 0; fn >>= 1) sn >>= 1;
    } else {
      hash = node_hash(hash, sibling);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && old_hash == old_root && hash == root;
}

}  // namespace holdfast::crypto
