#include "journal/journal_time.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "base/secret.h"
#include "crypto/hash.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr Millis kSaveEach{3'600'000};
constexpr Millis kCompareEach{60'000};
constexpr Millis kComparedAtMost{300'000};
constexpr Millis kSaidWithin{300'000};

constexpr db::Sql kReadTime{
    "journal.read_time",
    "select version, time_ms, mono_ms, boot, allowance_ms, confirmations, mac_key, mac "
    "from journal_time where id = 1"};
constexpr db::Sql kPutTime{
    "journal.put_time",
    "insert into journal_time (id, version, time_ms, mono_ms, boot, allowance_ms, confirmations, "
    "mac_key, mac) values (1, $1, $2, $3, $4, $5, $6, $7, $8)"};
constexpr db::Sql kMoveTime{
    "journal.move_time",
    "update journal_time set version = $2, time_ms = $3, mono_ms = $4, boot = $5, "
    "allowance_ms = $6, confirmations = $7, mac_key = $8, mac = $9 where id = 1 and version = $1"};
constexpr db::Sql kOldestEntry{"journal.oldest_entry",
                               "select id from journal_entries order by seq limit 1"};

std::int64_t in_ms(MonoTime mono) {
  return std::chrono::duration_cast<Millis>(mono.time_since_epoch()).count();
}
Millis between(MonoTime from, MonoTime to) {
  return std::max(Millis(0), std::chrono::duration_cast<Millis>(to - from));
}
Error written_meanwhile() {
  return {Code::conflict, "journal time was written by another node meanwhile; repeat"};
}
Error forged() {
  return {Code::corrupt,
          "journal time in the database is not as Holdfast wrote it, so nothing is destroyed: look "
          "into it, then run `holdfast keys confirm-time`"};
}

}  // namespace

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string line;
  std::getline(file, line);
  return line.size() <= 64 ? line : std::string();
}

Bytes JournalTime::mac(const crypto::KeySet& keys, std::uint32_t key, const Kept& kept) {
  const auto* secret = keys.ring.find(crypto::KeyUse::authority, key);
  if (!secret) return {};
  Bytes input;
  put_part(input, std::string_view("holdfast journal time"));
  for (auto number :
       {kept.version, kept.time_ms, kept.mono_ms, kept.allowance_ms, kept.confirmations})
    put_u64(input, static_cast<std::uint64_t>(number));
  put_part(input, kept.boot);
  crypto::Hmac made(secret->expose());
  return to_bytes(BytesView(made.mac(input)));
}

/// The row, or nothing when there is none. Notes in fault_ whether it is as Holdfast wrote it.
Task<Result<std::optional<JournalTime::Kept>>> JournalTime::read(const crypto::KeySet& keys) {
  auto rows = co_await deps_.journal.reader().read(kReadTime, {});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::optional<Kept>();
  auto row = (*rows)[0];
  Kept out{.version = row.integer(0),
           .time_ms = row.integer(1),
           .mono_ms = row.integer(2),
           .boot = std::string(row.text(3)),
           .allowance_ms = row.integer(4),
           .confirmations = row.integer(5)};
  auto key = static_cast<std::uint32_t>(std::clamp<std::int64_t>(row.integer(6), 0, UINT32_MAX));
  auto expected = mac(keys, key, out);
  bool whole = !expected.empty() && equal_constant_time(expected, row.bytes(7));
  std::scoped_lock lock(mutex_);
  fault_ = whole ? std::nullopt : std::optional(forged());
  co_return std::optional(std::move(out));
}

/// Where journal time begins in a store that has none: at its oldest entry. In a new store that is
/// now; where the row was taken out it is a gap like any other.
Task<Result<Time>> JournalTime::first_time() {
  auto rows = co_await deps_.journal.reader().read(kOldestEntry, {});
  if (!rows) co_return std::move(rows).error();
  auto now = deps_.clock.now();
  if (rows->empty()) co_return now;
  auto id = EventId::from((*rows)[0].bytes(0));
  if (!id) co_return Error(Code::corrupt, "the oldest entry of the journal has no id");
  co_return std::min(now, time_of(id->uuid));
}

Task<Result<void>> JournalTime::open() {
  auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "journal time needs the keyring: unlock the server");
  auto kept = co_await read(*keys);
  if (!kept) co_return std::move(kept).error();
  Kept next;
  if (*kept) {
    next = **kept;
  } else {
    auto first = co_await first_time();
    if (!first) co_return std::move(first).error();
    next = {.time_ms = to_ms(*first), .allowance_ms = kTimeAllowance.count()};
  }
  const auto from = from_ms(next.time_ms);
  const auto wall = deps_.clock.now();
  const auto mono = deps_.clock.mono();
  bool trusted = false;
  {
    std::scoped_lock lock(mutex_);
    trusted = !fault_;
    auto time = from;
    if (trusted && *kept && !next.boot.empty() && next.boot == options_.boot &&
        next.mono_ms <= in_ms(mono)) {
      auto passed = Millis(in_ms(mono) - next.mono_ms);
      time += passed;
      next.allowance_ms =
          std::min((Millis(next.allowance_ms) + passed).count(), kTimeAllowance.count());
    }
    auto gap = wall - time;
    if (trusted && options_.continued && gap > Millis(0) && gap.count() <= next.allowance_ms) {
      time = wall;
      next.allowance_ms -= gap.count();
    }
    kept_ = next;
    base_ = time;
    base_mono_ = saved_mono_ = mono;
    open_ = true;
  }
  if (auto done = co_await compare(); !done && done.error().code != Code::unavailable)
    co_return std::move(done).error();
  if (!trusted) co_return Result<void>();
  {
    std::scoped_lock lock(mutex_);
    next.time_ms = to_ms(reached());
  }
  auto done = co_await write({}, std::move(next), "journal.time", from);
  // Another node that starts at the same moment wrote the same; the next save takes it over.
  if (!done && done.error().code == Code::conflict) co_return Result<void>();
  co_return done;
}

