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

}  // namespace holdfast::journal
