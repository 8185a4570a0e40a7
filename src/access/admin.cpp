#include "access/admin.h"

#include <algorithm>
#include <charconv>

#include "access/declare.h"
#include "access/key_text.h"
#include "access/store.h"

namespace holdfast::access {
namespace {

constexpr auto kIdempotencyLife = std::chrono::hours(24);
/// Dead keys are kept for the journal's readers, then dropped when others are made.
constexpr auto kDeadKeyLife = std::chrono::days(400);
constexpr int kDropAtOnce = 100;

/// If-Match of a row with this version: absent (empty) and `*` fit always.
Result<void> match(std::string_view if_match, std::int64_t version) {
  if (if_match.empty() || if_match == "*") return {};
  std::int64_t wanted = 0;
  const auto [end, error] = std::from_chars(if_match.begin(), if_match.end(), wanted);
  if (error != std::errc() || end != if_match.end())
    return Error(Code::invalid, "not a version of an ETag").at("if_match");
  if (wanted != version)
    return Error(Code::conflict, "it was changed meanwhile: read it again").at("if_match");
  return {};
}

std::string joined(std::span<const std::string> names) {
  std::string out;
  for (const auto& name : names) (out += out.empty() ? "" : ",") += name;
  return out;
}

/// What a repeated request is known by; empty without an idempotency key.
std::string fingerprint(const crypto::KeySet& keys, std::string_view operation,
                        std::string_view principal, std::string_view idempotency_key) {
  if (idempotency_key.empty()) return {};
  Bytes parts;
  put_part(parts, operation);
  put_part(parts, principal);
  put_part(parts, idempotency_key);
  const crypto::Hmac hmac(keys.ring.active(crypto::KeyUse::idempotency).expose());
  return hex(hmac.mac(parts));
}

Result<void> not_seen(const Snapshot& snapshot, std::string_view request, Time now) {
  if (request.empty()) return {};
  for (const auto& [id, principal] : snapshot.keys)
    if (principal.request == request && now - principal.key.created < kIdempotencyLife)
      return Error(Code::conflict,
                   "this Idempotency-Key has made a key, whose secret is shown once: revoke that "
                   "one if it was lost, and ask again under a new Idempotency-Key")
          .at(FieldPath::made_id(principal.key.key));
  return {};
}

Result<void> roles_exist(const Snapshot& snapshot, const ApiKey& key) {
  for (std::size_t i = 0; i < key.roles.size(); ++i)
    if (snapshot.role(key.roles[i]) == nullptr)
      return Error(Code::not_found, "there is no such role").at(FieldPath("roles")[i]);
  return {};
}

/// Drops keys that ended long ago.
void prune(Edit& edit, const Snapshot& snapshot, Time now) {
  int left = kDropAtOnce;
  for (const auto& [id, principal] : snapshot.keys) {
    const auto ended = std::min(principal.key.revoked.value_or(Time::max()), principal.key.expires);
    if (now - ended < kDeadKeyLife) continue;
    edit.remove(kKeys, principal.key.key);
    if (--left == 0) return;
  }
}

/// Whether something of the role is not in the next one, word by word.
bool narrows(const Role& before, const Role& next) {
  auto all_in = [](const auto& these, const auto& those) {
    return std::ranges::all_of(
        these, [&those](const auto& one) { return std::ranges::find(those, one) != those.end(); });
  };
  return !all_in(before.permissions, next.permissions) || !all_in(before.grants, next.grants);
}

/// A line of the afterlog: of a role, since when it is as it is; of a key, when it ends.
Bytes line_of(std::string_view name, Time time) {
  Bytes out;
  put_part(out, name);
  put_u64(out, static_cast<std::uint64_t>(to_ms(time)));
  return out;
}

/// When a role that was so is changed: later than what was, also where the clock was set back.
Time next_time(const Role* before, Time now) {
  if (before == nullptr) return now;
  for (const auto& earlier : {before->updated, before->suspended})
    if (earlier) now = std::max(now, *earlier + Millis(1));
  return now;
}

bool is_owner(const Principal& principal, Time now) {
  return state_of(principal.key, now) == KeyState::live && principal.rights->owner();
}

}  // namespace

// ── the frame of every verb

/// A policy change of somebody else in between is met once more under the new policy.
template <class Out, class In>
Task<Result<Out>> Admin::twice(Task<Result<Out>> (Admin::*once)(Caller, In), Caller caller, In in) {
  auto first = co_await (this->*once)(caller, in);
  if (first || first.error().code != Code::stale) co_return first;
  auto second = co_await (this->*once)(std::move(caller), std::move(in));
  if (!second && second.error().code == Code::stale)
    co_return Error(Code::unavailable, "access is being changed by others: repeat");
  co_return second;
}

Task<Result<NewKey>> Admin::create_key(Caller caller, CreateKey spec) {
  co_return co_await twice(&Admin::create_once, std::move(caller), std::move(spec));
}
Task<Result<NewKey>> Admin::rotate_key(Caller caller, RotateKey request) {
  co_return co_await twice(&Admin::rotate_once, std::move(caller), std::move(request));
}
Task<Result<ApiKey>> Admin::revoke_key(Caller caller, RevokeKey request) {
  co_return co_await twice(&Admin::revoke_once, std::move(caller), std::move(request));
}
Task<Result<Role>> Admin::put_role(Caller caller, PutRole spec) {
  co_return co_await twice(&Admin::put_role_once, std::move(caller), std::move(spec));
}
Task<Result<Deleted>> Admin::delete_role(Caller caller, RoleRef request) {
  co_return co_await twice(&Admin::delete_role_once, std::move(caller), std::move(request));
}

Task<Result<Admin::Stand>> Admin::stand(Caller caller) {
  Stand out{.caller = std::move(caller), .now = deps_.clock.now()};
  auto snapshot = co_await deps_.cache.refresh(out.caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  out.snapshot = std::move(*snapshot);
  out.keys = deps_.keys.get();
  if (!out.keys) co_return Error(Code::locked, "the server is locked");
  if (!out.snapshot->authority.manifest_intact)
    co_return Error(Code::corrupt,
                    "the manifest of keys and roles does not authenticate: see `holdfast access "
                    "recover`");
  out.self = out.snapshot->find(out.caller.principal);
  if (out.self == nullptr || state_of(out.self->key, out.now) != KeyState::live)
    co_return Error(Code::unauthenticated, "this key has ended meanwhile");
  out.caller.rights = out.self->rights;
  out.caller.generation = out.snapshot->generation;
  co_return out;
}

Task<Result<void>> Admin::within_own(Stand at, std::string_view operation, ApiKey key,
                                     std::shared_ptr<const Rights> theirs) {
  const auto& mine = *at.self;
  auto more = excess(*mine.rights, *theirs);
  if (more.empty() && !mine.rights->owner() && !mine.networks.empty()) {
    auto inside = [&](const std::string& text) {
      const auto theirs = parse_network(text);
      return theirs && std::ranges::any_of(mine.networks, [&](const Network& network) {
               return network.contains(*theirs);
             });
    };
    if (key.networks.empty() || !std::ranges::all_of(key.networks, inside)) more = "networks";
  }
  const bool made = operation != "roles.put" && key.replaces != mine.key.key;
  if (more.empty() && made && !mine.rights->owner() && key.expires > mine.key.expires)
    more = "expires_in";
  if (more.empty()) co_return Result<void>();
  const bool own_field = more == "acts_for" || more == "networks" || more == "expires_in";
  const auto field = own_field ? more : std::string_view("roles");
  co_return co_await deps_.service.refuse(
      at.caller, operation, "escalation",
      Error(Code::forbidden, "this would give more than your own key has").at(field));
}

/// What a key with several roles can do is more than each role by itself: those that would gain
/// something are looked at as a whole.
Task<Result<void>> Admin::holders_within_own(Stand at, Role role) {
  for (const auto& [id, principal] : at.snapshot->keys) {
    const auto& key = principal.key;
    if (state_of(key, at.now) != KeyState::live || std::ranges::count(key.roles, role.role) == 0)
      continue;
    std::vector<const Role*> roles{&role};
    for (const auto& name : key.roles)
      if (const auto* other = name == role.role ? nullptr : at.snapshot->role(name);
          other != nullptr && !other->suspended)
        roles.push_back(other);
    auto after = Rights::compile(roles, key.scopes, key.acts_for);
    if (excess(*principal.rights, *after).empty()) continue;
    if (auto done = co_await within_own(at, "roles.put", key, std::move(after)); !done)
      co_return done;
  }
  co_return Result<void>();
}

Task<Result<void>> Admin::commit(Stand at, Edit::Done edit, journal::Event event, bool force,
                                 std::optional<journal::Line> line) {
  event.touches = std::move(edit.touches);
  const auto version = edit.manifest.version;
  auto written = co_await journal::commit_noted(deps_.journal, std::move(line), at.caller,
                                                changes_of(edit, force), std::move(event));
  // Also after an error: a commit whose deadline passed may have happened.
  deps_.cache.changed();
  if (!written) co_return std::move(written).error();
  deps_.cache.saw(version);
  co_return Result<void>();
}

bool Admin::knows_operation(std::string_view operation) const {
  return operations_.empty() || std::ranges::find(operations_, operation) != operations_.end();
}

// ── keys

Result<NewKey> Admin::draft(Edit& edit, const Stand& at, ApiKey key, std::string request) const {
  if (at.snapshot->keys.size() >= kMostKeys)
    return Error(Code::conflict, "there are 10,000 keys: ended ones go after 400 days");
  const auto id = make_key_id();
  if (at.snapshot->find_id(id) != nullptr) return Error(Code::unavailable, "repeat");
  auto text = make_key_text(key.environment, id);
  key.key = principal_of(id);
  key.created_by = at.caller.principal;
  key.version = edit.version();
  edit.put(
      kKeys, key.key,
      stored_text(key, digest_of(parse_key_text(text.expose_text())->hashed), std::move(request)));
  NewKey out{.info = as_of(std::move(key), at.now), .api_key = std::move(text)};
  out.version = out.info.version;
  return out;
}

Task<Result<NewKey>> Admin::create_once(Caller caller, CreateKey spec) {
  auto at = co_await stand(std::move(caller));
  if (!at) co_return std::move(at).error();
  auto key = declare_key(spec, at->now, operations_);
  if (!key) co_return std::move(key).error();
  auto exist = roles_exist(*at->snapshot, *key);
  if (!exist) co_return std::move(exist).error();
  // Nobody but an owner makes a key that outlives their own.
  if (!spec.expires_in && !at->self->rights->owner())
    key->expires = std::min(key->expires, at->self->key.expires);
  auto within =
      co_await within_own(*at, "api_keys.create", *key, at->snapshot->compile(*key, true));
  if (!within) co_return std::move(within).error();
  auto request =
      fingerprint(*at->keys, "api_keys.create", at->caller.principal, spec.idempotency_key);
  auto fresh = not_seen(*at->snapshot, request, at->now);
  if (!fresh) co_return std::move(fresh).error();

  Edit edit(at->snapshot->authority, *at->keys);
  prune(edit, *at->snapshot, at->now);
  auto made = draft(edit, *at, std::move(*key), std::move(request));
  if (!made) co_return std::move(made).error();
  auto done = co_await commit(*at, std::move(edit).done(),
                              {.activity = "api_keys.create",
                               .facts = {{"key", made->info.key},
                                         {"roles", joined(made->info.roles)},
                                         {"expires_ms", to_ms(made->info.expires)}}});
  if (!done) co_return std::move(done).error();
  co_return made;
}

Task<Result<NewKey>> Admin::rotate_once(Caller caller, RotateKey request) {
  auto at = co_await stand(std::move(caller));
  if (!at) co_return std::move(at).error();
  const auto* old = at->snapshot->find(request.key);
  if (old == nullptr) co_return Error(Code::not_found, "there is no such key").at("key");
  auto matches = match(request.if_match, old->key.version);
  if (!matches) co_return std::move(matches).error();
  auto life = declared_span(request.expires_in, old->key.expires - old->key.created, kLongestLife,
                            "expires_in");
  if (!life) co_return std::move(life).error();
  if (*life > old->key.expires - old->key.created && !at->self->rights->owner())
    co_return co_await deps_.service.refuse(
        at->caller, "api_keys.rotate", "escalation",
        Error(Code::forbidden, "only the owner role gives a key a longer life than it had")
            .at("expires_in"));
  auto overlap = declared_span(request.overlap, kDefaultOverlap, kLongestOverlap, "overlap");
  if (!overlap) co_return std::move(overlap).error();
  auto print =
      fingerprint(*at->keys, "api_keys.rotate", at->caller.principal, request.idempotency_key);
  auto fresh = not_seen(*at->snapshot, print, at->now);
  if (!fresh) co_return std::move(fresh).error();
  if (state_of(old->key, at->now) != KeyState::live)
    co_return Error(Code::conflict, "this key has ended: create a new one").at("key");
  auto next = old->key;
  next.created = at->now;
  next.expires = at->now + std::min(*life, kLongestLife);
  next.replaces = old->key.key;
  auto within =
      co_await within_own(*at, "api_keys.rotate", next, at->snapshot->compile(old->key, true));
  if (!within) co_return std::move(within).error();

  Edit edit(at->snapshot->authority, *at->keys);
  prune(edit, *at->snapshot, at->now);
  auto made = draft(edit, *at, std::move(next), std::move(print));
  if (!made) co_return std::move(made).error();
  auto ending = old->key;
  ending.expires = std::min(ending.expires, at->now + *overlap);
  ending.version = edit.version();
  edit.put(kKeys, ending.key, stored_text(ending, old->digest, old->request));
  auto done = co_await commit(*at, std::move(edit).done(),
                              {.activity = "api_keys.rotate",
                               .facts = {{"key", made->info.key},
                                         {"replaces", ending.key},
                                         {"expires_ms", to_ms(made->info.expires)},
                                         {"old_expires_ms", to_ms(ending.expires)}}},
                              false, journal::Line{kKeyEnds, line_of(ending.key, ending.expires)});
  if (!done) co_return std::move(done).error();
  co_return made;
}

Task<Result<ApiKey>> Admin::revoke_once(Caller caller, RevokeKey request) {
  auto at = co_await stand(std::move(caller));
  if (!at) co_return std::move(at).error();
  const auto* found = at->snapshot->find(request.key);
  if (found == nullptr) co_return Error(Code::not_found, "there is no such key").at("key");
  auto matches = match(request.if_match, found->key.version);
  if (!matches) co_return std::move(matches).error();
  if (found->key.revoked) co_return as_of(found->key, at->now);
  const auto owners = std::ranges::count_if(
      at->snapshot->keys, [&](const auto& entry) { return is_owner(entry.second, at->now); });
  if (is_owner(*found, at->now) && owners == 1)
    co_return Error(Code::conflict,
                    "this is the last live key of the owner role: create or rotate to another "
                    "first, then revoke this one with that")
        .at("key");

  Edit edit(at->snapshot->authority, *at->keys);
  auto ended = found->key;
  ended.revoked = at->now;
  ended.version = edit.version();
  edit.put(kKeys, ended.key, stored_text(ended, found->digest, found->request));
  auto done = co_await commit(*at, std::move(edit).done(),
                              {.activity = "api_keys.revoke", .facts = {{"key", ended.key}}}, false,
                              journal::Line{kKeyRevoked, to_bytes(ended.key)});
  if (!done) co_return std::move(done).error();
  co_return as_of(std::move(ended), at->now);
}

// ── roles

Task<Result<Role>> Admin::put_role_once(Caller caller, PutRole spec) {
  auto at = co_await stand(std::move(caller));
  if (!at) co_return std::move(at).error();
  const auto* before = at->snapshot->role(spec.role);
  auto role = declare_role(spec, operations_, at->now, before);
  if (!role) co_return std::move(role).error();
  if (before != nullptr && before->built_in)
    co_return Error(Code::conflict, "this role is built in: choose another name").at("role");
  if (before != nullptr && spec.if_match.empty())
    co_return Error(Code::conflict,
                    "this role exists: send its version as If-Match (`--if-match`) to replace it")
        .at("if_match");
  auto matches = match(spec.if_match, before == nullptr ? 0 : before->version);
  if (!matches) co_return std::move(matches).error();
  if (before == nullptr && at->snapshot->own_roles.size() >= kMostRoles)
    co_return Error(Code::conflict, "there are 500 own roles: delete one first");
  const Role* const one[] = {&*role};
  if (!excess(*at->self->rights, *Rights::compile(one)).empty())
    co_return co_await deps_.service.refuse(
        at->caller, "roles.put", "escalation",
        Error(Code::forbidden, "this would give more than your own key has"));
  if (auto within = co_await holders_within_own(*at, *role); !within)
    co_return std::move(within).error();

  const auto since = next_time(before, at->now);
  std::optional<journal::Line> line;
  if (before != nullptr && narrows(*before, *role))
    line = {kRoleNarrowed, line_of(role->role, since)};
  Edit edit(at->snapshot->authority, *at->keys);
  role->version = edit.version();
  role->updated = since;
  edit.put(kRoles, role->role, to_json(*role));
  auto done = co_await commit(
      *at, std::move(edit).done(),
      {.activity = "roles.put", .facts = {{"role", role->role}, {"version", role->version}}}, false,
      std::move(line));
  if (!done) co_return std::move(done).error();
  co_return role;
}

Task<Result<Deleted>> Admin::delete_role_once(Caller caller, RoleRef request) {
  auto at = co_await stand(std::move(caller));
  if (!at) co_return std::move(at).error();
  const auto* role = at->snapshot->role(request.role);
  if (role == nullptr) co_return Error(Code::not_found, "there is no such role").at("role");
  if (role->built_in) co_return Error(Code::conflict, "this role is built in").at("role");
  auto matches = match(request.if_match, role->version);
  if (!matches) co_return std::move(matches).error();
  auto in_use = Error(Code::conflict, "live keys hold this role: revoke or rotate them first");
  for (const auto& [id, principal] : at->snapshot->keys)
    if (in_use.also.size() < 20 && state_of(principal.key, at->now) == KeyState::live &&
        std::ranges::count(principal.key.roles, request.role) > 0)
      in_use.also.push_back(
          Error(Code::conflict, "holds this role").at(FieldPath::made_id(principal.key.key)));
  if (!in_use.also.empty()) co_return std::move(in_use).at("role");

  const auto since = next_time(role, at->now);
  Edit edit(at->snapshot->authority, *at->keys);
  edit.remove(kRoles, role->role);
  auto done = co_await commit(*at, std::move(edit).done(),
                              {.activity = "roles.delete", .facts = {{"role", request.role}}},
                              false, journal::Line{kRoleNarrowed, line_of(request.role, since)});
  if (!done) co_return std::move(done).error();
  co_return Deleted{};
}

}  // namespace holdfast::access
