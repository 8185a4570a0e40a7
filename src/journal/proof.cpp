#include "journal/proof.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "crypto/merkle.h"

namespace holdfast::journal {
namespace {

constexpr std::string_view kFormat = "holdfast-proof-1";
constexpr std::size_t kLongestPath = 64;
constexpr Limits kHash{.bytes = 64, .count = kLongestPath};

std::vector<std::string> written(std::span<const crypto::Digest> path) {
  std::vector<std::string> out;
  for (const auto& hash : path) out.push_back(base64(hash));
  return out;
}

std::optional<std::vector<crypto::Digest>> read(std::span<const std::string> path) {
  std::vector<crypto::Digest> out;
  for (const auto& text : path) {
    auto bytes = unbase64(text);
    if (!bytes || bytes->size() != sizeof(crypto::Digest)) return std::nullopt;
    std::ranges::copy(*bytes, out.emplace_back().begin());
  }
  return out;
}

/// Every complete subtree over the leaves, by level.
class Levels {
 public:
  explicit Levels(std::vector<crypto::Digest> leaves) {
    levels_.push_back(std::move(leaves));
    while (levels_.back().size() > 1) {
      const auto& below = levels_.back();
      std::vector<crypto::Digest> above;
      above.reserve(below.size() / 2);
      for (std::size_t i = 0; i + 1 < below.size(); i += 2)
        above.push_back(crypto::node_hash(below[i], below[i + 1]));
      levels_.push_back(std::move(above));
    }
  }
  std::optional<crypto::Digest> operator()(unsigned level, std::uint64_t index) const {
    if (level >= levels_.size() || index >= levels_[level].size()) return std::nullopt;
    return levels_[level][index];
  }

