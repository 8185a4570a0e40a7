#include "access/service.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "access/declare.h"
#include "access/key_text.h"
#include "access/store.h"

namespace holdfast::access {
namespace {

constexpr Millis kTick{200};
constexpr auto kFlushEvery = std::chrono::minutes(1);
constexpr auto kFlushWait = std::chrono::seconds(10);
constexpr auto kStillWait = std::chrono::seconds(10);  // a stream's own deadline is hours away

/// One text for every reason, so that it tells a thief nothing and an owner where to look.
Error no_valid_key() {
  return {Code::unauthenticated,
          "no valid API key: it may be mistyped, expired, revoked, or bound to other networks"};
}

std::string_view end_of(const Principal& principal, Time now, std::string_view address) {
  if (principal.key.revoked) return "revoked";
  if (now >= principal.key.expires) return "expired";
  return principal.reachable_from(address) ? std::string_view() : "network";
}

std::string prefix_of(std::string_view address) {
  const auto parsed = parse_address(address);
  return parsed ? text_of(neighbourhood(*parsed)) : std::string();
}

}  // namespace

Task<Result<void>> Service::prepare() {
  co_return co_await prepare_scratch(deps_.journal.scratch());
}

Task<Result<Caller>> Service::authenticate(http::Credentials credentials) {
  if (!deps_.keys.get()) co_return Error(Code::locked, "the server is locked");
  auto snapshot = deps_.cache.here();
  if (!snapshot) {
    auto fresh = co_await deps_.cache.refresh(credentials.deadline);
    if (!fresh) co_return std::move(fresh).error();
    snapshot = std::move(*fresh);
  }

  // A known id or not, well-formed or not: one hash, one comparison.
  const auto text = bearer(credentials.authorization);
  const auto key = text ? parse_key_text(*text) : std::nullopt;
  const auto* principal = key ? snapshot->find_id(key->id) : nullptr;
  static constexpr crypto::Digest kNobody{};
  static const std::string kNoKey(kKeyTextChars - kChecksumChars, '0');
  const auto digest = digest_of(key ? key->hashed : std::string_view(kNoKey));
  const bool right = equal_constant_time(digest, principal ? principal->digest : kNobody);
  if (!right || principal == nullptr)
    co_return co_await turn_away(std::move(credentials), nullptr, "key");

  const auto now = deps_.clock.now();
  const auto end = end_of(*principal, now, credentials.address);
  if (!end.empty()) co_return co_await turn_away(std::move(credentials), principal, end);
  if (principal->last_use->due(now)) co_await note_use(snapshot, principal);
  co_return Caller{.principal = principal->key.key,
                   .request_id = std::move(credentials.request_id),
                   .address = std::move(credentials.address),
                   .user_agent = std::move(credentials.user_agent),
                   .generation = snapshot->generation,
                   .rights = principal->rights,
                   .deadline = credentials.deadline};
}

Task<Error> Service::turn_away(http::Credentials credentials, const Principal* known,
                               std::string_view reason) {
  const bool throttled =
      strangers_.refused(prefix_of(credentials.address), deps_.clock.now(), known != nullptr);
  if (known == nullptr) strange_.fetch_add(1, std::memory_order_relaxed);
  if (throttled) {
    throttled_.fetch_add(1, std::memory_order_relaxed);
    co_return Error(Code::exhausted, "too many bad keys from this address: wait a minute");
  }
  if (known == nullptr) co_return no_valid_key();
  auto recorded = co_await deps_.journal.commit(
      Caller{.principal = known->key.key,
             .request_id = std::move(credentials.request_id),
             .address = std::move(credentials.address),
             .user_agent = std::move(credentials.user_agent),
             .deadline = credentials.deadline},
      {},
      {.activity = "access.authenticate", .outcome = journal::Outcome::refused, .reason = reason});
  if (!recorded) co_return std::move(recorded).error();
  co_return no_valid_key();
}

Task<void> Service::note_use(std::shared_ptr<const Snapshot> snapshot, const Principal* principal) {
  // `snapshot` keeps `principal` alive.
  auto written =
      co_await write_last_use(deps_.journal.scratch(), principal->key.key, deps_.clock.now());
  if (!written) last_uses_lost_.fetch_add(1, std::memory_order_relaxed);
}

Task<Result<void>> Service::allow(const Caller& caller, std::string_view operation) {
  if (caller.rights && caller.rights->may(operation)) co_return Result<void>();
  co_return co_await refuse(caller, operation, "permission",
                            Error(Code::forbidden,
                                  "the roles of this key, as narrowed by its scopes, do not permit "
                                  "this operation"));
}

Task<Error> Service::refuse(Caller caller, std::string_view operation, std::string_view reason,
                            Error error) {
  caller.generation = 0;  // a refusal holds under any policy
  auto recorded = co_await deps_.journal.commit(
      caller, {}, {.activity = operation, .outcome = journal::Outcome::refused, .reason = reason});
  if (!recorded) co_return std::move(recorded).error();
  co_return error;
}

Result<Caller> Service::acting_for(Caller caller, std::string_view who) const {
  const auto kind = person_kind(who);
  if (kind.empty())
    return Error(Code::invalid, "a person is a kind and a name, such as staff:17")
        .at("on_behalf_of");
  if (!caller.rights || !caller.rights->acts_for(kind))
    return Error(Code::forbidden, "this key may not act for that kind of person")
        .at("on_behalf_of");
  caller.on_behalf_of = who;
  return caller;
}

Task<Result<Caller>> Service::renewed(Caller caller) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* principal = (*snapshot)->find(caller.principal);
  if (principal == nullptr || state_of(principal->key, deps_.clock.now()) != KeyState::live)
    co_return no_valid_key();
  caller.generation = (*snapshot)->generation;
  caller.rights = principal->rights;
  if (caller.on_behalf_of.empty()) co_return caller;
  const auto who = std::exchange(caller.on_behalf_of, {});
  co_return acting_for(std::move(caller), who);
}

