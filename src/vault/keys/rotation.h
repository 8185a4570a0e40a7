// Rotation of any key while the server works: a new key, every row moved to it and read back, and
// the old key destroyed when nothing is under it and no backup needs it. It goes in small steps,
// each one commit with what comes next in it, so that it goes on after a crash where it was.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "crypto/key_set.h"
#include "http/route.h"
#include "vault/context.h"
#include "vault/keys/rotation_messages.h"

namespace holdfast::vault {

struct RotationSettings {
  /// How long keys files of backups are kept: an old key is destroyed this long after its rows
  /// were moved.
  Millis window{30LL * 86'400'000};
  /// How long an epoch lasts; nothing: it is rolled by hand only.
  std::optional<Millis> epoch{Millis{30LL * 86'400'000}};
  /// Rows a batch; 0: 256 while others commit, else 5,000.
  std::int64_t batch = 0;
};

/// When a key that was in use at some time is gone, on the disk and from every backup.
struct KeyDestruction {
  std::uint32_t id = 0;            // of the key
  std::optional<Time> at;          // nothing: not scheduled
  std::optional<EventId> event{};  // says that it is done
};

class Rotations {
 public:
  struct Deps {
    Context context;
    crypto::HeldKeys& held;
    /// Makes a generation of the keyring durable, and gives it: where an earlier try was cut off,
    /// the one with the key of that try. Blocking. Errors: conflict, locked, unavailable.
    std::function<Result<crypto::Keyring>(const crypto::Keyring&)> save;
    /// Journal time (journal/journal_time.h): destruction follows it and no clock.
    std::function<Result<Time>()> time;
    /// Destroys what backups of the keys were made before that time. Blocking; gives how many.
    /// Errors: unavailable (one cannot be removed: the old key then stays, too).
    std::function<Result<std::int64_t>(Time before)> forget_backups;
    /// How many backups of the keys from before that time are there. Blocking. Errors: unavailable
    /// (nobody can say).
    std::function<Result<std::int64_t>(Time before)> count_backups;
    /// In the order in which they are moved.
    std::vector<KeyedRows*> rows;
    RotationSettings settings;
  };
  /// How the caller of step() goes on.
  enum class Pace { more, soon, idle };

  explicit Rotations(Deps deps) : deps_(std::move(deps)) {}

  /// After opening and before serving: brings the keys in line with rotations that are under way,
  /// and takes up keys that a restore left without one. Rows by another hand are left as they are;
  /// step() tells of them.
  /// Errors: conflict (the keyring is older than the database), corrupt, locked, unavailable.
  Task<Result<void>> prepare();

  /// Begins a rotation, or goes on with one of this kind that stopped. Returns at once.
  /// Errors: conflict (rows are being moved by another one), invalid (no such key here), locked.
  Task<Result<RotationView>> rotate(Caller caller, RotateKeys request);
  Task<Result<RotationView>> roll(Caller caller, RollEpoch request);
  /// Errors: not_found.
  Task<Result<RotationList>> progress(Caller caller, ProgressRequest request);
  /// Of the key of that kind under which things were at that time: for what was erased then, the
  /// epoch's says when nothing opens it any more, the index's when old terms of it say nothing.
  /// Errors: locked, unavailable.
  Task<Result<KeyDestruction>> destruction(KeyKind kind, Time then, MonoTime deadline);

  /// One step of the work: at most one batch, one commit. Not for two callers at once.
  /// Errors: those of the commit; the step is then done again.
  Task<Result<Pace>> step();
  /// Steps until stop(). On a thread of its own: steps read, seal and write files in place.
  /// `tell` hears of failures, and again when one that had failed succeeds (nullptr). Locked keys
  /// are none: it rests until stop().
  Task<void> run(std::function<void(const Error*)> tell);
  void stop() { stopping_ = true; }
  /// run() may be called again.
  void again() { stopping_ = false; }

 private:
  using Phase = RotationPhase;

  Task<Result<std::vector<Rotation>>> trusted();
  Task<Result<Pace>> take_over(Rotation row, RowHand hand);
  /// Of a row that nobody signed: what it says hurries nothing.
  void wait_anew(Rotation& row, Time now) const;
  /// For digest keys that a restore left without a rotation.
  Task<Result<Pace>> stand_back(Rotation row);
  Task<Result<Pace>> go_on(Rotation row);
  Task<Result<Pace>> add_key(Rotation row);
  Task<Result<Pace>> settle(Rotation row, Phase next);
  Task<Result<Pace>> pass(Rotation row, Pass pass, Phase next);
  Task<Result<Pace>> check(Rotation row, Pass pass);
  Task<Result<Pace>> switch_over(Rotation row);
  Task<Result<Pace>> enter_waiting(Rotation row);
  Task<Result<std::int64_t>> needed_still(const Rotation& row);
  Task<Result<Pace>> announce(Rotation row);
  Task<Result<Pace>> destroy(Rotation row);
  Task<Result<Pace>> roll_when_due();

  Task<Result<Rotation>> begin_rotation(Caller caller, KeyKind kind, bool at_once,
                                        std::string_view activity);
  /// Of a rotation that waits for its date: it waits no longer than it must.
  static void hurry(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                    Rotation row);
  static Millis shortest_wait(KeyKind kind);
  Task<Result<MoveJob>> job_of(const Rotation& row);
  Task<Result<std::int64_t>> left_under(const Rotation& row, Pass pass);
  std::vector<KeyedRows*> sources(KeyKind kind, Pass pass) const;
  bool has_pass(KeyKind kind, Pass pass) const { return !sources(kind, pass).empty(); }
  /// Commits the row as it is now, with an event about it.
  Task<Result<void>> put(Rotation& row, journal::Event event, db::Changes changes = {},
                         Caller caller = {});
  Task<Result<Pace>> advance(Rotation row, Phase next, std::string_view activity);
  Task<Result<Pace>> halt(Rotation row, std::int64_t left);
  /// Gives the keys to requests from now on, found as the open rotations need it, of which one is
  /// as given here; without a ring the same keys. Those who have the ones before are waited for.
  /// The caller has the turn of the keyring. Errors: locked, unavailable.
  Task<Result<void>> hand_out(std::optional<crypto::Keyring> ring, Rotation as);
  /// Errors: locked (`before` was dropped meanwhile).
  Result<void> give(std::shared_ptr<const crypto::KeySet> before, crypto::Keyring ring,
                    std::span<const Rotation> open);
  std::int64_t batch_size() const;
  void fill_rate(RotationView& view, const Rotation& row) const;

  Deps deps_;
  std::atomic<bool> stopping_ = false;
  std::int64_t shrink_ = 1;       // after conflicts: smaller batches
  std::size_t strangers_ = 0;     // open rotations by another hand, as of the last look
  std::size_t foreign_done_ = 0;  // done ones whose key is there, as of the start

  mutable std::mutex rate_mutex_;  // guards the next one
  struct Rate {
    RotationId rotation{};
    Phase phase{};
    MonoTime since{};
    std::int64_t looked = 0;
  } rate_;
};

/// nullptr only to be described.
std::vector<http::Route> rotation_routes(Rotations* rotations);

}  // namespace holdfast::vault
