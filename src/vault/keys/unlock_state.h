// What the database remembers of the keyring: its generation, the unlock method and the share sets
// in force, and a change of these that is under way. One row, under a MAC of the root key, so that
// it still authenticates after every other key was rotated.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "crypto/key_set.h"
#include "crypto/unlock/root.h"
#include "db/changes.h"
#include "db/database.h"
#include "journal/event.h"
#include "journal/state_check.h"
#include "vault/keys/unlock_messages.h"

namespace holdfast::vault {

struct ReplacedSet {
  std::string set;
  Time at{};
  static std::span<const Member> described();
};

/// What a change wants to be so; written before the deed.
struct PendingChange {
  std::string what;  // move, reshare
  Method to = Method::file;
  std::optional<ShareSetView> recovery{};
  std::optional<ShareSetView> everyday{};
  std::string check;  // of the unlock file after it
  Time since{};
  static std::span<const Member> described();
};

/// SHA-256 of the unlock file, in hexadecimal: which of two is in force.
std::string check_of(const crypto::UnlockRecord& record);
/// How a set is shown that is made now.
std::optional<ShareSetView> made_now(const std::optional<crypto::ShareSet>& set, Time now);

struct UnlockState {
  std::int64_t version = 0;
  std::int64_t generation = 0;
  Method method = Method::file;
  std::optional<ShareSetView> recovery{};
  std::optional<ShareSetView> everyday{};
  std::vector<ReplacedSet> replaced{};  // the newest 20
  std::optional<PendingChange> pending{};
  static std::span<const Member> described();
};

struct ReadState {
  std::optional<UnlockState> state;  // absent: no row, or one that does not authenticate
  bool tampered = false;
  Bytes mac{};  // of the row as it was read: what a write replaces
};
/// Errors: unavailable, locked.
Task<Result<ReadState>> read_state(db::Reader& reader, const crypto::KeySet& keys,
                                   MonoTime deadline);

/// Adds the write of `next` over the row whose mac is `before` (empty: there is none, or one that
/// does not count), and gives the touch that the event must carry. `next_root` while the root key
/// changes. The commit fails with `conflict` when somebody wrote meanwhile.
journal::Touch write_state(db::Changes& changes, const crypto::KeySet& keys, const Bytes& before,
                           const UnlockState& next, const Secret* next_root = nullptr);

/// The row for `journal verify --state`. Errors: locked, unavailable.
class UnlockRows final : public journal::StateSource {
 public:
  UnlockRows(db::Reader& reader, const crypto::HeldKeys& keys) : reader_(reader), keys_(keys) {}
  Task<Result<void>> rows(Report report) override;
  Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet> keys, Report report) override;

 private:
  db::Reader& reader_;
  const crypto::HeldKeys& keys_;
};

/// Before anything is written with these keys: refuses a keyring that is older than the one that
/// the database knows. A database without the table is too young to know.
/// Errors: conflict (put the newest keyring back), unavailable.
Task<Result<void>> refuse_older_keyring(db::Reader& reader, const crypto::KeySet& keys);

std::span<const db::Sql* const> unlock_statements();

}  // namespace holdfast::vault
