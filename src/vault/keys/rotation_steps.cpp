// The steps of a rotation. Each reads where it stands from its row, does one thing, and commits the
// row with what comes next, so that a crash between any two of them loses nothing.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <span>
#include <tuple>
#include <utility>

#include "journal/state_check.h"
#include "vault/keys/rotation.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kSmall = 256, kLarge = 5'000;
constexpr std::size_t kNamed = 100;
constexpr std::int64_t kRounds = 3;

Error locked() {
  return {Code::locked, "the server is locked"};
}

std::string name_of(auto value) {
  return std::string(enum_names(value)[std::to_underlying(value)]);
}

journal::Event event_of(std::string_view activity, const Rotation& row) {
  return {.activity = activity,
          .facts = {{"from", std::int64_t{row.from}},
                    {"kind", name_of(row.kind)},
                    {"phase", name_of(row.phase)},
                    {"rotation", row.id.text()},
                    {"to", std::int64_t{row.to}}}};
}

/// Whether a later rotation of its kind stands still half-way: then rows are under two keys, and
/// none goes before that one is done.
bool stuck_after(std::span<const Rotation> open, const Rotation& row) {
  return std::ranges::any_of(open, [&](const Rotation& other) {
    return other.kind == row.kind && other.from >= row.to && other.phase == RotationPhase::stopped;
  });
}

/// Of a key that a restore left without a rotation, or one that stood back for such a key.
bool taken_up(const Rotation& row) {
  return row.phase == RotationPhase::stopped && row.refused == 0 && row.rounds == 0;
}

/// Those in the order in which they are gone on with, before all others. Digest keys first, the
/// oldest first: others tell how they found a row under the newest digest key, and until a row is
/// told anew its last event stands under the one before.
auto when_taken_up(const Rotation& row) {
  const bool digest = row.kind == KeyKind::digest;
  return std::tuple(!taken_up(row), !digest, digest ? row.from : 0);
}

