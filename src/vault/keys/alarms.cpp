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
constexpr Millis kCertificateBefore = 21 * kDay, kAuthorityBefore = 60 * kDay,
                 kApiKeysBefore = 14 * kDay;
constexpr Millis kOldKeyBefore = 30 * kDay;  // or the last quarter of a shorter age
constexpr std::size_t kLongestKeyring = 1 << 20, kLongestPath = 4096;
constexpr Millis kCopyPatience{10'000};
constexpr std::string_view kOtherKeys =
    "The copy of the keyring in the folder of backup.keys holds another key than the one in use: "
    "move it away, and it is made anew.";

struct Due {
  std::string_view text;
  Time at;
};

constexpr std::string_view kNotYet =
    "The server's certificate is not valid yet: if this machine's clock is right, send SIGHUP to "
    "have it made anew; where it is your own, put another in its place first.";
constexpr std::string_view kAuthorityNotYet =
    "The local CA (ca.pem) is not valid yet: if this machine's clock is right, move ca.pem away, "
    "but not ca.key, send SIGHUP, and give the clients the new ca.pem.";
constexpr std::string_view kEnds =
    "The server's certificate ends soon: send SIGHUP to have it made anew; where it is your own, "
    "put another in its place first.";
constexpr std::string_view kAuthorityEnds =
    "The local CA (ca.pem) ends soon: if this machine's clock is right, move ca.pem away, but not "
    "ca.key, send SIGHUP, and give the clients the new ca.pem before the old one ends.";

std::optional<Due> certificate_due(const CertificateDates& dates, Time now) {
  const auto authority = dates.authority_until.value_or(Time::max());
  if (dates.authority_from && *dates.authority_from > now)
    return Due{kAuthorityNotYet, *dates.authority_from};
  if (dates.from > now) return Due{kNotYet, dates.from};
  if (dates.until < authority && dates.until - now < kCertificateBefore)
    return Due{kEnds, dates.until};
  if (authority - now < kAuthorityBefore) return Due{kAuthorityEnds, authority};
  return std::nullopt;
}

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

void Unlocking::tell_copy(std::string_view trouble, std::optional<MonoTime> began) {
  std::scoped_lock lock(copy_mutex_);
  if (!began) copy_trouble_ = trouble;
  copy_began_ = began;
}

std::string_view Unlocking::copy_trouble() {
  std::scoped_lock lock(copy_mutex_);
  if (copy_began_ && deps_.context.clock.mono() - *copy_began_ > kCopyPatience)
    return "The folder of backup.keys does not answer. No new key is used before the copy of the "
           "keyring lies there: see to the disk or the mount.";
  return copy_trouble_;
}

Result<crypto::Keyring> Unlocking::keep_copy(const crypto::Keyring& ring, const Secret& root) {
  std::scoped_lock turn(copying_);
  tell_copy({}, deps_.context.clock.mono());
  const auto& places = deps_.places;
  const auto place = as_bytes(places.keyring_copy.native());
  const auto before = crypto::read_private(places.copied, kLongestPath);
  const bool known = before && std::ranges::equal(before->expose(), place);
  auto copied = crypto::copy_keyring(places.keyring_copy, ring, root, known);
  // Where this cannot be written the next copy is taken for a first one: no worse than before.
  if (copied && !known) (void)crypto::replace_private(places.copied, place);
  tell_copy(copied ? std::string_view() : copied.error().text);
  return copied;
}

bool Unlocking::follow_copy() {
  const auto keys = deps_.context.keys.get();
  if (!keys || keys->root.empty()) return true;
  auto copied = keep_copy(keys->ring, keys->root);
  if (copied && keys->ring.holds_all_of(*copied)) return true;
  // A rotation that was cut off takes its key up from there; while it has not, both may differ.
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn || deps_.context.keys.get() != keys) {
    tell_copy({});
    return false;
  }
  if (copied) tell_copy(kOtherKeys);
  return true;
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
    key_file_left_ = false;
    if (at->record.method != Method::file)
      if (auto left = crypto::read_key_file(files.key_file))
        key_file_left_ = left->root.matches(root.expose());
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
  const auto ending = co_await deps_.host.api_keys_ending(kApiKeysBefore);
  std::vector<Alarm> out;
  std::array<std::int64_t, std::size(kAlarmNames)> counts{};
  auto raise = [&](std::size_t which, std::int64_t count, std::string_view text,
                   std::optional<Time> due = {}) {
    counts[which] = count;
    if (count > 0) out.push_back({std::string(kAlarmNames[which]), std::string(text), due});
  };
  if (const auto dates = deps_.host.certificate())
    if (const auto what = certificate_due(*dates, now)) raise(0, 1, what->text, what->at);
  raise(1, ending,
        "API keys end soon: `holdfast api-keys list` names them, `api-keys rotate` "
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
  const auto age = deps_.places.oldest_key;
  for (const auto& key : keys) {
    if (!key.active || key.use == crypto::KeyUse::pseudonym) continue;  // that one stays
    // Epochs roll by themselves, where they do, long before.
    const auto early =
        key.use == crypto::KeyUse::epoch ? Millis(0) : std::min(kOldKeyBefore, age / 4);
    if (now - key.created <= age - early) continue;
    ++old;
    oldest = std::min(oldest.value_or(Time::max()), key.created + age);
  }
  raise(
      3, old,
      "Keys in use are, or soon will be, older than keys.oldest_days: `holdfast keys rotate` each "
      "kind whose `created` in `keys status` is that long ago.",
      oldest);
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
        "verify --state`.");
  raise(8, key_file_left_,
        "The old key file still lies in keys.file and opens the store, whatever the method is now: "
        "remove it.");
  const auto trouble = copy_trouble();
  raise(9, trouble.empty() ? 0 : 1, trouble);
  for (std::size_t i = 0; i < counts.size(); ++i) counts_[i] = counts[i];
  co_return out;
}

}  // namespace holdfast::vault
