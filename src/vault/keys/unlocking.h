// Locking and unlocking a server that is open: what keys.status, lock, reshare, rehearse and move
// do, what a start finishes of a change that a crash cut off, and the alarms. A server that is
// locked has none of this room: app/locked.h.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/pool.h"
#include "crypto/unlock/root.h"
#include "http/route.h"
#include "vault/context.h"
#include "vault/keys/unlock_state.h"

namespace holdfast::vault {

/// Where the things lie that unlocking works on.
struct UnlockPlaces {
  crypto::RootFiles files{};
  crypto::HsmKey hsm_key{};              // for a move to pkcs11
  std::filesystem::path keyring_copy{};  // in the folder of backup.keys
  std::filesystem::path copied{};        // DIR/keyring.copied: where a copy was made
  std::filesystem::path latch{};         // DIR/locked
  std::filesystem::path shares{};        // where sets of shares are written
  std::filesystem::path first_shares{};  // where `init` wrote the first set
  crypto::PassphraseCost cost{};
  Millis rehearse_every{180LL * 86'400'000};
  Millis oldest_key{400LL * 86'400'000};
};

/// From when and until when clients take the server's certificate, and the local CA where that
/// issued it.
struct CertificateDates {
  Time from, until;
  std::optional<Time> authority_from{}, authority_until{};
};

/// What locking asks of the program around it. Called from any io_context thread.
class UnlockHost {
 public:
  virtual ~UnlockHost() = default;
  /// Drops the keys that lie outside HeldKeys (the log's own). Must not block.
  virtual void forget_keys() = 0;
  /// The server holds no keys now: end it and come up again as a locked one. `stale`: because its
  /// keyring is older than the database's. Must not block.
  virtual void locked(bool stale) = 0;
  /// Keys could not be taken from every request: the process must end. Does not return.
  [[noreturn]] virtual void abandon() = 0;
  /// Nothing when that is unknown.
  virtual std::optional<CertificateDates> certificate() = 0;
  /// How many API keys are due (access::due); 0 when that cannot be told now.
  virtual Task<std::int64_t> api_keys_ending(Millis within) = 0;
};

/// How this start was unlocked, when people did it: for the journal.
struct UnlockedBy {
  std::string over;  // socket, https, start
  std::vector<std::int64_t> shares{};
  std::int64_t failed = 0;  // attempts that failed before
  std::optional<Time> locked_at{};
  std::string locked_by{};
};

/// The alarms as numbers, for metrics: 0 or how many. Order of kAlarmNames.
inline constexpr std::string_view kAlarmNames[] = {
    "certificate_due",  "api_keys_due", "rehearsal_due", "key_old",       "hsm_away",
    "shares_on_server", "keyring_file", "keyring_row",   "key_file_left", "keyring_copy"};
using AlarmCounts = std::array<std::atomic<std::int64_t>, std::size(kAlarmNames)>;

/// Threads: any io_context thread; file work, Argon2id and the HSM run on the pool. One change at a
/// time. Lifetime: what it refers to outlives it.
class Unlocking {
 public:
  struct Deps {
    Context context;
    crypto::HeldKeys& held;
    Pool& pool;
    UnlockHost& host;
    UnlockPlaces places;
  };

  explicit Unlocking(Deps deps) : deps_(std::move(deps)) {}

  /// After the log is open and before serving: records a keyring generation that is new to the
  /// database, finishes or takes back a change that was cut off, and records who unlocked.
  /// Takes the latch off once that is recorded.
  /// `older_database`: it came out of a backup, so its row may be of an earlier root key.
  /// Errors: conflict (an older keyring), unavailable.
  Task<Result<void>> resume(std::optional<UnlockedBy> by, bool older_database = false);

  /// Errors: unavailable.
  Task<Result<KeysStatus>> status(Caller caller, KeysStatusRequest request);
  /// Latches, records, drops every key, waits until no request holds one, and answers. When a
  /// request does not let go within 10 s the process ends: it comes up locked.
  Task<Result<LockedNow>> lock(Caller caller, LockRequest request);
  /// An open server has nothing to unlock. Errors: conflict.
  Task<Result<UnlockProgress>> unlock(Caller caller, UnlockRequest request);
  /// A new root key with a new recovery set (and everyday set): shares and key files of before open
  /// nothing of this store any more, but what backups hold of before. Errors: invalid, forbidden
  /// (wrong passphrase), conflict (another change runs), unavailable.
  Task<Result<Reshared>> reshare(Caller caller, ReshareRequest request);
  /// Errors: invalid (which share is wrong, and why), recorded as a refusal.
  Task<Result<Rehearsed>> rehearse(Caller caller, RehearseRequest request);
  /// Another way to the same root key: written, read back and durable before the old one goes.
  Task<Result<Moved>> move(Caller caller, MoveRequest request);

  /// Each call looks at the keyring in the database and on the disk, and at the HSM; takes over a
  /// newer keyring, or stops serving with one that is older than the database's. Gives the alarms.
  Task<Result<std::vector<Alarm>>> look();
  /// See crypto::copy_keyring. One at a time; what is wrong is an alarm until it is mended.
  /// Blocking for as long as the place takes: for threads of their own.
  Result<crypto::Keyring> keep_copy(const crypto::Keyring& ring, const Secret& root);
  /// The same with the keys that are held. New keys come there before they are used; this is for a
  /// new root key, a first start, and a place that was away. False: to be tried again soon, since
  /// the keyring is being changed.
  bool follow_copy();
  const AlarmCounts& counts() const { return counts_; }
  bool hsm_away() const { return hsm_away_; }
  bool stale() const { return stale_; }

  static std::vector<http::Route> rows(Unlocking* unlocking);

 private:
  struct Ready {
    std::shared_ptr<const crypto::KeySet> keys;
    UnlockState state;
    Bytes mac;
    crypto::UnlockRecord record;
    Time now;
  };

  Task<Result<Ready>> stand(Caller caller);
  Task<Result<EventId>> write(Caller caller, const crypto::KeySet* keys, Bytes before,
                              UnlockState next, journal::Event event,
                              const Secret* next_root = nullptr);
  Task<Result<Ready>> intend(Caller caller, Ready at, PendingChange change,
                             const Secret* next_root = nullptr);
  Task<Error> take_back(Caller caller, Ready at, Error why);
  Task<Result<EventId>> settle_pending(Caller caller, Ready at);
  Task<Error> refused(Caller caller, std::string_view activity, Error why);
  Task<Result<Reshared>> reshare_once(Caller caller, ReshareRequest request);
  Task<Result<Moved>> move_once(Caller caller, MoveRequest request);
  Task<Result<void>> follow_keyring(std::int64_t generation);
  /// Without the one who calls holding keys: what it waits for may take a while.
  Task<std::vector<Alarm>> alarms(std::vector<crypto::KeyInfo> keys, UnlockState state, Time now);

  Deps deps_;
  std::atomic<bool> hsm_away_ = false, stale_ = false, file_differs_ = false, row_changed_ = false,
                    key_file_left_ = false;
  std::mutex copying_;             // one at a time
  std::mutex copy_mutex_;          // guards the next two
  std::string_view copy_trouble_;  // empty: none
  std::optional<MonoTime> copy_began_;
  void tell_copy(std::string_view trouble, std::optional<MonoTime> began = {});
  std::string_view copy_trouble();
  AlarmCounts counts_{};
};

}  // namespace holdfast::vault
