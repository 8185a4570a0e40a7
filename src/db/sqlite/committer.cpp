#include "db/sqlite/committer.h"

#include <algorithm>
#include <future>
#include <utility>

namespace holdfast::db::sqlite {
namespace {

constexpr int kHealthy = -1;
constexpr std::size_t kGroupRows = 4'096;
constexpr int kCheckpointPages = 512;    // 2 MiB
constexpr int kImpatientPages = 16'384;  // 64 MiB
constexpr Millis kReaderPatience{100};
constexpr std::chrono::seconds kRest{1};

constexpr Sql kBegin{"db.begin", "begin immediate"};
constexpr Sql kCommit{"db.commit", "commit"};
constexpr Sql kSavepoint{"db.savepoint", "savepoint request"};
constexpr Sql kRelease{"db.release", "release request"};
constexpr Sql kUndo{"db.undo", "rollback to request"};

/// Guards and then one row at most: SQLite undoes a failed statement by itself.
bool stands_alone(const Changes& changes) {
  const auto& writes = changes.writes();
  for (std::size_t i = 0; i < writes.size(); ++i) {
    bool last = i + 1 == writes.size();
    bool guard = writes[i].expect.kind == Expect::Kind::guard;
    if (writes[i].sql == nullptr || writes[i].rows.size() > 1 || !(guard || last)) return false;
  }
  return true;
}

bool holds(const Expect& expect, std::int64_t changed, std::size_t rows) {
  switch (expect.kind) {
    case Expect::Kind::any:
      return true;
    case Expect::Kind::exactly:
      return changed == expect.rows;
    case Expect::Kind::at_most:
      return changed <= expect.rows;
    case Expect::Kind::guard:
      return rows > 0;
  }
  return false;
}

Error stopping() {
  return {Code::unavailable, "the database is closing"};
}

}  // namespace

Committer::Committer(std::unique_ptr<Connection> connection, const Clock& clock,
                     std::function<void()> watched, std::unique_ptr<Reserve> reserve)
    : connection_(std::move(connection)),
      clock_(clock),
      demand_(clock),
      watched_(std::move(watched)),
      reserve_(std::move(reserve)),
      fault_(kHealthy),
      checkpoint_at_(kCheckpointPages),
      thread_([this] { serve(); }) {}

void Committer::submit(Changes changes, MonoTime deadline, Waiter<Committed> waiter) {
  Mail mail;
  {
    std::lock_guard lock(mutex_);
    if (closing_) {
      waiter.answer(stopping(), mail);
    } else if (low_on_space() && changes.grows()) {
      waiter.answer(error_of(Fault::full), mail);
    } else {
      demand_.note(changes, others_wait());
      queue_.push_back(
          std::make_unique<Request>(Request{std::move(changes), deadline, std::move(waiter)}));
    }
  }
  wake_.notify_one();
  mail.send();
  if (deadline != MonoTime::max()) watched_();
}

bool Committer::others_wait() const {
  auto foreground = [](const auto& request) { return !request->changes.background(); };
  return std::ranges::any_of(running_, foreground) || std::ranges::any_of(queue_, foreground);
}

Health Committer::health() const {
  int fault = fault_;
  if (fault == kHealthy) return {.writable = true, .reason = "ok"};
  return {.writable = false, .reason = error_of(static_cast<Fault>(fault)).text};
}

Result<void> Committer::run_alone(Job job) {
  std::promise<Result<void>> done;
  {
    std::lock_guard lock(mutex_);
    if (closing_) return stopping();
    auto request = std::make_unique<Request>();
    request->job = [&done, work = std::move(job)](Connection& connection) -> Result<void> {
      done.set_value(work(connection));
      return {};
    };
    queue_.push_back(std::move(request));
  }
  wake_.notify_one();
  return done.get_future().get();
}

bool Committer::answer_late() {
  Mail mail;
  bool others = false;
  MonoTime now = clock_.mono();
  {
    std::lock_guard lock(mutex_);
    for (auto* requests : {&queue_, &running_}) {
      for (auto& request : *requests) {
        if (!request->waiter || request->waiter->answered()) continue;
        if (request->deadline < now)
          request->waiter->answer(error_of(Fault::deadline), mail);
        else
          others |= request->deadline != MonoTime::max();
      }
    }
  }
  mail.send();
  return others;
}

void Committer::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Committer::serve() {
  if (reserve_) reserve_->keep();
  std::unique_lock lock(mutex_);
  auto awake = [this] { return closing_ || !queue_.empty(); };
  while (true) {
    if (connection_->wal_pages() > 0 || fault_ != kHealthy || low_on_space())
      wake_.wait_for(lock, kRest, awake);
    else
      wake_.wait(lock, awake);
    if (queue_.empty() && closing_) break;
    Mail late;
    take_group(late);
    lock.unlock();
    late.send();
    if (running_.empty())
      rest();
    else
      run_group();
    lock.lock();
  }
  lock.unlock();
  connection_->checkpoint(Connection::Checkpoint::truncate, kReaderPatience);
  connection_.reset();
}

/// Moves what waits from queue_ to running_: as many as fit, but a job alone.
void Committer::take_group(Mail& mail) {
  std::size_t rows = 0;
  std::size_t taken = 0;
  MonoTime now = clock_.mono();
  for (; taken < queue_.size() && rows < kGroupRows; ++taken) {
    auto& request = queue_[taken];
    if (request->job && !running_.empty()) break;
    bool late = request->waiter && (request->waiter->answered() || request->deadline < now);
    if (late) request->waiter->answer(error_of(Fault::deadline), mail);
    if (late) continue;
    rows += request->job ? kGroupRows : 1 + rows_in(request->changes);
    running_.push_back(std::move(request));
  }
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
}

void Committer::run_group() {
  std::vector<std::optional<Result<Committed>>> outcomes(running_.size());
  if (const Job& job = running_.front()->job)
    (void)job(*connection_);
  else
    commit(running_, outcomes);

  Mail mail;
  {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < running_.size(); ++i)
      if (auto& waiter = running_[i]->waiter) waiter->answer(std::move(*outcomes[i]), mail);
    running_.clear();
  }
  mail.send();
  keep_log_short();
  if (low_on_space()) reserve_->keep();
}