Time JournalTime::reached() const {
  return base_ + between(base_mono_, deps_.clock.mono());
}

/// What is to be written down now: the allowance is refilled by what was measured since.
JournalTime::Kept JournalTime::measured() const {
  auto out = kept_;
  out.time_ms = to_ms(reached());
  out.allowance_ms = std::min(out.allowance_ms + between(saved_mono_, deps_.clock.mono()).count(),
                              kTimeAllowance.count());
  return out;
}

Task<Result<void>> JournalTime::write(Caller caller, Kept next, std::string_view activity,
                                      Time from) {
  auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "journal time needs the keyring: unlock the server");
  const auto before = next.version;
  const auto mono = deps_.clock.mono();
  ++next.version;
  next.mono_ms = in_ms(mono);
  next.boot = options_.boot;
  const auto key = keys->ring.active_id(crypto::KeyUse::authority);
  auto sealed = mac(*keys, key, next);
  db::Changes changes;
  if (before == 0)
    changes.write(kPutTime,
                  {next.version, next.time_ms, next.mono_ms, next.boot, next.allowance_ms,
                   next.confirmations, std::int64_t{key}, std::move(sealed)},
                  db::Expect::exactly(1), written_meanwhile());
  else
    changes.write(kMoveTime,
                  {before, next.version, next.time_ms, next.mono_ms, next.boot, next.allowance_ms,
                   next.confirmations, std::int64_t{key}, std::move(sealed)},
                  db::Expect::exactly(1), written_meanwhile());
  Event event{.activity = activity,
              .facts = {{"allowance_ms", next.allowance_ms},
                        {"clock", rfc3339(deps_.clock.now())},
                        {"from", rfc3339(from)},
                        {"time", rfc3339(from_ms(next.time_ms))}}};
  auto done = co_await deps_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  std::scoped_lock lock(mutex_);
  kept_ = std::move(next);
  saved_mono_ = mono;
  co_return Result<void>();
}

Task<Result<void>> JournalTime::save() {
  auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "journal time needs the keyring: unlock the server");
  std::int64_t known = 0;
  {
    std::scoped_lock lock(mutex_);
    if (!open_) co_return Error(Code::unavailable, "journal time has not been read yet");
    if (fault_) co_return *fault_;
    known = kept_.confirmations;
  }
  auto now = co_await read(*keys);
  if (!now) co_return std::move(now).error();
  Kept next;
  Time from;
  {
    std::scoped_lock lock(mutex_);
    if (fault_) co_return *fault_;
    next = measured();
    if (*now) {
      // What another node's owner confirmed holds here too; else the one that is ahead has
      // measured from the same start.
      const auto& other = **now;
      next.version = other.version;
      if (other.confirmations != known) {
        next.confirmations = other.confirmations;
        next.allowance_ms = other.allowance_ms;
        next.time_ms = other.time_ms;
      } else {
        next.time_ms = std::max(next.time_ms, other.time_ms);
      }
      from = from_ms(other.time_ms);
    } else {
      next.version = 0;
      from = from_ms(next.time_ms);
    }
    base_ = from_ms(next.time_ms);
    base_mono_ = deps_.clock.mono();
  }
  co_return co_await write({}, std::move(next), "journal.time", from);
}

Task<Result<void>> JournalTime::compare() {
  if (!deps_.database) co_return Result<void>();
  auto before = deps_.clock.now();
  auto theirs = co_await deps_.database(deps_.clock.mono() + kDatabaseDrift);
  auto after = deps_.clock.now();
  if (!theirs) co_return std::move(theirs).error();
  std::scoped_lock lock(mutex_);
  compared_ = deps_.clock.mono();
  drift_.reset();
  if (*theirs) drift_ = before + (after - before) / 2 - **theirs;
  co_return Result<void>();
}