 private:
  std::vector<std::vector<crypto::Digest>> levels_;
};

Task<Result<std::vector<LeafProof>>> prove_on_pool(std::vector<Bytes> leaves, LeafFilter filter) {
  co_return prove_leaves(leaves, filter);
}

Error not_proved() {
  return {Code::corrupt, "the proof does not hold: it was changed, or is not of this log"};
}

Result<Proved::Row> proved_leaf(const LeafProof& proof, const Entry& entry) {
  auto leaf = unbase64(proof.leaf);
  auto path = read(proof.path);
  if (!leaf || !path || !entry.root) return not_proved();
  if (!crypto::verify_inclusion(
          crypto::leaf_hash(*leaf), static_cast<std::uint64_t>(proof.index),
          static_cast<std::uint64_t>(std::max<std::int64_t>(entry.touched, 0)), *path, *entry.root))
    return not_proved();
  auto touch = decode_leaf(*leaf);
  if (!touch) return not_proved();
  return Proved::Row{touch->subject, std::string(touch->kind), std::move(touch->row),
                     touch->left == crypto::Digest{}, touch->unopened};
}

}  // namespace

std::span<const Member> LeafProof::described() {
  using P = LeafProof;
  static constexpr Member kMembers[] = {
      member<&P::index>("index", "Which leaf of the batch, from 0."),
      member<&P::leaf>("leaf", "The leaf in base64: salt, flags, subject, kind, row and digest.",
                       {.bytes = kLongestEntry}),
      member<&P::path>("path", "Hashes from the leaf up to the batch's root, base64.", kHash)};
  return kMembers;
}

std::span<const Member> EventProof::described() {
  using P = EventProof;
  static constexpr Member kMembers[] = {
      member<&P::format>("format", "holdfast-proof-1"),
      member<&P::verifier>("verifier", "The log's verifier key (C2SP signed-note)."),
      member<&P::checkpoint>("checkpoint", "The signed tree head (C2SP tlog-checkpoint).",
                             {.bytes = 4096}),
      member<&P::seq>("seq", "The entry's number in the log, from 0."),
      member<&P::entry>("entry", "The entry, canonical JSON, as it was hashed.",
                        {.bytes = kLongestEntry}),
      member<&P::path>("path", "RFC 6962 audit path of the entry, base64.", kHash),
      member<&P::leaves>("leaves", "Of a batch: the records asked for.", {.count = 20'000})};
  return kMembers;
}

std::span<const Member> Head::described() {
  static constexpr Member kMembers[] = {
      member<&Head::checkpoint>("checkpoint", "The signed tree head (C2SP tlog-checkpoint).",
                                {.bytes = 4096}),
      member<&Head::verifier>("verifier", "The key to check it with (C2SP signed-note). Keep it."),
      member<&Head::origin>("origin", "The log's name."),
      member<&Head::root>("root", "Root of the Merkle tree, base64."),
      member<&Head::size>("size", "How many entries.")};
  return kMembers;
}

std::span<const Member> ConsistencyProof::described() {
  using P = ConsistencyProof;
  static constexpr Member kMembers[] = {
      member<&P::format>("format", "holdfast-consistency-1"),
      member<&P::from>("from", "Size of the older tree."),
      member<&P::to>("to", "Size of the newer tree."),
      member<&P::path>("path", "RFC 6962 consistency proof, base64.", {.bytes = 64, .count = 128}),
      member<&P::verifier>("verifier",
                           "The log's verifier key, where the newer tree is the log as "
                           "it is now."),
      member<&P::checkpoint>("checkpoint",
                             "The signed head of the newer tree, where that is the log "
                             "as it is now.",
                             {.bytes = 4096})};
  return kMembers;
}

Result<std::vector<LeafProof>> prove_leaves(std::span<const Bytes> leaves,
                                            const LeafFilter& filter) {
  std::vector<crypto::Digest> hashes;
  hashes.reserve(leaves.size());
  for (const auto& leaf : leaves) hashes.push_back(crypto::leaf_hash(leaf));
  Levels levels(std::move(hashes));
  std::vector<LeafProof> out;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    auto touch = decode_leaf(leaves[i]);
    if (!touch) return std::move(touch).error();
    if (!filter(*touch)) continue;
    auto path = crypto::inclusion_proof(i, leaves.size(), std::cref(levels));
    if (!path) return Error(Code::internal, "a leaf of a batch cannot be proved");
    out.push_back({static_cast<std::int64_t>(i), base64(leaves[i]), written(*path)});
  }
  return out;
}

Task<Result<EventProof>> prove_event(Log& log, boost::asio::any_io_executor pool, Stored stored,
                                     LeafFilter filter) {
  auto proof = co_await log.prove(stored.seq);
  if (!proof) co_return std::move(proof).error();
  EventProof out;
  out.format = kFormat;
  out.verifier = log.verifier();
  out.checkpoint = std::move(proof->checkpoint);
  out.seq = stored.seq;
  out.path = written(proof->path);
  auto entry = decode_entry(stored.entry);
  if (!entry) co_return std::move(entry).error();
  out.entry = std::move(stored.entry);
  if (!filter || !entry->root) co_return out;
  auto leaves = co_await log.leaves(stored.id);
  if (!leaves) co_return std::move(leaves).error();
  auto proved = co_await boost::asio::co_spawn(
      pool, prove_on_pool(std::move(*leaves), std::move(filter)), boost::asio::use_awaitable);
  if (!proved) co_return std::move(proved).error();
  out.leaves = std::move(*proved);
  co_return out;
}

Result<Proved> verify_proof(std::string_view json, std::optional<std::string_view> expected_key) {
  if (json.size() > kLongestProof) return Error(Code::too_large, "a proof is at most 16 MiB");
  auto proof = parse_json_as<EventProof>(json);
  if (!proof) return std::move(proof).error();
  if (proof->format != kFormat)
    return Error(Code::invalid, "not a proof of this kind").at("format");
  auto verifier = parse_verifier_key(proof->verifier);
  if (!verifier) return std::move(verifier).error().at("verifier");
  if (expected_key && *expected_key != proof->verifier)
    return another_key(*expected_key, *verifier);
  auto head = open_checkpoint(proof->checkpoint, verifier->key);
  if (!head) return std::move(head).error();
  if (head->origin != verifier->origin) return not_proved();

  auto path = read(proof->path);
  if (!path || !crypto::verify_inclusion(crypto::leaf_hash(as_bytes(proof->entry)),
                                         static_cast<std::uint64_t>(proof->seq), head->size, *path,
                                         head->root))
    return not_proved();
  auto entry = decode_entry(proof->entry);
  if (!entry) return not_proved();

  Proved out{std::move(proof->verifier), std::move(*head), proof->seq, std::move(*entry), {}};
  for (const auto& leaf : proof->leaves) {
    auto row = proved_leaf(leaf, out.entry);
    if (!row) return std::move(row).error();
    out.rows.push_back(std::move(*row));
  }
  if (!out.entry.root)
    for (const auto& touch : out.entry.touches)
      out.rows.push_back(
          {touch.subject, out.entry.kind_text, touch.row, touch.left == crypto::Digest{}});
  return out;
}

Result<ProvedConsistency> verify_consistency(std::string_view json, std::string_view kept,
                                             std::optional<std::string_view> expected_key) {
  auto proof = parse_json_as<ConsistencyProof>(json);
  if (!proof || proof->format != kConsistencyFormat)
    return Error(Code::invalid,
                 "this is no proof of consistency: give what `holdfast journal consistency` gave");
  if (!proof->verifier || !proof->checkpoint)
    return Error(Code::invalid, "this proof has no signed head: ask for it without --to");
  auto verifier = parse_verifier_key(*proof->verifier);
  if (!verifier) return std::move(verifier).error().at("verifier");

  Head before;
  before.checkpoint = kept;
  if (kept.starts_with('{')) {
    auto head = parse_json_as<Head>(kept);
    if (!head)
      return Error(Code::invalid,
                   "this is no checkpoint: give what `holdfast journal checkpoint` gave")
          .at("checkpoint");
    before = std::move(*head);
  }
  if (before.verifier.empty() && !expected_key)
    return Error(Code::invalid, "a checkpoint's note alone takes the log's key too (--verifier)")
        .at("checkpoint");
  if (before.verifier.empty()) before.verifier = *expected_key;
  const auto expected = expected_key.value_or(before.verifier);
  if (expected != *proof->verifier) return another_key(expected, *verifier);
  auto own = parse_verifier_key(before.verifier);
  if (!own) return std::move(own).error().at("checkpoint");
  auto old = open_checkpoint(before.checkpoint, own->key);
  if (!old) return std::move(old).error().at("checkpoint");
  auto head = open_checkpoint(*proof->checkpoint, verifier->key);
  if (!head) return std::move(head).error();

  if (old->origin == head->origin && old->size > head->size)
    return Error(
        Code::corrupt,
        "the log has fewer entries than the checkpoint that you kept: an older one was put "
        "in its place");
  if (static_cast<std::uint64_t>(proof->from) != old->size)
    return Error(Code::invalid,
                 "this proof begins at another size than the checkpoint that you kept: `--from` "
                 "takes its `size`");
  auto path = read(proof->path);
  if (!path || old->origin != head->origin || head->origin != verifier->origin ||
      !crypto::verify_consistency(old->size, old->root, head->size, head->root, *path))
    return Error(Code::corrupt,
                 "the log does not hold what the checkpoint that you kept had: it was replaced, or "
                 "this proof was changed");
  return ProvedConsistency{std::move(*proof->verifier), std::move(*old), std::move(*head)};
}

}  // namespace holdfast::journal
