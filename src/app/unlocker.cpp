#include "app/unlocker.h"

#include <algorithm>

#include "crypto/private_file.h"
#include "vault/keys/share_files.h"

namespace holdfast::app {
namespace {

using crypto::Method;
using vault::UnlockProgress;

constexpr int kTriesPerClient = 10, kTriesInAll = 30, kFreePassphrases = 5;
constexpr std::size_t kMostClients = 10'000;
constexpr auto kMinute = std::chrono::minutes(1);
constexpr auto kKeepShares = std::chrono::hours(1);
constexpr auto kLongestWait = std::chrono::seconds(300);

std::string_view reason_name(LockReason reason) {
  switch (reason) {
    case LockReason::deliberate:
      return "deliberate";
    case LockReason::needs_people:
      return "needs_people";
    case LockReason::stale_keyring:
      return "stale_keyring";
  }
  return "needs_people";
}

std::string_view way_out(LockReason reason) {
  if (reason == LockReason::stale_keyring)
    return " Now it is locked, since the database knows a later keyring: put the newest in place "
           "and restart it.";
  return " Now it is locked: `holdfast unlock --dir DIR` on the server opens it.";
}

}  // namespace

Unlocker::Unlocker(Deps deps) : deps_(std::move(deps)), latch_(read_latch(deps_.latch)) {}

UnlockProgress Unlocker::progress() const {
  UnlockProgress out;
  for (const auto& [number, share] : shares_) {
    out.shares_given.push_back(number);
    out.missing = share.needed;
  }
  out.missing =
      std::max<std::int64_t>(0, out.missing - static_cast<std::int64_t>(out.shares_given.size()));
  return out;
}

vault::KeysStatus Unlocker::status() const {
  vault::KeysStatus out{.locked = true, .reason = std::string(reason_name(deps_.reason))};
  if (latch_) {
    out.locked_at = latch_->at;
    if (!latch_->by.empty()) out.locked_by = latch_->by;
  }
  if (auto record = crypto::current_record(deps_.files)) {
    out.method = record->method;
    if (record->everyday) out.everyday = vault::view_of(*record->everyday);
    if (record->recovery) out.recovery = vault::view_of(*record->recovery);
  }
  out.protects = vault::protection_of(out.method);
  std::scoped_lock lock(mutex_);
  out.locked = !done_;
  if (out.locked) out.protects += way_out(deps_.reason);
  out.shares_given = progress().shares_given;
  return out;
}

void Unlocker::forget_late_shares() {
  std::scoped_lock lock(mutex_);
  if (deps_.clock.mono() - last_share_ > kKeepShares) shares_.clear();
}

/// Counts before anything is looked at, so that a wrong attempt costs what a right one does.
Result<void> Unlocker::admit(Over over, const std::string& client) {
  std::scoped_lock lock(mutex_);
  if (done_) return Error(Code::conflict, "the keys are open already: the server is starting");
  auto now = deps_.clock.mono();
  if (over == Over::socket) return {};
  if (now - minute_ >= kMinute) {
    minute_ = now;
    tries_.clear();
    all_tries_ = 0;
  }
  Error slow(Code::exhausted,
             "too many attempts to unlock: wait a minute, or unlock on the server");
  if (all_tries_ >= kTriesInAll || (tries_.size() >= kMostClients && !tries_.contains(client)))
    return slow;
  if (++tries_[client] > kTriesPerClient) return slow;
  ++all_tries_;
  return {};
}

void Unlocker::forget_wrong(const Error& why) {
  auto drop = [this](const FieldPath& field) {
    for (auto at = shares_.begin(); at != shares_.end();)
      at = field == FieldPath("share")[at->first] ? shares_.erase(at) : std::next(at);
  };
  drop(why.field);
  for (const auto& other : why.also) drop(other.field);
  // All of the set are here and it cannot be told which are wrong: only new ones help.
  if (!shares_.empty() && shares_.size() == shares_.begin()->second.total) shares_.clear();
}

Result<UnlockProgress> Unlocker::open(Over over, const crypto::Means& means) {
  auto opened = crypto::open_store(deps_.files, means);
  if (!opened) {
    ++failed_;
    return std::move(opened).error();
  }
  std::scoped_lock lock(mutex_);
  vault::UnlockedBy by{.over = over == Over::socket ? "socket" : "https", .failed = failed_};
  for (const auto& share : means.shares) by.shares.push_back(share.number);
  if (latch_) {
    by.locked_at = latch_->at;
    by.locked_by = latch_->by;
  }
  auto given = by.shares;
  opened_.emplace(Opened{std::move(*opened), std::move(by)});
  done_ = true;
  shares_.clear();
  return UnlockProgress{.locked = false, .shares_given = std::move(given)};
}

Result<UnlockProgress> Unlocker::give_share(Over over, crypto::Share share, bool restart) {
  auto sets = crypto::known_sets(deps_.files);
  if (!sets) return std::move(sets).error();
  auto record = crypto::current_record(deps_.files);
  if (!record) return std::move(record).error();
  auto named = FieldPath("share")[share.number];
  if (share.store_id != record->store_id)
    return Error(Code::invalid, "this share is of another store").at(named);
  if (!sets->empty() && std::ranges::find(*sets, crypto::set_of(share)) == sets->end())
    return Error(Code::invalid, crypto::kOtherSet).at(named);

  crypto::Means means;
  {
    std::scoped_lock lock(mutex_);
    auto now = deps_.clock.mono();
    if (restart || now - last_share_ > kKeepShares) shares_.clear();
    last_share_ = now;
    if (!shares_.empty() && crypto::set_of(shares_.begin()->second) != crypto::set_of(share))
      return Error(Code::invalid,
                   "shares of another set were given before this one: sets do not mix; give it "
                   "with `--restart` (over HTTPS `\"restart\": true`) to begin anew")
          .at(named);
    auto [at, fresh] = shares_.try_emplace(share.number, vault::copy_of(share));
    if (!fresh && !at->second.y.matches(share.y.expose()))
      return Error(Code::conflict,
                   "another share with this number was given before: one of them is wrong; give "
                   "yours with `--restart` (over HTTPS `\"restart\": true`) to begin anew")
          .at(named);
    if (shares_.size() < share.needed) return progress();
    for (const auto& [number, one] : shares_) means.shares.push_back(vault::copy_of(one));
  }
  auto opened = open(over, means);
  if (!opened) {
    std::scoped_lock lock(mutex_);
    forget_wrong(opened.error());
  }
  return opened;
}

Result<UnlockProgress> Unlocker::give_passphrase(Over over, const Secret& typed) {
  auto record = crypto::current_record(deps_.files);
  if (!record) return std::move(record).error();
  if (record->method != Method::passphrase)
    return Error(Code::invalid, "this store does not open with a passphrase").at("passphrase");
  {
    std::scoped_lock lock(mutex_);
    if (deps_.clock.mono() < passphrases_[over].not_before)
      return Error(Code::exhausted,
                   "too many wrong passphrases: wait up to five minutes before the next");
  }
  crypto::Means means;
  // One that is too short was never set; it is answered as a wrong one, at no cost.
  auto passphrase = crypto::passphrase_from(typed.expose_text());
  auto out = Result<UnlockProgress>(
      Error(Code::forbidden,
            "the passphrase is wrong, or the unlock file was changed: try again, or unlock with "
            "recovery shares"));
  if (passphrase) {
    means.passphrase = std::move(*passphrase);
    out = open(over, means);
  } else {
    ++failed_;
  }
  if (!out && out.error().code == Code::forbidden) {
    std::scoped_lock lock(mutex_);
    auto& pace = passphrases_[over];
    if (++pace.wrong >= kFreePassphrases) {
      auto step = std::min(pace.wrong - kFreePassphrases, 9);
      pace.not_before = deps_.clock.mono() +
                        std::min<MonoTime::duration>(kLongestWait, std::chrono::seconds(1 << step));
    }
    return std::move(out).error().at("passphrase");
  }
  return out;
}

Result<UnlockProgress> Unlocker::work(Over over, vault::UnlockRequest& request) {
  if (request.share && request.passphrase)
    return Error(Code::invalid, "give a share or the passphrase, not both");
  if (request.share) {
    auto share = crypto::parse_share(request.share->expose_text());
    if (!share) return std::move(share).error();
    return give_share(over, std::move(*share), request.restart);
  }
  if (request.passphrase) return give_passphrase(over, *request.passphrase);
  auto record = crypto::current_record(deps_.files);
  if (!record) return std::move(record).error();
  if (crypto::needs_people(record->method)) return open(over, {});
  if (over == Over::https)
    return Error(Code::forbidden,
                 "this store's key lies on the server, so only somebody on it may unlock: "
                 "`holdfast unlock --dir DIR` there");
  return open(over, {});
}

Task<Result<UnlockProgress>> Unlocker::attempt(Over over, std::string client,
                                               vault::UnlockRequest request) {
  if (auto admitted = admit(over, client); !admitted) co_return std::move(admitted).error();
  if (busy_.exchange(true))
    co_return Error(Code::exhausted, "another attempt is being tried: repeat in a second");
  struct Busy {
    std::atomic<bool>& on;
    ~Busy() { on = false; }
  } busy{busy_};
  auto out = co_await deps_.pool.run([&] { return work(over, request); });
  if (out && !out->locked && tell_) tell_();
  co_return out;
}

std::optional<Unlocker::Opened> Unlocker::take() {
  std::scoped_lock lock(mutex_);
  return std::exchange(opened_, std::nullopt);
}

}  // namespace holdfast::app
