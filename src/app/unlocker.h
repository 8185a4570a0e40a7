// A locked server: takes shares and passphrases until the keyring opens. One for the local socket
// and HTTPS together.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "app/unlock.h"
#include "base/clock.h"
#include "base/pool.h"

namespace holdfast::app {

/// Why the server is locked, as keys.status says it.
enum class LockReason { deliberate, needs_people, stale_keyring };

/// Threads: any io_context thread. What it is given in secret is wiped when it opened, when it is
/// replaced, and after an hour.
class Unlocker {
 public:
  struct Deps {
    crypto::RootFiles files;
    std::filesystem::path latch;
    const Clock& clock;
    Pool& pool;
    LockReason reason = LockReason::needs_people;
  };
  enum class Over { socket, https };

  explicit Unlocker(Deps deps);

  /// One share, or the passphrase, or (methods file and pkcs11, over the socket only) neither.
  /// On success take() has the keys. The latch stays until the unlocking is recorded.
  ///
  /// Over HTTPS: at most 10 attempts a minute from one address (`client`) and 30 in all. From
  /// anywhere: one attempt at a time; after 5 wrong passphrases over one of the two each further
  /// one over it waits, up to 5 minutes. What is told of a share is what the share itself, the
  /// set's public commitment and the other shares tell. Errors: invalid, forbidden (wrong
  /// passphrase; this method is not unlocked from afar), exhausted, conflict (unlocked already),
  /// and those of crypto::open_store.
  Task<Result<vault::UnlockProgress>> attempt(Over over, std::string client,
                                              vault::UnlockRequest request);
  vault::KeysStatus status() const;

  /// What was opened and by whom, once. Any thread.
  struct Opened {
    crypto::OpenedStore store;
    vault::UnlockedBy by;
  };
  std::optional<Opened> take();
  /// Called when take() has something; must not block.
  void when_open(std::function<void()> tell) { tell_ = std::move(tell); }

  /// Wipes shares that nobody followed up for an hour. To be called now and then, from any thread.
  void forget_late_shares();

  std::int64_t failed() const { return failed_; }

 private:
  Result<void> admit(Over over, const std::string& client);
  Result<vault::UnlockProgress> give_share(Over over, crypto::Share share, bool restart);
  Result<vault::UnlockProgress> give_passphrase(Over over, const Secret& typed);
  Result<vault::UnlockProgress> open(Over over, const crypto::Means& means);
  Result<vault::UnlockProgress> work(Over over, vault::UnlockRequest& request);
  vault::UnlockProgress progress() const;
  void forget_wrong(const Error& why);

  Deps deps_;
  std::optional<Latch> latch_;
  std::function<void()> tell_;
  std::atomic<bool> busy_ = false;
  std::atomic<std::int64_t> failed_ = 0;

  mutable std::mutex mutex_;  // for what follows
  std::map<std::uint8_t, crypto::Share> shares_;
  MonoTime last_share_{};
  std::map<std::string, int> tries_;  // by client, this minute
  int all_tries_ = 0;
  MonoTime minute_{};
  struct Pace {
    int wrong = 0;
    MonoTime not_before{};
  };
  std::map<Over, Pace> passphrases_;  // a stranger's guesses do not keep the owner out
  std::optional<Opened> opened_;
  bool done_ = false;
};

}  // namespace holdfast::app
