// What should be seen to before it becomes an outage.
#include <algorithm>

#include "crypto/private_file.h"
#include "crypto/unlock/file.h"
#include "vault/keys/share_files.h"
#include "vault/keys/unlocking.h"
#include "vault/rotations.h"

namespace holdfast::vault {
namespace {

constexpr Millis kDay{86'400'000};
constexpr Millis kCertificateBefore = 21 * kDay, kApiKeysBefore = 14 * kDay;
constexpr std::size_t kLongestKeyring = 1 << 20;

}  // namespace

/// The database knows of another generation than the one in memory.
Task<Result<void>> Unlocking::follow_keyring(std::int64_t generation) {
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return Result<void>();  // looked at again when that change is done
  auto keys = deps_.context.keys.get();
  // Of this server's own rotation, which was quicker than the look.
  if (!keys || static_cast<std::int64_t>(keys->ring.generation()) >= generation)
    co_return Result<void>();
  auto newer = co_await deps_.pool.run([&] {
    return crypto::read_keyring(deps_.places.files.keyring, keys->root, keys->ring.store_id());
  });
  if (newer && static_cast<std::int64_t>(newer->generation()) >= generation) {
    auto open = co_await open_rotations(deps_.context.journal.reader(), MonoTime::max());
    if (!open) co_return std::move(open).error();
    auto plan = finding_plan(*newer, *open);
    deps_.held.replace(keys, std::make_shared<const crypto::KeySet>(
                                 std::move(*newer), keys->root.clone(), std::move(plan)));
    co_return Result<void>();
  }
  stale_ = true;
  keys.reset();
  deps_.held.set({});
  deps_.host.forget_keys();
  deps_.host.locked(true);
  co_return Error(Code::conflict,
                  "this server's keyring is older than the database's, so it has stopped serving: "
                  "put the newest keyring in place and restart");
}

Task<Result<std::vector<Alarm>>> Unlocking::look() {
  auto at = co_await stand({});
  if (!at) co_return std::move(at).error();
  auto generation = static_cast<std::int64_t>(at->keys->ring.generation());
  if (at->state.generation > generation) {
    at->keys.reset();
    if (auto done = co_await follow_keyring(at->state.generation); !done)
      co_return std::move(done).error();
    co_return std::vector<Alarm>();
  }
  if (at->state.generation < generation && !at->mac.empty() && !at->state.pending) {
    auto next = at->state;
    next.generation = generation;
    auto written =
        co_await write({}, at->keys.get(), at->mac, next, {.activity = "keys.generation"});
    if (!written && written.error().code != Code::conflict) co_return std::move(written).error();
  }
  // No key is held meanwhile: an HSM may take longer than a lock waits.
  const auto store = at->keys->ring.store_id();
  auto list = at->keys->ring.list();
  const auto root = at->keys->root.clone();
  at->keys.reset();
  auto seen = co_await deps_.pool.run([&]() -> Result<void> {
    const auto& files = deps_.places.files;
    auto bytes = crypto::read_private(files.keyring, kLongestKeyring);
    auto head = bytes ? crypto::keyring_head(bytes->expose())
                      : Result<crypto::KeyringHead>(Error(Code::not_found, "no keyring"));
    file_differs_ = !head || head->store_id != store ||
                    head->generation < static_cast<std::uint64_t>(generation);
    auto key_file = crypto::read_key_file(files.key_file);
    key_file_left_ =
        at->record.method != Method::file && key_file && key_file->root.matches(root.expose());
    if (at->record.method == Method::pkcs11) {
      auto hsm = crypto::Hsm::load(files.hsm);
      hsm_away_ = !hsm || !(*hsm)->find({.serial = at->record.token_serial,
                                         .key_label = at->record.token_key});
    } else {
      hsm_away_ = false;
    }
    return {};
  });
  if (!seen) co_return std::move(seen).error();
  co_return co_await alarms(std::move(list), std::move(at->state), at->now);
}

Task<std::vector<Alarm>> Unlocking::alarms(std::vector<crypto::KeyInfo> keys, UnlockState state,
                                           Time now) {
  const auto ending = co_await deps_.host.api_keys_ending(now + kApiKeysBefore);
  std::vector<Alarm> out;
  std::array<std::int64_t, std::size(kAlarmNames)> counts{};
  auto raise = [&](std::size_t which, std::int64_t count, std::string_view text,
                   std::optional<Time> due = {}) {
    counts[which] = count;
    if (count > 0) out.push_back({std::string(kAlarmNames[which]), std::string(text), due});
  };
  auto until = deps_.host.certificate_until();
  raise(0, until && *until - now < kCertificateBefore,
        "The server's certificate ends soon: put a new one in place and send SIGHUP.", until);
  raise(1, ending,
        "API keys end within 14 days: `holdfast api-keys list` names them, `api-keys rotate` "
        "replaces one.");
  std::optional<Time> due;
  for (const auto* set : {&state.recovery, &state.everyday})
    if (*set)
      if (auto last = (*set)->rehearsed ? (*set)->rehearsed : (*set)->made)
        due = std::min(due.value_or(Time::max()), *last + deps_.places.rehearse_every);
  raise(2, due && *due <= now,
        "Nobody has shown for long that the shares still unlock: `holdfast keys rehearse`.", due);
  std::optional<Time> oldest;
  std::int64_t old = 0;
  for (const auto& key : keys)
    if (key.active && now - key.created > deps_.places.oldest_key) {
      ++old;
      oldest = std::min(oldest.value_or(Time::max()), key.created + deps_.places.oldest_key);
    }
  raise(3, old, "Keys in use are older than they should be: `holdfast keys rotate`.", oldest);
  raise(4, hsm_away_,
        "The HSM does not answer. The server goes on with the keys that it holds; the next start "
        "will fail until the HSM is back.");
  raise(5, holds_shares(deps_.places.first_shares) || holds_shares(deps_.places.shares),
        "Shares lie on the server, where whoever has the disk finds them together: move each to "
        "its holder.");
  raise(6, file_differs_,
        "The keyring on the disk is missing or older than the one in memory: put the newest back "
        "before the next start.");
  raise(7, row_changed_,
        "The database's row about the keyring was changed by somebody else: run `holdfast journal "
        "check --state`.");
  raise(8, key_file_left_,
        "The old key file still lies in keys.file and opens the store, whatever the method is now: "
        "remove it.");
  for (std::size_t i = 0; i < counts.size(); ++i) counts_[i] = counts[i];
  co_return out;
}

}  // namespace holdfast::vault
