// A Journal for tests: changes go into a real database, events into a vector. There is no log, no
// witness and no sealing; what a test looks at is what a service asked to have recorded.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "journal/journal.h"
#include "support/fake_clock.h"

namespace holdfast::test {

/// Guards the caller's policy generation as the real one does. The database and the clock must
/// outlive it; it takes the database's one Writer.
/// Threads: safe; the switches may be set from any thread.
class FakeJournal final : public journal::Journal {
 public:
  struct Recorded {
    Caller caller;
    journal::Event event;
    journal::Receipt receipt;
  };
  struct Afterlogged {
    std::string kind;
    Bytes id;
  };

  FakeJournal(db::Database& database, FakeClock& clock)
      : database_(database), clock_(clock), writer_(database.take_writer()) {}

  /// Every commit, and every line of the afterlog, fails with unavailable and changes nothing.
  std::atomic<bool> fail = false;
  /// The next so many commits happen, but the caller hears unavailable.
  std::atomic<int> lose_replies = 0;
  /// generation() fails, as when the database is away.
  std::atomic<bool> away = false;

  /// Applies every room's migrations. Call it first.
  Task<Result<void>> migrate();

  Task<Result<journal::Written>> commit(const Caller& caller, db::Changes changes,
                                        journal::Event event) override;
  db::Reader& reader() override { return database_.reader(); }
  db::Scratch& scratch() override { return database_.scratch(); }
  db::Load load() const override { return writer_->load(); }
  Task<Result<std::uint64_t>> generation(MonoTime deadline) override;
  Task<Result<void>> afterlog(std::string_view kind, Bytes id) override;

  /// Writes behind the server's back: no event, no generation.
  Task<Result<void>> tamper(db::Changes changes);

  std::vector<Recorded> events() const;
  /// Of one activity.
  std::vector<Recorded> events(std::string_view activity) const;
  std::vector<Afterlogged> afterlogged() const;
  void forget_events();

 private:
  db::Database& database_;
  FakeClock& clock_;
  std::unique_ptr<db::Writer> writer_;
  mutable std::mutex mutex_;
  std::vector<Recorded> events_;
  std::vector<Afterlogged> afterlogged_;
};

}  // namespace holdfast::test
