#include "journal/check.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kNamed = 100;

/// Root and count of leaves as they are stored; nullopt when they are not laid out so.
std::optional<std::pair<crypto::Digest, std::int64_t>> root_of_stored(BytesView stored) {
  crypto::TreeEdge tree;
  ByteReader reader(stored);
  while (!reader.rest().empty()) {
    auto leaf = reader.part();
    if (!leaf) return std::nullopt;
    tree.add(crypto::leaf_hash(*leaf));
  }
  return std::pair(tree.root(), static_cast<std::int64_t>(tree.size()));
}

void check_leaves(const EntryToCheck& one, const EntryView& entry, CheckedEntries& out) {
  ++out.batches;
  if (!one.leaves || one.leaves->empty()) {
    out.faults.push_back({Fault::leaves_missing, one.seq});
    return;
  }
  auto root = root_of_stored(*one.leaves);
  if (!root || root->second != entry.touched || base64url(root->first) != entry.root) {
    out.faults.push_back({Fault::leaves_changed, one.seq});
    return;
  }
  out.leaves += root->second;
}

}  // namespace

std::span<const std::string_view> enum_names(Fault) {
  static constexpr std::string_view kNames[] = {
      "entry_missing",  "entry_changed",  "entry_malformed", "id_differs",
      "leaves_missing", "leaves_changed", "tile_missing",    "tile_changed"};
  return kNames;
}

std::string_view text_of(Fault fault) {
  static constexpr std::string_view kTexts[] = {"is missing",
                                                "was changed in the database",
                                                "is not a canonical entry",
                                                "is stored under another id than its own",
                                                "is a batch whose leaves are missing",
                                                "is a batch whose leaves were changed",
                                                "begins a part of the tree that is missing",
                                                "begins a part of the tree that was changed"};
  return kTexts[static_cast<std::size_t>(fault)];
}

void VerifyReport::add(Fault fault, std::int64_t seq) {
  ++faults_total;
  if (faults.size() < kNamed) faults.push_back({fault, seq});
}

CheckedEntries check_entries(std::span<const EntryToCheck> entries) {
  CheckedEntries out;
  out.hashes.reserve(entries.size());
  for (const auto& one : entries) {
    out.hashes.push_back(crypto::leaf_hash(as_bytes(one.entry)));
    auto entry = scan_entry(one.entry);
    if (!entry) {
      out.faults.push_back({Fault::entry_malformed, one.seq});
      continue;
    }
    if (one.id && *one.id != entry->id) out.faults.push_back({Fault::id_differs, one.seq});
    if (!entry->root.empty()) check_leaves(one, *entry, out);
  }
  return out;
}

void Recount::add(const crypto::Digest& leaf) {
  rest_.push_back(leaf);
  if (rest_.size() < kWidth) return;
  tiles_.add(crypto::root_of(rest_));
  rest_.clear();
}

/// RFC 6962 splits at powers of two, so the roots of aligned tiles, the last of them unfinished,
/// are the leaves of the same tree seen from higher up.
crypto::Digest Recount::root() const {
  if (rest_.empty()) return tiles_.root();
  auto all = tiles_;
  all.add(crypto::root_of(rest_));
  return all.root();
}

}  // namespace holdfast::journal
