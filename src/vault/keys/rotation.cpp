// How rotations begin, and what is told of them. The steps are in rotation_steps.cpp.
#include "vault/keys/rotation.h"

#include <algorithm>
#include <utility>

#include "vault/keys/rotation_rows.h"

namespace holdfast::vault {
namespace {

Error locked() {
  return {Code::locked, "the server is locked"};
}

std::string name_of(auto value) {
  return std::string(enum_names(value)[std::to_underlying(value)]);
}

}  // namespace

Result<void> Rotations::give(std::shared_ptr<const crypto::KeySet> before, crypto::Keyring ring,
                             std::span<const Rotation> open) {
  auto plan = finding_plan(ring, open);
  auto next = std::make_shared<const crypto::KeySet>(std::move(ring), before->root.clone(),
                                                     std::move(plan));
  if (!deps_.held.replace(std::move(before), std::move(next))) return locked();
  return {};
}

Task<Result<void>> Rotations::hand_out(std::optional<crypto::Keyring> ring, Rotation as) {
  auto open = co_await trusted();
  if (!open) co_return std::move(open).error();
  for (auto& row : *open)
    if (row.id == as.id) row = as;
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  co_return give(keys, ring ? std::move(*ring) : keys->ring.copy(), *open);
}

/// Open ones but for those that somebody else wrote: what they say happens to no key.
Task<Result<std::vector<Rotation>>> Rotations::trusted() {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  auto open = co_await open_rotations(deps_.context.journal.reader(), MonoTime::max());
  if (!open) co_return std::move(open).error();
  strangers_ = std::erase_if(
      *open, [&](const Rotation& row) { return hand_of(*keys, row) == RowHand::unknown; });
  co_return std::move(*open);
}

Task<Result<void>> Rotations::prepare() {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  auto& reader = deps_.context.journal.reader();
  auto all = co_await all_rotations(reader);
  if (!all) co_return std::move(all).error();
  std::vector<Rotation> open;
  for (const auto& one : *all) {
    auto use = use_of(one.kind);
    if (use && one.phase > Phase::adding && !keys->ring.ids(*use).empty() &&
        keys->ring.active_id(*use) < one.to)
      co_return Error(Code::conflict,
                      "the keyring is older than the database: keys that are in use are not in it. "
                      "Put the newest keyring back, or restore data and keys of the same backup");
    if (one.phase != Phase::done && hand_of(*keys, one) != RowHand::unknown) open.push_back(one);
  }
  // A restore can leave keys without a rotation that would destroy them: of an older database, or
  // of a keyring from before.
  foreign_done_ = 0;
  for (std::size_t i = 0; i < enum_names(KeyKind{}).size(); ++i) {
    const auto kind = static_cast<KeyKind>(i);
    const auto use = use_of(kind);
    if (!use) continue;
    for (auto id : keys->ring.ids(*use)) {
      const auto active = keys->ring.active_id(*use);
      auto known = std::ranges::find_if(
          *all, [&](const Rotation& one) { return one.kind == kind && one.from == id; });
      if (id == active || (known != all->end() && known->phase != Phase::done)) continue;
      Rotation row;
      if (known != all->end()) {
        // Written as done by somebody else, it would destroy a key that waits for its date.
        const auto hand = hand_of(*keys, *known);
        if (hand == RowHand::unknown) {
          ++foreign_done_;
          continue;
        }
        row = *known;
        row.phase = Phase::destroying;
        if (hand == RowHand::unsigned_row) {
          auto now = deps_.time();
          if (!now) continue;
          wait_anew(row, *now);
        }
      } else {
        row = {.id = RotationId::make(deps_.context.clock.now()),
               .kind = kind,
               .from = id,
               .to = active,
               .phase = Phase::stopped,
               .generation = static_cast<std::int64_t>(keys->ring.generation()),
               .started = deps_.context.clock.now()};
      }
      journal::Event event{.activity = "keys.taken_up",
                           .facts = {{"kind", name_of(kind)},
                                     {"from", std::int64_t{row.from}},
                                     {"to", std::int64_t{row.to}}}};
      if (auto done = co_await put(row, std::move(event)); !done) co_return done;
      open.push_back(std::move(row));
    }
  }
  co_return give(keys, keys->ring.copy(), open);
}

Task<Result<void>> Rotations::put(Rotation& row, journal::Event event, db::Changes changes,
                                  Caller caller) {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  row.version += 1;
  if (row.version == 1)
    add_rotation(changes, *keys, row);
  else
    put_rotation(changes, *keys, row);
  event.touches.push_back(
      {.kind = "rotations", .row = to_bytes(row.id.bytes()), .left = rotation_digest(*keys, row)});
  auto done = co_await deps_.context.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) row.version -= 1;
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

/// A repeated request is answered the same for a day, under the key that it was made with.
Millis Rotations::shortest_wait(KeyKind kind) {
  return kind == KeyKind::idempotency ? Millis(86'400'000) : Millis(0);
}

void Rotations::hurry(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                      Rotation row) {
  row.at_once = true;
  row.due = std::min(*row.due, *row.all_moved + shortest_wait(row.kind));
  row.version += 1;
  put_rotation(changes, keys, row);
  event.touches.push_back(
      {.kind = "rotations", .row = to_bytes(row.id.bytes()), .left = rotation_digest(keys, row)});
}

Task<Result<Rotation>> Rotations::begin_rotation(Caller caller, KeyKind kind, bool at_once,
                                                 std::string_view activity) {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  auto all = co_await rotations_of(deps_.context.journal.reader(), kind, caller.deadline);
  if (!all) co_return std::move(all).error();
  Rotation row{.id = RotationId::make(deps_.context.clock.now()),
               .kind = kind,
               .phase = Phase::adding,
               .at_once = at_once,
               .generation = static_cast<std::int64_t>(keys->ring.generation()),
               .started = deps_.context.clock.now()};
  for (const auto& one : *all) {
    if (one.phase != Phase::done && hand_of(*keys, one) == RowHand::unknown)
      co_return rotation_by_another_hand();
    if (one.running())
      co_return Error(Code::conflict,
                      "this key is being rotated already: `holdfast keys progress` shows it")
          .at("kind");
    if (one.phase == Phase::stopped) {  // go on with it, from the beginning of its rows
      row = one;
      row.at_once |= at_once;
      row.resume();
    }
  }
  if (row.version == 0) {
    auto use = use_of(kind);
    // Without anyone to tell of its rows nobody could say that none is left under the old key.
    if ((use && keys->ring.ids(*use).empty()) || (!is_rowless(kind) && !has_pass(kind, Pass::move)))
      co_return Error(Code::invalid, "this store has no key of this kind").at("kind");
    row.from = use ? keys->ring.active_id(*use)
                   : (all->empty() ? 0 : std::ranges::max_element(*all, {}, &Rotation::to)->to);
    row.to = row.from + 1;
  }
  journal::Event event{.activity = activity,
                       .facts = {{"at_once", std::int64_t{row.at_once}},
                                 {"from", std::int64_t{row.from}},
                                 {"kind", name_of(kind)},
                                 {"to", std::int64_t{row.to}}}};
  db::Changes changes;
  for (const auto& one : *all)
    if (at_once && one.phase == Phase::waiting && one.due && one.all_moved &&
        hand_of(*keys, one) != RowHand::unsigned_row)
      hurry(changes, event, *keys, one);
  auto done = co_await put(row, std::move(event), std::move(changes), std::move(caller));
  if (!done) co_return std::move(done).error();
  co_return row;
}

Task<Result<RotationView>> Rotations::rotate(Caller caller, RotateKeys request) {
  auto row =
      co_await begin_rotation(std::move(caller), request.kind, request.at_once, "keys.rotate");
  if (!row) co_return std::move(row).error();
  co_return view_of(*row);
}

Task<Result<RotationView>> Rotations::roll(Caller caller, RollEpoch) {
  auto row = co_await begin_rotation(std::move(caller), KeyKind::epoch, false, "keys.roll");
  if (!row) co_return std::move(row).error();
  co_return view_of(*row);
}

void Rotations::fill_rate(RotationView& view, const Rotation& row) const {
  std::scoped_lock lock(rate_mutex_);
  if (rate_.rotation != row.id || rate_.phase != row.phase) return;
  auto spent = std::chrono::duration_cast<Millis>(deps_.context.clock.mono() - rate_.since);
  if (spent < Millis(1000)) return;
  view.rows_per_second = (row.looked - rate_.looked) * 1000 / spent.count();
  if (pass_of(row.phase) && *view.rows_per_second > 0 && row.total > row.looked)
    view.ready_about =
        deps_.context.clock.now() + Millis((row.total - row.looked) * 1000 / *view.rows_per_second);
}

Task<Result<RotationList>> Rotations::progress(Caller caller, ProgressRequest request) {
  auto rows = co_await last_rotations(deps_.context.journal.reader(), caller.deadline);
  if (!rows) co_return std::move(rows).error();
  RotationList out;
  for (const auto& row : *rows) {
    if (request.rotation && row.id != *request.rotation) continue;
    out.rotations.push_back(view_of(row));
    fill_rate(out.rotations.back(), row);
  }
  if (request.rotation && out.rotations.empty())
    co_return Error(Code::not_found, "no such rotation, or one of long ago").at("rotation");
  journal::Event event{.activity = "keys.progress",
                       .facts = {{"shown", static_cast<std::int64_t>(out.rotations.size())}}};
  auto done = co_await deps_.context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<KeyDestruction>> Rotations::destruction(KeyKind kind, Time then, MonoTime deadline) {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  auto rows = co_await rotations_of(deps_.context.journal.reader(), kind, deadline);
  if (!rows) co_return std::move(rows).error();
  // The first rotation that began after it: until then keys files were made under the key before.
  for (const auto& row : *rows) {
    if (row.started < then) continue;
    // Backups of the keys hold the keyring as it was, and what an epoch key opens until it was
    // wrapped again.
    const auto destroyed = row.finished.value_or(
        row.due.value_or(row.started + (row.at_once ? Millis(0) : deps_.settings.window)));
    const auto last = kind == KeyKind::epoch ? row.all_moved.value_or(row.started) : destroyed;
    if (row.finished) {
      auto backups = deps_.count_backups(last);
      if (!backups && backups.error().code != Code::unavailable)
        co_return std::move(backups).error();
      if (backups && *backups == 0)
        co_return KeyDestruction{row.from, row.finished, EventId::parse(row.proof)};
    }
    co_return KeyDestruction{row.from, std::max(destroyed, last + deps_.settings.window)};
  }
  KeyDestruction out{};
  if (auto use = use_of(kind); use && !keys->ring.ids(*use).empty())
    out.id = keys->ring.active_id(*use);
  if (kind != KeyKind::epoch || !deps_.settings.epoch) co_return out;
  for (const auto& key : keys->ring.list())
    if (key.use == crypto::KeyUse::epoch && key.active)
      out.at = std::max(key.created + *deps_.settings.epoch, then) + deps_.settings.window;
  co_return out;
}

std::vector<http::Route> rotation_routes(Rotations* rotations) {
  using R = Rotations;
  std::vector<http::Route> out;
  out.push_back(http::route<&R::rotate>(
      rotations, "keys.rotate", "POST", "/v1/keys/rotate", "Rotate a key while the server works",
      {.status = 202,
       .grows = true,
       .examples = {{"The key of blind indexes", R"({"kind":"index"})"}}}));
  out.push_back(
      http::route<&R::roll>(rotations, "keys.roll", "POST", "/v1/keys/roll",
                            "Begin the next epoch now, so that what was erased goes from backups",
                            {.status = 202, .grows = true}));
  out.push_back(http::route<&R::progress>(rotations, "keys.progress", "GET", "/v1/keys/progress",
                                          "Show how far rotations are"));
  return out;
}

}  // namespace holdfast::vault