Task<void> rest(Millis time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace

std::int64_t Rotations::batch_size() const {
  if (deps_.settings.batch > 0) return deps_.settings.batch;
  auto size = deps_.context.journal.busy() ? kSmall : kLarge;
  return std::max<std::int64_t>(16, size / shrink_);
}

std::vector<KeyedRows*> Rotations::sources(KeyKind kind, Pass pass) const {
  std::vector<KeyedRows*> out;
  for (auto* rows : deps_.rows)
    if (rows->takes_part(kind, pass)) out.push_back(rows);
  return out;
}

Task<Result<MoveJob>> Rotations::job_of(const Rotation& row) {
  auto work = co_await begin(deps_.context, Caller{});
  if (!work) co_return std::move(work).error();
  co_return MoveJob{row.kind, row.from, row.to, std::move(work->keys), std::move(work->schema)};
}

Task<Result<Rotations::Pace>> Rotations::step() {
  const auto keys = deps_.held.get();
  if (!keys) co_return Pace::idle;
  auto open = co_await trusted();
  if (!open) co_return std::move(open).error();
  for (auto& row : *open)
    if (auto hand = hand_of(*keys, row); hand != RowHand::newest_key)
      co_return co_await take_over(std::move(row), hand);
  auto left = std::ranges::min_element(*open, {}, when_taken_up);
  if (left != open->end() && !taken_up(*left)) left = open->end();
  auto next = std::ranges::find_if(
      *open, [](const Rotation& row) { return row.running() || row.phase == Phase::destroying; });
  if (next != open->end()) {
    const bool tells = next->phase == Phase::moving || next->phase == Phase::cleaning;
    if (tells && next->kind != KeyKind::digest && left != open->end() &&
        left->kind == KeyKind::digest)
      co_return co_await stand_back(std::move(*next));
    co_return co_await go_on(std::move(*next));
  }
  // Two clock readings that lie apart stand behind journal time; one that fails destroys nothing.
  if (auto now = deps_.time(); now)
    for (auto& row : *open)
      if (row.phase == Phase::waiting && row.due && *row.due <= *now && !stuck_after(*open, row))
        co_return co_await announce(std::move(row));
  if (left != open->end()) {
    left->resume();
    const auto phase = left->phase;
    co_return co_await advance(std::move(*left), phase, "keys.rotating");
  }
  auto rolled = co_await roll_when_due();
  if (rolled && *rolled == Pace::idle && strangers_ + foreign_done_ > 0)
    co_return rotation_by_another_hand();
  co_return rolled;
}

/// Writes the row again under the newest key. One without a MAC may say anything: it goes over its
/// rows anew, and its old key waits the whole window from now.
Task<Result<Rotations::Pace>> Rotations::take_over(Rotation row, RowHand hand) {
  if (hand == RowHand::unsigned_row) {
    auto now = deps_.time();
    if (!now) co_return Pace::soon;
    wait_anew(row, *now);
  }
  auto done = co_await put(row, event_of("keys.rotating", row));
  if (!done) co_return std::move(done).error();
  co_return Pace::more;
}

void Rotations::wait_anew(Rotation& row, Time now) const {
  row.at_once = false;
  row.rounds = 0;
  row.source = row.phase == Phase::stopped ? row.source : 0;
  row.after.clear();
  row.finished.reset();
  if (row.phase == Phase::destroying) row.phase = Phase::waiting;
  if (row.phase == Phase::waiting) row.due = now + deps_.settings.window;
}

Task<Result<Rotations::Pace>> Rotations::roll_when_due() {
  const auto keys = deps_.held.get();
  const auto now = deps_.time();
  if (!keys || !now || !deps_.settings.epoch) co_return Pace::idle;
  for (const auto& key : keys->ring.list()) {
    if (key.use != crypto::KeyUse::epoch || !key.active) continue;
    if (key.created + *deps_.settings.epoch > *now) co_return Pace::idle;
    auto begun = co_await begin_rotation(Caller{}, KeyKind::epoch, false, "keys.roll");
    if (begun) co_return Pace::more;
    if (begun.error().code == Code::conflict) co_return Pace::idle;
    co_return std::move(begun).error();
  }
  co_return Pace::idle;
}

/// It goes over its rows from the beginning when the digest keys before it are done: moving finds
/// what was moved already.
Task<Result<Rotations::Pace>> Rotations::stand_back(Rotation row) {
  row.source = row.found_by_new();
  row.phase = Phase::stopped;
  row.after.clear();
  row.rounds = row.refused = 0;
  row.refused_rows.clear();
  auto done = co_await put(row, event_of("keys.rotating", row));
  if (!done) co_return std::move(done).error();
  co_return Pace::more;
}

Task<Result<Rotations::Pace>> Rotations::go_on(Rotation row) {
  const auto settled = has_pass(row.kind, Pass::renew) ? Phase::renewing : Phase::moving;
  switch (row.phase) {
    case Phase::adding:
      co_return co_await add_key(std::move(row));
    case Phase::settling:
      co_return co_await settle(std::move(row), settled);
    case Phase::renewing:
      co_return co_await pass(std::move(row), Pass::renew, Phase::renewed);
    case Phase::renewed:
      co_return co_await settle(std::move(row), Phase::moving);
    case Phase::moving:
      co_return co_await pass(std::move(row), Pass::move, Phase::checking);
    case Phase::checking:
      co_return co_await check(std::move(row), Pass::move);
    case Phase::switching:
      co_return co_await switch_over(std::move(row));
    case Phase::clearing:
      co_return co_await settle(std::move(row), Phase::cleaning);
    case Phase::cleaning:
      co_return co_await pass(std::move(row), Pass::clean, Phase::rechecking);
    case Phase::rechecking:
      co_return co_await check(std::move(row), Pass::clean);
    case Phase::destroying:
      co_return co_await destroy(std::move(row));
    default:
      co_return Pace::idle;
  }
}

Task<Result<Rotations::Pace>> Rotations::advance(Rotation row, Phase next,
                                                 std::string_view activity) {
  row.phase = next;
  row.source = 0;
  row.after.clear();
  if (auto pass = pass_of(next)) {
    auto job = co_await job_of(row);
    if (!job) co_return std::move(job).error();
    row.total = 0;
    for (auto* rows : sources(row.kind, *pass)) {
      auto count = co_await rows->total(*job);
      if (!count) co_return std::move(count).error();
      row.total += *count;
    }
  }
  auto event = event_of(activity, row);
  auto done = co_await put(row, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Pace::more;
}

/// The keyring first, durable, and only then anybody uses the key.
Task<Result<Rotations::Pace>> Rotations::add_key(Rotation row) {
  if (auto use = use_of(row.kind)) {
    const crypto::KeyringTurn turn(deps_.held);
    if (!turn) co_return Pace::soon;
    const auto keys = deps_.held.get();
    if (!keys) co_return locked();
    auto active = keys->ring.active_id(*use);
    if (active > row.to)
      co_return Error(Code::conflict, "the keyring holds a later key than this rotation makes");
    auto ring = deps_.save(active == row.from ? keys->ring.with_new(*use, deps_.context.clock.now())
                                              : keys->ring.copy());
    if (!ring) co_return std::move(ring).error();
    row.generation = static_cast<std::int64_t>(ring->generation());
    if (auto done = co_await hand_out(std::move(*ring), row); !done)
      co_return std::move(done).error();
  }
  auto event = event_of("keys.new_key", row);
  event.facts.emplace_back("generation", row.generation);
  row.phase = Phase::settling;
  auto done = co_await put(row, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Pace::more;
}

Task<Result<Rotations::Pace>> Rotations::settle(Rotation row, Phase next) {
  if (!deps_.held.let_go()) co_return Pace::soon;
  row.looked = 0;
  co_return co_await advance(std::move(row), next, "keys.rotating");
}

Task<Result<Rotations::Pace>> Rotations::pass(Rotation row, Pass which, Phase next) {
  auto all = sources(row.kind, which);
  {
    std::scoped_lock lock(rate_mutex_);
    if (rate_.rotation != row.id || rate_.phase != row.phase)
      rate_ = {row.id, row.phase, deps_.context.clock.mono(), row.looked};
  }
  if (row.source >= static_cast<std::int64_t>(all.size())) {
    // Requests that read customers' keys before the new ones were there come to their end first.
    if (which == Pass::renew) {
      const crypto::KeyringTurn turn(deps_.held);
      if (!turn) co_return Pace::soon;
      if (auto done = co_await hand_out({}, row); !done) co_return std::move(done).error();
    }
    co_return co_await advance(std::move(row), next, "keys.rotating");
  }
  auto* source = all[static_cast<std::size_t>(row.source)];
  auto job = co_await job_of(row);
  if (!job) co_return std::move(job).error();
  auto batch = co_await source->move(std::move(*job), which, row.after, batch_size());
  if (!batch) co_return std::move(batch).error();
  row.looked += batch->looked;
  if (which == Pass::move || which == Pass::renew) row.moved += batch->moved;
  row.after = std::move(batch->after);
  if (batch->last) {
    row.source += 1;
    row.after.clear();
  }
  auto event = event_of(batch->as_of ? journal::kRestate : "keys.rotating", row);
  event.facts.emplace_back("looked", batch->looked);
  event.facts.emplace_back("moved", batch->moved);
  event.facts.emplace_back("rows", std::string(source->name()));
  if (batch->as_of) event.facts.emplace_back("as_of", *batch->as_of);
  if (batch->put_back > 0) {
    event.alarm = true;
    event.facts.emplace_back("put_back", batch->put_back);
  }
  event.touches = std::move(batch->touches);
  row.refused += static_cast<std::int64_t>(batch->refused.size());
  for (auto& name : batch->refused) {
    event.outcome = journal::Outcome::failed;
    event.reason = "corrupt";
    event.touches.push_back({.kind = "refused", .row = to_bytes(name)});
    if (row.refused_rows.size() < kNamed) row.refused_rows.push_back(std::move(name));
  }
  if (which != Pass::drop) batch->changes.growing();
  auto done = co_await put(row, std::move(event), std::move(batch->changes));
  if (!done && done.error().code == Code::conflict) {
    shrink_ = std::min<std::int64_t>(shrink_ * 4, 64);
    co_return Pace::more;  // somebody was faster: read again
  }
  if (!done) co_return std::move(done).error();
  shrink_ = std::max<std::int64_t>(1, shrink_ / 2);
  co_return Pace::more;
}

Task<Result<std::int64_t>> Rotations::left_under(const Rotation& row, Pass which) {
  auto job = co_await job_of(row);
  if (!job) co_return std::move(job).error();
  std::int64_t out = 0;
  for (auto* rows : deps_.rows) {
    // What has no cleaning of its own must still be as it was after moving.
    auto as =
        which == Pass::clean && rows->takes_part(row.kind, Pass::clean) ? Pass::clean : Pass::move;
    if (!rows->takes_part(row.kind, as)) continue;
    auto left = co_await rows->left(*job, as);
    if (!left) co_return std::move(left).error();
    out += *left;
  }
  co_return out;
}

Task<Result<Rotations::Pace>> Rotations::check(Rotation row, Pass which) {
  auto left = co_await left_under(row, which);
  if (!left) co_return std::move(left).error();
  if (*left > 0 || row.refused > 0) {
    if (row.refused > 0 || row.rounds >= kRounds) co_return co_await halt(std::move(row), *left);
    row.rounds += 1;
    row.looked = 0;
    co_return co_await advance(
        std::move(row), which == Pass::move ? Phase::moving : Phase::cleaning, "keys.rotating");
  }
  if (which == Pass::clean || !has_pass(row.kind, Pass::clean))
    co_return co_await enter_waiting(std::move(row));
  row.looked = 0;
  if (row.kind != KeyKind::external)
    co_return co_await advance(std::move(row), Phase::cleaning, "keys.rotating");
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return Pace::soon;
  // From here on rows are found by the new key; both are still written.
  row.phase = Phase::switching;
  if (auto done = co_await hand_out({}, row); !done) co_return std::move(done).error();
  co_return co_await advance(std::move(row), Phase::switching, "keys.rotating");
}

/// When nobody looks by the old key any more, nobody writes under it either.
Task<Result<Rotations::Pace>> Rotations::switch_over(Rotation row) {
  if (!deps_.held.let_go()) co_return Pace::soon;
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return Pace::soon;
  row.phase = Phase::clearing;
  if (auto done = co_await hand_out({}, row); !done) co_return std::move(done).error();
  co_return co_await advance(std::move(row), Phase::clearing, "keys.rotating");
}

Task<Result<Rotations::Pace>> Rotations::halt(Rotation row, std::int64_t left) {
  const bool found_by_new = row.found_by_new();
  row.phase = Phase::stopped;
  row.source = found_by_new;
  row.after.clear();
  auto event = event_of("keys.stopped", row);
  event.outcome = journal::Outcome::failed;
  event.reason = "corrupt";
  event.facts.emplace_back("left", left);
  event.facts.emplace_back("refused", row.refused);
  auto done = co_await put(row, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Pace::idle;
}

/// Read back: nothing is left. The entry that says so is what a proof is made of.
Task<Result<Rotations::Pace>> Rotations::enter_waiting(Rotation row) {
  auto now = deps_.time();
  if (!now) co_return Pace::soon;
  auto event = event_of("keys.rotated", row);
  event.facts.emplace_back("left", std::int64_t{0});
  event.facts.emplace_back("moved", row.moved);
  auto proved = co_await deps_.context.journal.commit(Caller{}, {}, std::move(event));
  if (!proved) co_return std::move(proved).error();
  row.proof = proved->receipt.event.text();
  row.all_moved = *now;
  row.due =
      *now + std::max(row.at_once ? Millis(0) : deps_.settings.window, shortest_wait(row.kind));
  co_return co_await advance(std::move(row), Phase::waiting, "keys.rotating");
}

/// Rows that need the old key, read at this moment.
Task<Result<std::int64_t>> Rotations::needed_still(const Rotation& row) {
  const auto keys = deps_.held.get();
  if (!keys) co_return locked();
  const auto which = has_pass(row.kind, Pass::clean) ? Pass::clean : Pass::move;
  // A later rotation may have moved the rows on meanwhile.
  auto now = row;
  if (auto use = use_of(row.kind)) now.to = keys->ring.active_id(*use);
  co_return co_await left_under(now, which);
}

/// Said before it is done, so that a crash between the two is made good at the next start.
Task<Result<Rotations::Pace>> Rotations::announce(Rotation row) {
  auto left = co_await needed_still(row);
  if (!left) co_return std::move(left).error();
  if (*left > 0) co_return co_await halt(std::move(row), *left);
  co_return co_await advance(std::move(row), Phase::destroying, "keys.destroy");
}

Task<Result<Rotations::Pace>> Rotations::destroy(Rotation row) {
  if (row.source < static_cast<std::int64_t>(sources(row.kind, Pass::drop).size()))
    co_return co_await pass(std::move(row), Pass::drop, Phase::destroying);
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return Pace::soon;
  if (!deps_.held.get()) co_return locked();
  auto now = deps_.time();
  if (!now) co_return Pace::soon;
  // What cannot be undone goes by what is there, not by what the row says.
  auto left = co_await needed_still(row);
  if (!left) co_return std::move(left).error();
  if (*left > 0) co_return co_await halt(std::move(row), *left);
  auto forgotten = deps_.forget_backups(*now - deps_.settings.window);
  if (!forgotten) co_return std::move(forgotten).error();
  if (auto use = use_of(row.kind)) {
    const auto keys = deps_.held.get();
    if (!keys) co_return locked();
    if (keys->ring.find(*use, row.from) && keys->ring.active_id(*use) != row.from) {
      auto ring = deps_.save(keys->ring.without(*use, row.from));
      if (!ring) co_return std::move(ring).error();
      row.generation = static_cast<std::int64_t>(ring->generation());
      if (auto done = co_await hand_out(std::move(*ring), row); !done)
        co_return std::move(done).error();
    }
  }
  auto event = event_of("keys.destroyed", row);
  event.facts.emplace_back("backups_destroyed", *forgotten);
  event.facts.emplace_back("generation", row.generation);
  auto said = co_await deps_.context.journal.commit(Caller{}, {}, std::move(event));
  if (!said) co_return std::move(said).error();
  row.proof = said->receipt.event.text();
  row.finished = *now;
  co_return co_await advance(std::move(row), Phase::done, "keys.rotating");
}

Task<void> Rotations::run(std::function<void(const Error*)> tell) {
  bool failing = false;
  while (!stopping_) {
    const auto began = deps_.context.clock.mono();
    auto done = co_await step();
    const bool failed = !done && done.error().code != Code::locked;
    if (failed && !failing) tell(&done.error());
    if (done && failing) tell(nullptr);
    failing = failed;
    if (done && *done == Pace::more) {
      // Others get as much of the machine as this takes.
      if (deps_.context.journal.busy())
        co_await rest(std::min(
            Millis(50), std::chrono::duration_cast<Millis>(deps_.context.clock.mono() - began)));
      continue;
    }
    auto pause = done ? (*done == Pace::soon ? Millis(20) : Millis(1000)) : Millis(5000);
    for (Millis slept(0); slept < pause && !stopping_; slept += Millis(20))
      co_await rest(Millis(20));
  }
}

}  // namespace holdfast::vault