Task<Result<void>> JournalTime::tick() {
  auto compared = co_await compare();
  bool due = false;
  {
    std::scoped_lock lock(mutex_);
    due = between(saved_mono_, deps_.clock.mono()) >= kSaveEach;
  }
  if (due)
    if (auto done = co_await save(); !done) co_return done;
  co_return compared;
}

Result<Time> JournalTime::now_locked() const {
  if (!deps_.keys.get())
    return Error(Code::locked, "the server is locked: nothing is destroyed meanwhile");
  if (!open_) return Error(Code::unavailable, "journal time has not been read yet");
  if (fault_) return *fault_;
  if (deps_.database) {
    if (!compared_ || between(*compared_, deps_.clock.mono()) > kComparedAtMost)
      return Error(Code::unavailable,
                   "this node's clock could not be compared with the database's for five minutes, "
                   "so nothing is destroyed: see that the database can be reached");
    if (drift_ && std::chrono::abs(*drift_) > kDatabaseDrift)
      return Error(Code::unavailable,
                   "this node's clock lies more than 2 s from the database's, so nothing is "
                   "destroyed: set both by NTP");
  }
  const auto time = reached();
  const auto wall = deps_.clock.now();
  if (time - wall > kClockBehind)
    return Error(Code::unavailable,
                 "the clock lies behind journal time, so it was set back and nothing is destroyed: "
                 "set it right, or where it is right, run `holdfast keys confirm-time`");
  return std::min(time, wall);
}

Result<Time> JournalTime::now() const {
  std::scoped_lock lock(mutex_);
  return now_locked();
}

TimeStatus JournalTime::status() const {
  std::scoped_lock lock(mutex_);
  auto usable = now_locked();
  auto wall = deps_.clock.now();
  auto time = open_ ? reached() : Time{};
  return {.time = usable ? *usable : time,
          .wall = wall,
          .behind = wall - time,
          .allowance = Millis(measured().allowance_ms),
          .confirmations = kept_.confirmations,
          .database = drift_,
          .refused = usable ? std::nullopt : std::optional(std::move(usable).error())};
}

Task<Result<TimeStatus>> JournalTime::confirm(Caller caller, Time said) {
  auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "journal time needs the keyring: unlock the server");
  auto wall = deps_.clock.now();
  if (std::chrono::abs(wall - said) > kSaidWithin)
    co_return Error(Code::invalid,
                    "the time that you give and the server's clock lie more than five minutes "
                    "apart: set the clock right first")
        .at("time");
  if (auto done = co_await compare(); !done) co_return std::move(done).error();
  {
    std::scoped_lock lock(mutex_);
    if (!open_) co_return Error(Code::unavailable, "journal time has not been read yet");
    if (drift_ && std::chrono::abs(*drift_) > kDatabaseDrift)
      co_return Error(Code::unavailable,
                      "this node's clock lies more than 2 s from the database's: set both by NTP");
  }
  auto now = co_await read(*keys);
  if (!now) co_return std::move(now).error();
  Kept next;
  Time from;
  {
    std::scoped_lock lock(mutex_);
    from = reached();
    next = kept_;
  }
  next.version = *now ? (**now).version : 0;
  next.confirmations =
      (*now ? std::max((**now).confirmations, next.confirmations) : next.confirmations) + 1;
  next.allowance_ms = kTimeAllowance.count();
  wall = deps_.clock.now();
  next.time_ms = to_ms(wall);
  const auto mono = deps_.clock.mono();
  if (auto done = co_await write(std::move(caller), std::move(next), "keys.confirm_time", from);
      !done)
    co_return std::move(done).error();
  {
    std::scoped_lock lock(mutex_);
    fault_.reset();
    base_ = wall;
    base_mono_ = mono;
  }
  co_return status();
}

Task<void> keep_time(KeepTimeDeps deps) {
  constexpr Millis kStep{100};
  bool failing = false;
  for (std::int64_t step = 1; !deps.stop; ++step) {
    co_await pause_for(kStep);
    if (step % (kCompareEach / kStep) != 0) continue;
    auto done = co_await deps.time.tick();
    if (!done && done.error().code == Code::locked) continue;
    if (!done) deps.tell(&done.error());
    if (done && failing) deps.tell(nullptr);
    failing = !done;
  }
  if (auto done = co_await deps.time.save(); !done && done.error().code != Code::locked)
    deps.tell(&done.error());
}

std::span<const db::Sql* const> JournalTime::statements() {
  static constexpr const db::Sql* kAll[] = {&kReadTime, &kPutTime, &kMoveTime, &kOldestEntry};
  return kAll;
}

}  // namespace holdfast::journal
