#include "access/cache.h"

#include <sodium.h>

#include <algorithm>
#include <map>

#include "access/store.h"

namespace holdfast::access {
namespace {

constexpr std::size_t kMostTouches = 1'000;  // named in one event about tampering

std::uint64_t random_number() {
  std::uint64_t out = 0;
  randombytes_buf(&out, sizeof out);
  return out;
}

/// The stored kind as one that outlives the event.
std::string_view kind_of(const Finding& finding) {
  for (auto kind : {kKeys, kRoles, kManifest})
    if (finding.kind == kind) return kind;
  return "access_authority";
}

/// Whoever wrote the row chose its id: only what looks like one is passed on.
std::string id_of(const Finding& finding) {
  auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return finding.id.size() <= 64 && std::ranges::all_of(finding.id, fits) ? finding.id : "?";
}

}  // namespace

/// One thread's view. Belongs to the cache whose number it carries.
struct Cache::Slot {
  std::uint64_t instance = 0;
  std::uint64_t epoch = 0;
  MonoTime asked{};
  std::shared_ptr<const Snapshot> snapshot;  // shared with requests under way
};

Cache::Cache(Deps deps) : deps_(deps), instance_(random_number()), highest_(deps.policy_known) {}

Cache::Slot& Cache::slot() const {
  thread_local Slot slot;
  if (slot.instance != instance_) slot = {.instance = instance_};
  return slot;
}

std::shared_ptr<const Snapshot> Cache::here() const {
  const auto& mine = slot();
  if (mine.epoch != epoch_.load(std::memory_order_acquire)) return nullptr;
  return deps_.clock.mono() - mine.asked < kAskEvery ? mine.snapshot : nullptr;
}

std::shared_ptr<const Snapshot> Cache::shared() const {
  std::lock_guard lock(mutex_);
  return shared_;
}

Task<Result<std::shared_ptr<const Snapshot>>> Cache::current(MonoTime deadline) {
  if (auto snapshot = here()) co_return snapshot;
  co_return co_await refresh(deadline);
}

Task<Result<std::shared_ptr<const Snapshot>>> Cache::refresh(MonoTime deadline) {
  // Both are read before the database is asked: a change in between is seen next time.
  const auto epoch = epoch_.load(std::memory_order_acquire);
  const auto asked = deps_.clock.mono();
  auto generation = co_await deps_.journal.generation(deadline);
  if (!generation) {
    const auto& mine = slot();
    if (mine.snapshot && mine.epoch == epoch && asked - mine.asked < kTrustFor)
      co_return mine.snapshot;
    co_return std::move(generation).error();
  }
  auto snapshot = shared();
  if (!snapshot || snapshot->generation < *generation) {
    auto loaded = co_await load(*generation, deadline);
    if (!loaded) co_return std::move(loaded).error();
    snapshot = std::move(*loaded);
  }
  slot() = {instance_, epoch, asked, snapshot};
  co_return snapshot;
}

Task<Result<std::shared_ptr<const Snapshot>>> Cache::load(std::uint64_t generation,
                                                          MonoTime deadline) {
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  // Read before the rows: another core may raise it meanwhile, which is no roll-back.
  const auto at_least = highest_.load();
  auto rows = co_await read_authority(deps_.journal.reader(), deadline);
  if (!rows) co_return std::move(rows).error();
  auto authority = check(std::move(*rows), keys->ring, at_least);
  saw(authority.version);

  auto snapshot = make_snapshot(generation, std::move(authority), shared().get());
  {
    std::lock_guard lock(mutex_);
    if (!shared_ || shared_->generation <= generation) shared_ = snapshot;
  }
  co_await report(snapshot);
  co_return snapshot;
}

void Cache::saw(std::int64_t version) {
  for (auto known = highest_.load(); known < version;)
    if (highest_.compare_exchange_weak(known, version)) break;
  deps_.notices.policy_seen(version);
}

Task<Result<void>> Cache::inspect(MonoTime deadline) {
  auto generation = co_await deps_.journal.generation(deadline);
  if (!generation) co_return std::move(generation).error();
  auto loaded = co_await load(*generation, deadline);
  if (!loaded) co_return std::move(loaded).error();
  changed();
  co_return Result<void>();
}

Task<void> Cache::report(std::shared_ptr<const Snapshot> snapshot) {
  std::map<std::string_view, std::vector<Finding>> fresh;
  {
    std::lock_guard lock(mutex_);
    for (const auto& finding : snapshot->authority.findings)
      if (reported_.insert(finding).second) fresh[finding.what].push_back(finding);
  }
  for (auto& [what, findings] : fresh) {
    found_.fetch_add(findings.size(), std::memory_order_relaxed);
    journal::Event event{.activity = "access.tampered",
                         .outcome = journal::Outcome::failed,
                         .reason = what,
                         .facts = {{"rows", static_cast<std::int64_t>(findings.size())}}};
    for (const auto& finding : findings) {
      if (event.touches.size() == kMostTouches) break;
      deps_.notices.tampered(kind_of(finding), id_of(finding), what);
      event.touches.push_back({.kind = kind_of(finding), .row = to_bytes(id_of(finding))});
    }
    auto recorded = co_await deps_.journal.commit(Caller{}, {}, std::move(event));
    if (recorded) continue;
    std::lock_guard lock(mutex_);  // not recorded: again at the next load
    for (const auto& finding : findings) reported_.erase(finding);
  }
}

}  // namespace holdfast::access
