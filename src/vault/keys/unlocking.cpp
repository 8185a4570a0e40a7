#include "vault/keys/unlocking.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "crypto/private_file.h"
#include "crypto/unlock/file.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kKeptReplaced = 20;
constexpr Millis kLetGo{10'000};
constexpr Millis kLetGoStep{5};
constexpr auto kRecordPatience = std::chrono::seconds(3);

Error locked() {
  return Error(Code::locked, "the server is locked");
}

void replace(UnlockState& state, const std::optional<ShareSetView>& old, Time now) {
  if (!old) return;
  state.replaced.push_back({old->set, now});
  if (state.replaced.size() > kKeptReplaced) state.replaced.erase(state.replaced.begin());
}

std::string latch_text(Time now, const std::string& principal) {
  return "Holdfast is locked on purpose\nat: " + rfc3339(now) + "\nby: " + principal + "\n";
}

}  // namespace

// ── reading and writing the row

Task<Result<Unlocking::Ready>> Unlocking::stand(Caller caller) {
  auto keys = deps_.context.keys.get();
  if (!keys) co_return locked();
  auto read = co_await read_state(deps_.context.journal.reader(), *keys, caller.deadline);
  if (!read) co_return std::move(read).error();
  auto record =
      co_await deps_.pool.run([this] { return crypto::current_record(deps_.places.files); });
  if (!record) co_return std::move(record).error();
  Ready out{
      std::move(keys), {}, std::move(read->mac), std::move(*record), deps_.context.clock.now()};
  if (read->tampered) row_changed_ = true;
  if (read->state) {
    out.state = std::move(*read->state);
  } else {
    out.mac.clear();
    out.state.generation = static_cast<std::int64_t>(out.keys->ring.generation());
    out.state.method = out.record.method;
    out.state.recovery = made_now(out.record.recovery, out.now);
    out.state.everyday = made_now(out.record.everyday, out.now);
  }
  co_return out;
}

Task<Result<EventId>> Unlocking::write(Caller caller, const crypto::KeySet* keys, Bytes before,
                                       UnlockState next, journal::Event event,
                                       const Secret* next_root) {
  next.version += 1;
  db::Changes changes;
  event.touches.push_back(write_state(changes, *keys, before, next, next_root));
  event.facts.emplace_back("generation", next.generation);
  std::ranges::sort(event.facts, {}, [](const auto& fact) { return fact.first; });
  auto done = co_await deps_.context.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return done->receipt.event;
}

Task<Error> Unlocking::refused(Caller caller, std::string_view activity, Error why) {
  auto done = co_await deps_.context.journal.commit(
      caller, {},
      {.activity = activity, .outcome = journal::Outcome::refused, .reason = code_name(why.code)});
  if (!done) co_return std::move(done).error();
  co_return why;
}

// ── a change: intended, done, recorded

Task<Result<Unlocking::Ready>> Unlocking::intend(Caller caller, Ready at, PendingChange change,
                                                 const Secret* next_root) {
  change.since = at.now;
  auto activity = change.what == "move" ? std::string_view("keys.move") : "keys.reshare";
  journal::Event event{.activity = activity,
                       .facts = {{"from", std::string(crypto::method_name(at.record.method))},
                                 {"phase", std::string("intended")},
                                 {"to", std::string(crypto::method_name(change.to))}}};
  at.state.pending = std::move(change);
  auto written =
      co_await write(caller, at.keys.get(), at.mac, at.state, std::move(event), next_root);
  if (!written) co_return std::move(written).error();
  auto read = co_await read_state(deps_.context.journal.reader(), *at.keys, caller.deadline);
  if (!read) co_return std::move(read).error();
  if (!read->state) co_return Error(Code::corrupt, "the keyring's row was changed meanwhile");
  at.state = std::move(*read->state);
  at.mac = std::move(read->mac);
  co_return at;
}

/// Nothing took effect: clears what was staged, and records that.
Task<Error> Unlocking::take_back(Caller caller, Ready at, Error why) {
  auto cleared = co_await deps_.pool.run([this]() -> Result<void> {
    crypto::drop_staged(deps_.places.files);
    return {};
  });
  auto settled = co_await settle_pending(caller, std::move(at));
  if (!cleared || !settled) co_return why;  // the next start finishes it
  co_return why;
}