void Committer::commit(Group group, Outcomes outcomes) {
  Tried tried = try_commit(group, outcomes, false);
  while (tried == Tried::redo) tried = try_commit(group, outcomes, true);
  if (tried != Tried::split) return;
  for (std::size_t i = 0; i < group.size(); ++i) {
    auto alone = [&] { return try_commit(group.subspan(i, 1), outcomes.subspan(i, 1), true); };
    tried = alone();
    while (tried == Tried::redo) tried = alone();
    if (tried == Tried::split) outcomes[i] = Result<Committed>(Changes::changed());
  }
}

Committer::Tried Committer::try_commit(Group group, Outcomes outcomes, bool savepoints) {
  if (auto begun = connection_->run(kBegin, {}); !begun) return fail(outcomes, begun.error());
  for (std::size_t i = 0; i < group.size(); ++i) {
    auto applied = apply(group[i]->changes, savepoints);
    if (applied) {
      outcomes[i] = std::move(*applied);
    } else if (applied.error().fault) {
      return fail(outcomes, *applied.error().fault);
    } else {
      (void)connection_->exec("rollback");
      return Tried::redo;
    }
  }
  auto committed = connection_->run(kCommit, {});
  if (!committed && committed.error() == Fault::constraint) {
    (void)connection_->exec("rollback");
    return Tried::split;
  }
  if (!committed) return fail(outcomes, committed.error());
  fault_ = kHealthy;
  return Tried::done;
}

Committer::Tried Committer::fail(Outcomes outcomes, Fault fault) {
  if (!connection_->autocommit()) (void)connection_->exec("rollback");
  if (fault == Fault::full && reserve_ && reserve_->give()) return Tried::redo;
  for (auto& outcome : outcomes) outcome = Result<Committed>(error_of(fault));
  fault_ = static_cast<int>(fault);
  return Tried::done;
}

