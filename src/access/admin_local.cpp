// The verbs of Admin that no caller asks for over the network: init, recover, restore, verify.
#include <algorithm>
#include <map>

#include "access/admin.h"
#include "access/store.h"

namespace holdfast::access {
namespace {

/// A line of the afterlog: the name of a key or role, and a time.
Result<std::pair<std::string, Time>> read_line(BytesView line) {
  ByteReader reader(line);
  const auto name = reader.part();
  const auto time = reader.u64();
  if (!name || !time || !reader.done())
    return Error(Code::corrupt, "a line of the afterlog cannot be read");
  return std::pair(std::string(as_text(*name)), from_ms(static_cast<std::int64_t>(*time)));
}

}  // namespace

/// For the server's own work, under what is stored now.
Task<Result<Admin::Stand>> Admin::stand_alone() {
  Stand at{.keys = deps_.keys.get(), .now = deps_.clock.now()};
  if (!at.keys) co_return Error(Code::locked, "the server is locked");
  auto snapshot = co_await deps_.cache.refresh(at.caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  at.snapshot = std::move(*snapshot);
  at.caller.generation = at.snapshot->generation;
  co_return at;
}

Task<Result<Secret>> Admin::bootstrap_owner_key(std::string_view activity) {
  auto stood = co_await stand_alone();
  if (!stood) co_return std::move(stood).error();
  auto& at = *stood;

  const auto& authority = at.snapshot->authority;
  const auto afresh = start_over(authority);
  Edit edit(authority.manifest_intact ? authority : afresh, *at.keys);
  auto made = draft(edit, at,
                    ApiKey{.name = "bootstrap owner key",
                           .roles = {"owner"},
                           .created = at.now,
                           .expires = at.now + kBootstrapLife},
                    {});
  if (!made) co_return std::move(made).error();
  auto done = co_await commit(at, std::move(edit).done(),
                              {.activity = activity,
                               .facts = {{"key", made->info.key},
                                         {"expires_ms", to_ms(made->info.expires)},
                                         {"afresh", std::int64_t{!authority.manifest_intact}}}},
                              !authority.manifest_intact);
  if (!done) co_return std::move(done).error();
  co_return std::move(made->api_key);
}

Task<Result<std::int64_t>> Admin::revoke_after_restore(std::vector<std::string> named,
                                                       std::optional<Time> unknown) {
  if (named.empty() && !unknown) co_return 0;
  auto stood = co_await stand_alone();
  if (!stood) co_return std::move(stood).error();
  auto& at = *stood;

  Edit edit(at.snapshot->authority, *at.keys);
  std::int64_t live = 0, ended_now = 0;
  for (const auto& [id, principal] : at.snapshot->keys) {
    const bool may_be_named = unknown && principal.key.created <= *unknown;
    if (principal.key.revoked ||
        !(may_be_named || std::ranges::count(named, principal.key.key) > 0))
      continue;
    live += state_of(principal.key, at.now) == KeyState::live;
    auto ended = principal.key;
    ended.revoked = at.now;
    ended.version = edit.version();
    edit.put(kKeys, ended.key, stored_text(ended, principal.digest, principal.request));
    ++ended_now;
  }
  if (ended_now == 0) co_return 0;  // asked at every start: nothing had come back
  auto done =
      co_await commit(at, std::move(edit).done(),
                      {.activity = "access.revoked_after_restore", .facts = {{"live", live}}});
  if (!done) co_return std::move(done).error();
  co_return live;
}

Task<Result<std::int64_t>> Admin::end_rotated(std::vector<Bytes> lines) {
  std::map<std::string, Time> ends;
  for (const auto& line : lines) {
    auto read = read_line(line);
    if (!read) co_return std::move(read).error();
    auto [at, first] = ends.emplace(*read);
    if (!first) at->second = std::min(at->second, read->second);
  }
  if (ends.empty()) co_return 0;
  auto stood = co_await stand_alone();
  if (!stood) co_return std::move(stood).error();
  auto& at = *stood;

  Edit edit(at.snapshot->authority, *at.keys);
  std::int64_t ended = 0;
  for (const auto& [id, principal] : at.snapshot->keys) {
    const auto end = ends.find(principal.key.key);
    if (end == ends.end() || principal.key.expires <= end->second) continue;
    auto key = principal.key;
    key.expires = end->second;
    key.version = edit.version();
    edit.put(kKeys, key.key, stored_text(key, principal.digest, principal.request));
    ++ended;
  }
  if (ended == 0) co_return 0;
  auto done =
      co_await commit(at, std::move(edit).done(),
                      {.activity = "access.ended_after_restore", .facts = {{"keys", ended}}});
  if (!done) co_return std::move(done).error();
  co_return ended;
}

Task<Result<std::int64_t>> Admin::suspend_roles(std::vector<Bytes> lines,
                                                std::optional<Time> unknown) {
  std::map<std::string, Time> narrowed;
  for (const auto& line : lines) {
    auto read = read_line(line);
    if (!read) co_return std::move(read).error();
    auto& last = narrowed[read->first];
    last = std::max(last, read->second);
  }
  if (narrowed.empty() && !unknown) co_return 0;
  auto stood = co_await stand_alone();
  if (!stood) co_return std::move(stood).error();
  auto& at = *stood;

  Edit edit(at.snapshot->authority, *at.keys);
  std::int64_t suspended = 0;
  for (const auto& [name, own] : at.snapshot->own_roles) {
    const auto line = narrowed.find(name);
    const auto put = own.updated.value_or(Time{});
    const bool named = line != narrowed.end() && put < line->second;
    if (own.suspended || !(named || (unknown && put <= *unknown))) continue;
    auto role = own;
    role.suspended = named ? std::max(at.now, line->second) : at.now;
    role.version = edit.version();
    edit.put(kRoles, role.role, to_json(role));
    ++suspended;
  }
  if (suspended == 0) co_return 0;
  auto done = co_await commit(
      at, std::move(edit).done(),
      {.activity = "access.roles_suspended_after_restore", .facts = {{"roles", suspended}}});
  if (!done) co_return std::move(done).error();
  co_return suspended;
}

Task<Result<std::vector<Finding>>> Admin::check_state(StateSink sink) {
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await read_authority(deps_.journal.reader(), MonoTime::max());
  if (!rows) co_return std::move(rows).error();
  for (auto id : keys->ring.ids(crypto::KeyUse::digest)) {
    const auto under = keys->with_digest(id);
    for (const auto& row : *rows) sink(row.kind, as_bytes(row.id), digest_of(row, *under));
  }
  co_return check(std::move(*rows), keys->ring, 0).findings;
}

Task<Result<void>> Admin::tell_state(std::shared_ptr<const crypto::KeySet> keys, StateSink sink) {
  auto rows = co_await read_authority(deps_.journal.reader(), MonoTime::max());
  if (!rows) co_return std::move(rows).error();
  for (const auto& row : *rows) sink(row.kind, as_bytes(row.id), digest_of(row, *keys));
  co_return Result<void>();
}

Task<Result<std::int64_t>> Admin::under_older_keys() {
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await read_authority(deps_.journal.reader(), MonoTime::max());
  if (!rows) co_return std::move(rows).error();
  const auto active = keys->ring.active_id(crypto::KeyUse::authority);
  co_return std::ranges::count_if(*rows, [&](const Row& row) { return row.mac_key != active; });
}

Task<Result<Admin::Remade>> Admin::remake() {
  auto stood = co_await stand_alone();
  if (!stood) co_return std::move(stood).error();
  auto& at = *stood;
  const auto& authority = at.snapshot->authority;
  Remade out{.rows = static_cast<std::int64_t>(authority.rows.size()),
             .remade = 0,
             .findings = authority.findings};
  // A fresh store has no rows, and a damaged manifest is for `access recover` to begin anew.
  if (!authority.manifest_intact || authority.version == 0) co_return out;
  Edit edit(authority, *at.keys);
  for (const auto& row : authority.rows) edit.remake(row);
  out.remade = out.rows;
  auto done = co_await commit(at, std::move(edit).done(),
                              {.activity = "access.remade", .facts = {{"rows", out.rows}}});
  if (!done) co_return std::move(done).error();
  co_return out;
}

}  // namespace holdfast::access
