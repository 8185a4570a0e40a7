#include "support/fake_journal.h"

#include <utility>

#include "db/migrations.h"

namespace holdfast::test {
namespace {

constexpr db::Sql kReadGeneration{"fake_journal.read_generation",
                                  "select generation from journal_generation where id = 1"};
constexpr db::Sql kGuardGeneration{
    "fake_journal.guard_generation",
    "select 1 from journal_generation where id = 1 and generation = $1"};

}  // namespace

Task<Result<void>> FakeJournal::migrate() {
  auto pending = co_await db::pending_migrations(reader(), db::embedded_migrations());
  if (!pending) co_return std::move(pending).error();
  for (const auto& migration : *pending) {
    auto applied = co_await writer_->commit(db::apply(migration, to_ms(clock_.now())));
    if (!applied) co_return std::move(applied).error();
  }
  co_return Result<void>();
}

Task<Result<journal::Written>> FakeJournal::commit(const Caller& caller, db::Changes changes,
                                                   journal::Event event) {
  if (fail) co_return Error(Code::unavailable, "the journal is told to fail");
  // `caller` is a reference: what is needed after the wait is copied before it.
  Recorded recorded{.caller = caller,
                    .event = std::move(event),
                    .receipt = {.event = EventId::make(clock_.now()), .at = clock_.now()}};
  // First, because the changes may bump the generation; what it yields is taken out again below.
  const bool guarded = caller.generation != 0;
  db::Changes all;
  if (guarded)
    all.guard(kGuardGeneration, {static_cast<std::int64_t>(caller.generation)},
              Error(Code::stale, "the policy changed meanwhile"));
  all.append(std::move(changes));

  journal::Written out{.receipt = recorded.receipt};
  if (!all.empty()) {
    auto committed = co_await writer_->commit(std::move(all), recorded.caller.deadline);
    if (!committed) co_return std::move(committed).error();
    out.committed = std::move(*committed);
    if (guarded) out.committed.returned.erase(out.committed.returned.begin());
  }
  {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(recorded));
  }
  for (int left = lose_replies; left > 0;)
    if (lose_replies.compare_exchange_weak(left, left - 1))
      co_return Error(Code::unavailable, "the journal is told to lose its reply");
  co_return out;
}

Task<Result<std::uint64_t>> FakeJournal::generation(MonoTime deadline) {
  if (away) co_return Error(Code::unavailable, "the database is told to be away");
  auto rows = co_await reader().read(kReadGeneration, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return static_cast<std::uint64_t>((*rows)[0].integer(0));
}

Task<Result<void>> FakeJournal::afterlog(std::string_view kind, Bytes id) {
  if (fail) co_return Error(Code::unavailable, "the journal is told to fail");
  std::lock_guard lock(mutex_);
  afterlogged_.push_back({std::string(kind), std::move(id)});
  co_return Result<void>();
}

Task<Result<void>> FakeJournal::tamper(db::Changes changes) {
  auto written = co_await writer_->commit(std::move(changes));
  if (!written) co_return std::move(written).error();
  co_return Result<void>();
}

std::vector<FakeJournal::Recorded> FakeJournal::events() const {
  std::lock_guard lock(mutex_);
  return events_;
}

std::vector<FakeJournal::Recorded> FakeJournal::events(std::string_view activity) const {
  auto out = events();
  std::erase_if(out, [&](const Recorded& one) { return one.event.activity != activity; });
  return out;
}

std::vector<FakeJournal::Afterlogged> FakeJournal::afterlogged() const {
  std::lock_guard lock(mutex_);
  return afterlogged_;
}

void FakeJournal::forget_events() {
  std::lock_guard lock(mutex_);
  events_.clear();
}

}  // namespace holdfast::test
