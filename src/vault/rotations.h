// Rotations as they are remembered, and what a room tells of its rows so that they can be moved to
// another key. Rotations themselves are keys/rotation.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/key_set.h"
#include "db/database.h"
#include "journal/event.h"
#include "vault/schema.h"

namespace holdfast::vault {

using RotationId = Id<"rot">;

/// What can be rotated. The names are on the wire and in the database.
enum class KeyKind : std::uint8_t {
  epoch,        // wraps subject keys: those of the living are wrapped again
  subject,      // one per customer and keep group: values are sealed again
  index,        // blind indexes
  external,     // the index over external ids
  authority,    // MACs over rows that grant something
  digest,       // digests of rows in events
  journal,      // signs checkpoints
  side,         // seals the journal's side table
  afterlog,     // MACs the afterlog
  cursor,       // seals paging cursors
  idempotency,  // fingerprints of requests
  token,        // tokens that are found by their value
  sealing,      // the public key of pending tokens
};
std::span<const std::string_view> enum_names(KeyKind);
/// Nothing for subject keys, which do not lie in the keyring.
std::optional<crypto::KeyUse> use_of(KeyKind kind);
/// No row is under it: what it made is outside, or ends by itself.
bool is_rowless(KeyKind kind);

/// Where a rotation stands, in the order in which it goes; kinds leave out what they do not need.
enum class RotationPhase : std::uint8_t {
  adding,      // the new key goes into the keyring
  settling,    // requests that began without it come to their end
  renewing,    // customers get further keys
  renewed,     // requests that began before come to their end
  moving,      // rows go to the new key
  checking,    // rows are read back
  switching,   // rows are found by the new key from now on
  clearing,    // requests that looked by the old key come to their end
  cleaning,    // what is under the old key goes away
  rechecking,  // and is counted
  waiting,     // nothing is under the old key; it is kept for backups until its date
  destroying,  // announced; the old key goes
  done,        //
  stopped,     // rows do not open: they are named, and the old key stays
};
std::span<const std::string_view> enum_names(RotationPhase);

/// A row of vault_rotations.
struct Rotation {
  RotationId id;
  KeyKind kind{};
  std::uint32_t from = 0, to = 0;  // key ids; of subject rotations their number
  RotationPhase phase{};
  bool at_once = false;     // the old key does not wait for backups
  std::int64_t source = 0;  // which rows of the phase
  Bytes after;              // where the next batch begins
  std::int64_t rounds = 0;  // times that rows were left and moved again
  std::int64_t looked = 0, moved = 0, total = 0, refused = 0;
  std::vector<std::string> refused_rows;  // the first hundred, `records rec_...`
  std::int64_t generation = 0;            // of the keyring, when the new key was first in it
  Time started{};
  std::optional<Time> all_moved, due, finished;  // journal time
  std::string proof;                             // `evt_...` that says nothing was left
  std::int64_t version = 0;
  Bytes mac;

  /// Rows are being moved: at most one rotation at a time does.
  bool running() const;
  /// Of one that stopped: its rows are found by the new key already, and only cleaning is left.
  bool found_by_new() const;
  /// From the beginning of its rows.
  void resume();
};

/// One batch of rows, as a source hands it over.
struct MovedRows {
  db::Changes changes{};
  std::vector<journal::Touch> touches{};
  Bytes after{};                       // where the next batch begins
  std::int64_t looked = 0;             // rows
  std::int64_t moved = 0;              // of them written
  std::int64_t put_back = 0;           // keys of erased customers, by another hand: they go
  std::vector<std::string> refused{};  // rows that do not open: they stay as they are
  bool last = false;
  /// Set by rows that are only told anew (journal::kRestate): the log's size before they were read.
  std::optional<std::int64_t> as_of{};
};

/// The passes over rows that a rotation makes.
enum class Pass : std::uint8_t {
  renew,  // further keys are made
  move,   // rows go to the new key
  clean,  // what is under the old key goes, or is marked
  drop,   // right before the old key is destroyed
};

/// The one that a phase is, if it is one.
std::optional<Pass> pass_of(RotationPhase phase);

/// What a source works under.
struct MoveJob {
  KeyKind kind;
  std::uint32_t from, to;
  std::shared_ptr<const crypto::KeySet> keys;
  std::shared_ptr<const Schema> schema;
};

/// Rows of one table that are under a kind of key. A room with such rows has one of these, and
/// app/wiring lists it. Threads: one at a time, the rotation's own.
class KeyedRows {
 public:
  virtual ~KeyedRows() = default;
  /// A literal, for events and progress: "records".
  virtual std::string_view name() const = 0;
  virtual bool takes_part(KeyKind kind, Pass pass) const = 0;
  /// Looks at about `limit` rows from `after` on (empty: the beginning) and gives the writes that
  /// bring them under `job.to`. A write must do nothing, or fail with conflict, when its row was
  /// changed or erased meanwhile. Pure reads: the rotation commits. Errors: unavailable, corrupt.
  virtual Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) = 0;
  /// Rows that `pass` (move or clean) still has to bring over: exact, by reading them.
  virtual Task<Result<std::int64_t>> left(MoveJob job, Pass pass) = 0;
  /// How many rows a pass looks at, about, for progress.
  virtual Task<Result<std::int64_t>> total(MoveJob) { co_return 0; }
};

/// Rotations that are not done, oldest first; those of the last while that are, newest last.
Task<Result<std::vector<Rotation>>> open_rotations(db::Reader& reader, MonoTime deadline);
Task<Result<std::vector<Rotation>>> last_rotations(db::Reader& reader, MonoTime deadline);
Task<Result<std::vector<Rotation>>> all_rotations(db::Reader& reader);
/// The same for who has a data file and no server.
const db::Sql& all_rotations_statement();
Result<std::vector<Rotation>> rotations_from(const db::Rows& rows);
/// Every rotation of a kind, oldest first. Errors: unavailable, corrupt.
Task<Result<std::vector<Rotation>>> rotations_of(db::Reader& reader, KeyKind kind,
                                                 MonoTime deadline);
/// For `journal verify --state`. Covers the whole row.
crypto::Digest rotation_digest(const crypto::KeySet& keys, const Rotation& rotation);
/// Who wrote a row, by its MAC.
enum class RowHand : std::uint8_t {
  newest_key,    // Holdfast
  older_key,     // Holdfast, under a digest key that was replaced since
  unsigned_row,  // an earlier release, or whoever took the MAC out
  unknown,       // somebody else
};
RowHand hand_of(const crypto::KeySet& keys, const Rotation& rotation);
Error rotation_by_another_hand();
/// Adds the row, or puts it in place of the version before, under its MAC. Expects nobody to have
/// done so meanwhile, and at most one to be running (conflict).
void add_rotation(db::Changes& changes, const crypto::KeySet& keys, const Rotation& rotation);
void put_rotation(db::Changes& changes, const crypto::KeySet& keys, const Rotation& rotation);

/// How external ids are found while these rotations are under way.
crypto::FindingPlan finding_plan(const crypto::Keyring& ring, std::span<const Rotation> open);

std::span<const db::Sql* const> rotation_row_statements();

}  // namespace holdfast::vault