/// By the unlock file that is in force it is seen whether the change took effect.
Task<Result<EventId>> Unlocking::settle_pending(Caller caller, Ready at) {
  auto pending = *at.state.pending;
  auto record =
      co_await deps_.pool.run([this] { return crypto::current_record(deps_.places.files); });
  if (!record) co_return std::move(record).error();
  auto keys = deps_.context.keys.get();
  if (!keys) co_return locked();
  bool took_effect = check_of(*record) == pending.check;
  auto activity = pending.what == "move" ? std::string_view("keys.move") : "keys.reshare";
  journal::Event event{
      .activity = activity,
      .outcome = took_effect ? journal::Outcome::success : journal::Outcome::failed,
      .reason = took_effect ? std::string_view() : "interrupted",
      .facts = {{"from", std::string(crypto::method_name(at.state.method))},
                {"phase", std::string(took_effect ? "done" : "taken_back")},
                {"to", std::string(crypto::method_name(pending.to))}}};
  if (took_effect) {
    auto now = deps_.context.clock.now();
    if (pending.recovery) {
      replace(at.state, at.state.recovery, now);
      event.facts.emplace_back("recovery_set", pending.recovery->set);
      if (at.state.recovery) event.facts.emplace_back("replaced_set", at.state.recovery->set);
      at.state.recovery = pending.recovery;
    }
    if (at.state.everyday && (pending.everyday || pending.to != Method::shamir))
      replace(at.state, at.state.everyday, now);
    if (pending.everyday || pending.to != Method::shamir) at.state.everyday = pending.everyday;
    if (pending.everyday) event.facts.emplace_back("everyday_set", pending.everyday->set);
    if (at.state.method == Method::file && pending.to != Method::file) {
      auto gone = co_await deps_.pool.run(
          [this, &keys] { return crypto::remove_key_file(deps_.places.files, keys->root); });
      event.facts.emplace_back("key_file_removed", std::int64_t{gone.has_value()});
    }
    at.state.method = pending.to;
  } else if (pending.to == Method::file && record->method != Method::file) {
    // The key file was written already, and nobody asked for one any more.
    auto gone = co_await deps_.pool.run(
        [this, &keys] { return crypto::remove_key_file(deps_.places.files, keys->root); });
    event.facts.emplace_back("key_file_removed", std::int64_t{gone.has_value()});
  }
  at.state.generation =
      std::max(at.state.generation, static_cast<std::int64_t>(keys->ring.generation()));
  at.state.pending.reset();
  co_return co_await write(caller, keys.get(), at.mac, at.state, std::move(event));
}

Task<Result<void>> Unlocking::resume(std::optional<UnlockedBy> by, bool older_database) {
  auto at = co_await stand({});
  if (!at) co_return std::move(at).error();
  if (older_database) row_changed_ = false;
  auto generation = static_cast<std::int64_t>(at->keys->ring.generation());
  if (at->state.generation > generation)
    co_return Error(Code::conflict,
                    "this keyring is older than the one that the database was last used with: put "
                    "the newest back");
  if (at->state.pending) {
    auto settled = co_await settle_pending({}, std::move(*at));
    if (!settled) co_return std::move(settled).error();
    at = co_await stand({});
    if (!at) co_return std::move(at).error();
  }
  if (at->mac.empty() || at->state.generation < generation ||
      at->state.method != at->record.method) {
    journal::Event event{
        .activity = "keys.generation",
        .outcome = row_changed_ ? journal::Outcome::failed : journal::Outcome::success,
        .reason = row_changed_ ? std::string_view("row_changed") : std::string_view(),
        .facts = {{"method", std::string(crypto::method_name(at->record.method))}}};
    at->state.generation = generation;
    at->state.method = at->record.method;
    auto written = co_await write({}, at->keys.get(), at->mac, at->state, std::move(event));
    if (!written) co_return std::move(written).error();
  }
  if (by) {
    std::string numbers;
    for (auto number : by->shares)
      (numbers += numbers.empty() ? "" : ",") += std::to_string(number);
    journal::Event event{.activity = "keys.unlock",
                         .facts = {{"failed_attempts", by->failed},
                                   {"method", std::string(crypto::method_name(at->record.method))},
                                   {"over", by->over}}};
    if (!numbers.empty()) event.facts.emplace_back("shares", numbers);
    if (by->locked_at) event.facts.emplace_back("locked_at", rfc3339(*by->locked_at));
    if (!by->locked_by.empty()) event.facts.emplace_back("locked_by", by->locked_by);
    std::ranges::sort(event.facts, {}, [](const auto& fact) { return fact.first; });
    auto done = co_await deps_.context.journal.commit(Caller{}, {}, std::move(event));
    if (!done) co_return std::move(done).error();
    // Only now: a crash before leaves the store locked, one after is recorded.
    auto off = co_await deps_.pool.run([this]() -> Result<bool> {
      return crypto::remove_private(deps_.places.latch).has_value();
    });
    if (!off.value_or(false))
      co_return Error(
          Code::unavailable,
          "the latch (DIR/locked) cannot be removed: look for the rights on the store's "
          "folder");
  }
  co_return Result<void>();
}

