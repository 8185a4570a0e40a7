// What verification does to entries, online and offline alike: hashes them, looks at their form,
// and holds the leaves of batches against their roots. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "crypto/merkle.h"
#include "journal/checkpoint.h"
#include "journal/scan.h"

namespace holdfast::journal {

enum class Fault : std::uint8_t {
  entry_missing,    // its number is not there
  entry_changed,    // not what the tree holds at its place
  entry_malformed,  // not a canonical entry
  id_differs,       // stored under another id than it names
  leaves_missing,   // a batch without its leaves
  leaves_changed,   // not the leaves that the batch's entry names
  tile_missing,     // part of the tree; seq is the first entry below it
  tile_changed,     //
};
std::span<const std::string_view> enum_names(Fault);

/// In words: "was changed in the database".
std::string_view text_of(Fault fault);

struct Finding {
  Fault fault;
  std::int64_t seq;
};

struct VerifyReport {
  std::string verifier;       // the key under which the checkpoint was checked
  bool key_expected = false;  // the caller named it beforehand
  Checkpoint head;
  std::int64_t entries = 0, batches = 0, leaves = 0;
  std::int64_t faults_total = 0;
  std::vector<Finding> faults;  // the first hundred
  bool root_matches = false;    // the entries give the checkpoint's root
  /// Online: whether the log holds all that the witness beside the database has seen.
  std::optional<bool> witness_matches{};

  void add(Fault fault, std::int64_t seq);
  bool good() const { return faults_total == 0 && root_matches && witness_matches.value_or(true); }
};

/// Called now and then with how many entries are done, of how many.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// One entry, in place.
struct EntryToCheck {
  std::int64_t seq;
  std::string_view entry;
  std::optional<BytesView> leaves{};     // as they are stored
  std::optional<std::string_view> id{};  // that it is stored under; unset where there is none
};

struct CheckedEntries {
  std::vector<crypto::Digest> hashes;  // leaf hash of each
  std::vector<Finding> faults;
  std::int64_t batches = 0, leaves = 0;
};

/// Cost: 1 to 2 µs an entry. Threads: safe.
CheckedEntries check_entries(std::span<const EntryToCheck> entries);

/// The tree over entries that come in order, a tile's worth in memory.
class Recount {
 public:
  void add(const crypto::Digest& leaf);
  std::uint64_t size() const { return tiles_.size() * kWidth + rest_.size(); }
  /// Cost: up to 256 hashes.
  crypto::Digest root() const;

 private:
  static constexpr std::size_t kWidth = 256;
  crypto::TreeEdge tiles_;  // over the roots of complete tiles
  std::vector<crypto::Digest> rest_;
};

}  // namespace holdfast::journal