Task<Result<void>> Service::still(Caller caller, std::string_view operation) {
  auto snapshot =
      co_await deps_.cache.current(std::min(caller.deadline, deps_.clock.mono() + kStillWait));
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* principal = (*snapshot)->find(caller.principal);
  if (principal == nullptr || !end_of(*principal, deps_.clock.now(), caller.address).empty())
    co_return no_valid_key();
  if (!principal->rights->may(operation))
    co_return Error(
        Code::forbidden,
        "the roles of this key, as narrowed by its scopes, do not permit this operation "
        "any more");
  co_return Result<void>();
}

Task<Result<void>> Service::flush(bool all) {
  auto counts = strangers_.take(deps_.clock.now(), all);
  while (!counts.empty()) {
    const auto& count = counts.back();
    auto recorded = co_await deps_.journal.commit(
        Caller{.deadline = deps_.clock.mono() + kFlushWait}, {},
        {.activity = "access.refused_unknown",
         .outcome = journal::Outcome::refused,
         .reason = "key",
         .facts = {{"count", count.refused}, {"minute_ms", to_ms(count.minute)}},
         .note = count.prefix});
    if (!recorded) {
      strangers_.put_back(std::move(counts));
      co_return std::move(recorded).error();
    }
    counts.pop_back();
  }
  co_return Result<void>();
}

Task<void> Service::run() {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  auto next = deps_.clock.mono() + kFlushEvery;
  while (!stopping_.load()) {
    timer.expires_after(kTick);
    co_await timer.async_wait(boost::asio::use_awaitable);
    if (deps_.clock.mono() < next) continue;
    next = deps_.clock.mono() + kFlushEvery;
    // What fails (database away, server locked) is kept and comes again with the next minute.
    (void)co_await flush(false);
    (void)co_await deps_.cache.inspect(deps_.clock.mono() + kFlushWait);
  }
  (void)co_await flush(true);
}

Counts Service::counts() const {
  return {.strangers = strange_,
          .throttled = throttled_,
          .tampered = deps_.cache.findings(),
          .last_uses_lost = last_uses_lost_};
}

}  // namespace holdfast::access