// ── the verbs

Task<Result<KeysStatus>> Unlocking::status(Caller caller, KeysStatusRequest) {
  auto at = co_await stand(caller);
  if (!at) co_return std::move(at).error();
  KeysStatus out{.method = at->record.method,
                 .protects = std::string(protection_of(at->record.method)),
                 .everyday = at->state.everyday,
                 .recovery = at->state.recovery,
                 .generation = static_cast<std::int64_t>(at->keys->ring.generation())};
  auto list = at->keys->ring.list();
  at->keys.reset();
  for (const auto& key : list)
    out.keys.push_back({std::string(crypto::use_name(key.use)), key.id, key.created, key.active});
  out.alarms = co_await alarms(std::move(list), std::move(at->state), at->now);
  co_return out;
}

Task<Result<LockedNow>> Unlocking::lock(Caller caller, LockRequest request) {
  auto now = deps_.context.clock.now();
  if (!deps_.context.keys.get()) co_return locked();
  LockedNow out{.at = now};
  // The latch comes first: what is locked must stay so, whatever happens from here on.
  auto latched = co_await deps_.pool.run([this, now, &caller]() -> Result<void> {
    if (crypto::replace_private(deps_.places.latch, as_bytes(latch_text(now, caller.principal))))
      return {};
    return Error(Code::unavailable, "the latch cannot be written");
  });
  out.latched = latched.has_value();

  // A journal that is away does not keep the server open; the latch says who and when.
  auto as = caller;
  as.deadline = std::min(as.deadline, deps_.context.clock.mono() + kRecordPatience);
  journal::Event event{.activity = "keys.lock",
                       .facts = {{"latched", std::int64_t{out.latched}}},
                       .note = std::move(request.reason)};
  auto recorded = co_await deps_.context.journal.commit(as, {}, std::move(event));
  out.recorded = recorded.has_value();

  deps_.held.set({});
  deps_.host.forget_keys();
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  for (auto until = MonoTime::clock::now() + kLetGo; !deps_.held.let_go();) {
    if (MonoTime::clock::now() > until) deps_.host.abandon();
    pause.expires_after(kLetGoStep);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  deps_.host.forget_keys();  // what requests that were under way put there
  deps_.host.locked(false);
  co_return out;
}

Task<Result<UnlockProgress>> Unlocking::unlock(Caller, UnlockRequest) {
  co_return Error(Code::conflict, "the server is not locked");
}

std::vector<http::Route> Unlocking::rows(Unlocking* unlocking) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Unlocking::status>(
      unlocking, "keys.status", "GET", "/v1/keys",
      "How the store is unlocked, its keys, and what should be seen to"));
  out.push_back(http::route<&Unlocking::lock>(
      unlocking, "keys.lock", "POST", "/v1/keys/lock",
      "Drop every key from memory now; a restart stays locked",
      {.examples = {{"In an emergency", R"({"reason":"laptop with a key stolen, ticket 91"})"}}}));
  out.push_back(http::route<&Unlocking::unlock>(unlocking, "keys.unlock", "POST", "/v1/keys/unlock",
                                                "Give a locked server a share or the passphrase",
                                                {.example_options = "--share @FILE"}));
  out.push_back(http::route<&Unlocking::reshare>(
      unlocking, "keys.reshare", "POST", "/v1/keys/reshare",
      "A new root key and new shares; those of before are void: make a backup right after",
      {.examples = {{"When a holder leaves", R"({"needed":2,"total":3})"}}}));
  out.push_back(http::route<&Unlocking::rehearse>(
      unlocking, "keys.rehearse", "POST", "/v1/keys/rehearse",
      "Prove that shares still unlock this store",
      {.example_options = "--shares @SHARE-1 --shares @SHARE-2"}));
  out.push_back(http::route<&Unlocking::move>(
      unlocking, "keys.move", "POST", "/v1/keys/move",
      "Move to another way to unlock: file, passphrase, shamir or pkcs11",
      {.examples = {{"To shares", R"({"to":"shamir","needed":2,"total":3})"}}}));
  return out;
}

}  // namespace holdfast::vault