std::expected<Result<Committed>, Committer::Stop> Committer::apply(const Changes& changes,
                                                                   bool savepoint) {
  savepoint |= !stands_alone(changes);
  if (savepoint)
    if (auto set = connection_->run(kSavepoint, {}); !set)
      return std::unexpected(Stop{set.error()});

  Committed committed;
  for (const Write& write : changes.writes()) {
    auto applied = apply_write(write);
    if (!applied) return std::unexpected(Stop{applied.error()});
    if (applied->rows) {
      committed.returned.push_back(std::move(*applied->rows));
      continue;
    }
    if (!savepoint && applied->changed) return std::unexpected(Stop{});
    if (savepoint)
      for (const Sql* undo : {&kUndo, &kRelease})
        if (auto undone = connection_->run(*undo, {}); !undone)
          return std::unexpected(Stop{undone.error()});
    return std::move(applied->rows).error();
  }
  if (savepoint)
    if (auto kept = connection_->run(kRelease, {}); !kept)
      return std::unexpected(Stop{kept.error()});
  return committed;
}

std::expected<Committer::Applied, Fault> Committer::apply_write(const Write& write) {
  if (write.sql == nullptr) {
    auto done = connection_->script(write.script);
    if (!done) return failed(write, done.error(), true);
    return Applied{Rows(), true};
  }
  Rows rows;
  std::int64_t changed = 0;
  bool guard = write.expect.kind == Expect::Kind::guard;
  for (const Args& args : write.rows) {
    auto ran = connection_->run(*write.sql, args);
    if (!ran) return failed(write, ran.error(), changed > 0);
    changed += ran->changed;
    rows.append(std::move(ran->rows));
    if (ran->writes == guard)
      return Applied{Error(Code::internal, "a guard must be a select, any other write must not"),
                     changed > 0};
  }
  if (!holds(write.expect, changed, rows.size())) return Applied{write.error, changed > 0};
  return Applied{std::move(rows), changed > 0};
}

/// A fault of the disk or of the transaction concerns all of the group, others only this request.
std::expected<Committer::Applied, Fault> Committer::failed(const Write& write, Fault fault,
                                                           bool changed) {
  if (connection_->autocommit()) return std::unexpected(fault);
  switch (fault) {
    case Fault::constraint:
      return Applied{write.error, changed};
    case Fault::refused:
      return Applied{connection_->refusal(), changed};
    case Fault::bug:
    case Fault::corrupt:
      return Applied{error_of(fault), changed};
    default:
      return std::unexpected(fault);
  }
}

/// A passive checkpoint each 2 MiB (a pause of a few ms; at 8 MiB it showed in the p99) moves pages
/// without waiting for readers; the log starts anew as soon as no reader uses it. Past 64 MiB the
/// writer waits a moment for them.
void Committer::keep_log_short() {
  int pages = connection_->wal_pages();
  if (pages < kCheckpointPages) checkpoint_at_ = kCheckpointPages;
  if (pages < checkpoint_at_) return;
  bool impatient = pages >= kImpatientPages;
  connection_->checkpoint(
      impatient ? Connection::Checkpoint::restart : Connection::Checkpoint::passive,
      kReaderPatience);
  checkpoint_at_ = connection_->wal_pages() + kCheckpointPages;
}

/// Nobody waits: see whether a fault has passed, leave nothing in the log, and keep space back
/// again.
void Committer::rest() {
  if (fault_ != kHealthy) {
    bool fine = connection_->run(kBegin, {}) && connection_->exec("pragma user_version = 1") &&
                connection_->run(kCommit, {});
    if (!connection_->autocommit()) (void)connection_->exec("rollback");
    if (fine) fault_ = kHealthy;
  }
  if (connection_->wal_pages() > 0)
    connection_->checkpoint(Connection::Checkpoint::truncate, kReaderPatience);
  if (reserve_) reserve_->keep();
}

}  // namespace holdfast::db::sqlite
