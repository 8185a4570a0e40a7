// Merkle trees as in RFC 6962 section 2.1 (SHA-256, 0x00 before leaves, 0x01 before nodes), with
// proofs made from and checked against hashes alone. Pure; no storage.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace holdfast::crypto {

Digest leaf_hash(BytesView entry);
Digest node_hash(const Digest& left, const Digest& right);
/// The root of an empty tree is SHA-256 of nothing.
Digest empty_root();
/// The root over given leaf hashes. O(n).
Digest root_of(std::span<const Digest> leaves);

/// Grows a tree keeping only its right edge: at most 64 hashes. Complete subtrees are reported as
/// they come into being, so that a store can keep them.
class TreeEdge {
 public:
  /// Called for each completed node: level 0 is a leaf, `index` counts within the level.
  using Sink = std::function<void(unsigned level, std::uint64_t index, const Digest&)>;

  TreeEdge() = default;
  /// Resumes at `size`; `edge` holds the roots of its complete subtrees, largest first: one for
  /// each bit that is set in `size`. Another count is a bug (std::invalid_argument).
  TreeEdge(std::uint64_t size, std::vector<Digest> edge);

  void add(const Digest& leaf, const Sink& sink = {});
  std::uint64_t size() const { return size_; }
  Digest root() const;
  const std::vector<Digest>& edge() const { return edge_; }

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> edge_;
};

/// Gives the hash of the complete subtree at (level, index); nullopt when it cannot be had.
using NodeSource = std::function<std::optional<Digest>(unsigned level, std::uint64_t index)>;

/// Root of the first `size` leaves. O(log n) nodes. Here and below: nullopt when `nodes` cannot
/// give one that is needed, or the arguments name no such tree or proof.
std::optional<Digest> root_at(std::uint64_t size, const NodeSource& nodes);
/// RFC 6962 section 2.1.1: the audit path of leaf `index` in the tree of `size` leaves.
std::optional<std::vector<Digest>> inclusion_proof(std::uint64_t index, std::uint64_t size,
                                                   const NodeSource& nodes);
/// RFC 6962 section 2.1.2. Empty when the sizes are equal, or the old tree is empty.
std::optional<std::vector<Digest>> consistency_proof(std::uint64_t old_size, std::uint64_t size,
                                                     const NodeSource& nodes);

/// RFC 9162 section 2.1.3.2.
bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                      std::span<const Digest> proof, const Digest& root);
/// RFC 9162 section 2.1.4.2. An empty old tree is consistent with every tree.
bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size,
                        const Digest& root, std::span<const Digest> proof);

}  // namespace holdfast::crypto
