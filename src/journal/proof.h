// Proofs that leave the house: one file that says what was recorded and shows, to anyone who has
// the log's verifier key, that it stands in the log. Checked offline.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "base/result.h"
#include "base/task.h"
#include "journal/checkpoint.h"
#include "journal/entry.h"
#include "journal/log.h"

namespace holdfast::journal {

/// One leaf of a batch, which shows nothing of the others.
struct LeafProof {
  std::int64_t index = 0;
  std::string leaf;               // base64
  std::vector<std::string> path;  // base64, from the leaf up to the batch's root
  static std::span<const Member> described();
};

struct EventProof {
  std::string format;      // "holdfast-proof-1"
  std::string verifier;    // key of the log, C2SP vkey
  std::string checkpoint;  // signed note
  std::int64_t seq = 0;
  std::string entry;              // canonical JSON, as hashed
  std::vector<std::string> path;  // base64, from the entry up to the checkpoint's root
  std::vector<LeafProof> leaves;
  static std::span<const Member> described();
};

using LeafFilter = std::function<bool(const Touch&)>;

/// Of those leaves of a batch that the filter picks. Pure; about 0.2 µs for each leaf of the batch.
Result<std::vector<LeafProof>> prove_leaves(std::span<const Bytes> leaves,
                                            const LeafFilter& filter);

/// Proves an entry in the log as it is now. With a filter and a batch, the leaves that it picks.
/// Hashing goes to `pool`. The log must outlive the task. Errors: corrupt, unavailable.
Task<Result<EventProof>> prove_event(Log& log, boost::asio::any_io_executor pool, Stored stored,
                                     LeafFilter filter);

/// What a proof proves.
struct Proved {
  std::string verifier;  // under this key
  Checkpoint head;
  std::int64_t seq = 0;
  Entry entry;
  /// The rows that the proved leaves name, or the entry's own.
  struct Row {
    std::optional<SubjectId> subject;
    std::string kind;
    Bytes row;
    bool removed = false;
    bool unopened = false;  // of an event that opened others
  };
  std::vector<Row> rows;
};

/// Offline. Without an expected key the proof is checked under the key that it brings along, which
/// shows that it is whole, not whose it is.
/// Errors: invalid (not a proof), too_large, corrupt (does not prove it; another key).
Result<Proved> verify_proof(std::string_view json, std::optional<std::string_view> expected_key);

/// The signed head of the log, as it is handed out to be kept.
struct Head {
  std::string checkpoint, verifier, origin, root;
  std::int64_t size = 0;
  static std::span<const Member> described();
};

/// That the log of one size holds all of what it had at a smaller one.
struct ConsistencyProof {
  std::string format;  // "holdfast-consistency-1"
  std::int64_t from = 0, to = 0;
  std::vector<std::string> path;                    // base64, RFC 6962
  std::optional<std::string> verifier, checkpoint;  // of the larger one, where that is the head
  static std::span<const Member> described();
};
inline constexpr std::string_view kConsistencyFormat = "holdfast-consistency-1";

struct ProvedConsistency {
  std::string verifier;  // of the head
  Checkpoint kept, head;
};

/// Offline: whether the log as the proof shows it goes on from a checkpoint that was kept, a Head
/// as JSON or only its note. The expected key is the head's; a kept Head brings its own along,
/// which stands in where none is expected. Errors: invalid (none of these, or not for each other),
/// corrupt (it does not go on from it; another key).
Result<ProvedConsistency> verify_consistency(std::string_view json, std::string_view kept,
                                             std::optional<std::string_view> expected_key);

/// The largest file that verify_proof reads.
inline constexpr std::size_t kLongestProof = 16u << 20;

}  // namespace holdfast::journal
