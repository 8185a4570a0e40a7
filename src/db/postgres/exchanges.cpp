#include "db/postgres/exchanges.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "db/sql.h"

namespace holdfast::db::postgres {
namespace {

constexpr int kMostTries = 5;
constexpr std::string_view kMigration = "migration";

bool yields(const PGresult* result) {
  auto status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

std::int64_t count_of(const PGresult* result) {
  const char* text = PQcmdTuples(const_cast<PGresult*>(result));
  std::int64_t count = 0;
  std::from_chars(text, text + std::strlen(text), count);
  return count;
}

bool is_bulk(const Write& write) {
  return write.sql != nullptr && write.rows.size() != 1;
}

}  // namespace

// ── reads

void ReadExchange::send(Connection& to) {
  for (auto& request : requests_) {
    auto& read = std::get<Read>(request->what);
    to.execute(*read.sql, lane_.shape(*read.sql), Mode::plain, read.args);
  }
  to.sync();
}

void ReadExchange::result(Connection&, const PGresult* result) {
  if (at_ >= requests_.size()) return;
  auto& request = requests_[at_++];
  auto& read = std::get<Read>(request->what);
  if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED) {
    left_out_.push_back(request);
  } else if (!yields(result)) {
    auto failure = failure_of(result, nullptr, read.sql->name, lane_.bugs());
    leave_ |= failure.leave;
    if ((failure.again || failure.leave) && ++request->tries < kMostTries)
      left_out_.push_back(request);
    else
      request->answer(std::move(failure.error), lane_.mail());
  } else if (auto rows = rows_of(result)) {
    read.waiter.answer(std::move(*rows), lane_.mail());
  } else {
    lane_.bugs()(read.sql->name, "yields a type that no table has");
    request->answer(Error(Code::internal, "a statement yields an unknown type"), lane_.mail());
  }
}

bool ReadExchange::synced(bool) {
  lane_.again(std::move(left_out_));
  return !leave_;
}

/// A read may be repeated: nothing depends on whether it ran.
void ReadExchange::lost() {
  for (std::size_t i = at_; i < requests_.size(); ++i) left_out_.push_back(requests_[i]);
  Requests again;
  for (auto& request : left_out_) {
    if (++request->tries < kMostTries)
      again.push_back(request);
    else
      request->answer(lost_connection(), lane_.mail());
  }
  lane_.again(std::move(again));
}

bool ReadExchange::forgotten() const {
  auto answered = [](const auto& request) { return request->answered(); };
  return std::ranges::all_of(requests_, answered);
}

// ── commits

Changes& CommitExchange::changes(std::size_t request) {
  return std::get<Commit>(requests_[request]->what).changes;
}

void CommitExchange::send(Connection& to) {
  committed_.resize(requests_.size());
  for (std::uint32_t i = 0; i < requests_.size(); ++i) send(to, i);
  if (deciding_) {
    to.flush_server();
    if (steps_.empty()) decide(to);
  } else {
    to.sync();
  }
}

void CommitExchange::send(Connection& to, std::uint32_t request) {
  const auto& writes = changes(request).writes();
  committed_[request].returned.resize(writes.size());
  if (requests_.size() == 1) counted_.assign(writes.size(), 0);
  if (patient()) {
    to.execute("select set_config('statement_timeout', '0', true)");
    steps_.push_back({request, static_cast<std::uint32_t>(writes.size())});
    modes_.push_back(Mode::plain);
  }
  for (std::uint32_t w = 0; w < writes.size(); ++w) {
    const Write& write = writes[w];
    auto expect_step = [&](Mode mode) {
      steps_.push_back({request, w});
      modes_.push_back(mode);
    };
    if (write.sql == nullptr) {
      auto text = translate(Dialect::postgres, write.script);
      for (auto statement : split_script(text->text)) {
        to.execute(std::string(statement));
        expect_step(Mode::plain);
      }
      continue;
    }
    const Shape& shape = lane_.shape(*write.sql);
    Mode mode = is_bulk(write) ? Mode::plain : shape.mode(write.expect);
    deciding_ |= is_bulk(write) && write.expect.kind != Expect::Kind::any;
    for (const Args& args : write.rows) {
      to.execute(*write.sql, shape, mode, args, bounds_of(write.expect));
      expect_step(mode);
    }
  }
}

void CommitExchange::result(Connection& from, const PGresult* result) {
  bool expected = at_ < steps_.size();
  Step step = expected ? steps_[at_] : Step{static_cast<std::uint32_t>(requests_.size() - 1), 0};
  if (yields(result)) {
    if (expected) take(step, result);
  } else if (!failure_ && PQresultStatus(result) != PGRES_PIPELINE_ABORTED) {
    fail(step, result);
  }
  ++at_;
  if (deciding_ && at_ == steps_.size()) decide(from);
}

void CommitExchange::take(const Step& step, const PGresult* result) {
  const auto& writes = changes(step.request).writes();
  if (step.write >= writes.size() || failure_) return;
  const Write& write = writes[step.write];
  Mode mode = modes_[at_];
  if (requests_.size() == 1) counted_[step.write] += count_of(result);
  if (mode == Mode::counted || PQnfields(result) == 0) return;

  bool nothing =
      mode == Mode::rows && PQntuples(result) == 1 &&
      std::string_view(PQgetvalue(result, 0, 0), 8) == std::string_view("\0\0\0\0\0\0\0\0", 8);
  auto rows = rows_of(result, mode == Mode::plain ? 0 : 1);
  if (nothing) rows = Rows(rows ? rows->columns() : 0);
  if (rows) {
    committed_[step.request].returned[step.write].append(std::move(*rows));
  } else {
    lane_.bugs()(write.sql->name, "yields a type that no table has");
    if (deciding_) failure_ = Failure{Error(Code::internal, "a statement yields an unknown type")};
  }
}

void CommitExchange::fail(const Step& step, const PGresult* result) {
  const auto& writes = changes(step.request).writes();
  const Write* write = step.write < writes.size() ? &writes[step.write] : nullptr;
  static const Write kNone{.rows = {}, .error = Changes::changed()};
  std::string_view name = write && write->sql ? write->sql->name : kMigration;
  failure_ = failure_of(result, write ? write : &kNone, name, lane_.bugs());
  failed_ = step.request;
  // Said in place of a statement's answer: the Sync behind it has committed nothing.
  if (failure_->leave && at_ < steps_.size())
    failure_->again = failure_->error.code == Code::unavailable;
}

void CommitExchange::decide(Connection& from) {
  deciding_ = false;
  const auto& writes = changes(0).writes();
  for (std::size_t i = 0; i < writes.size() && !failure_; ++i) {
    Bounds bounds = bounds_of(writes[i].expect);
    bool right = counted_[i] >= bounds.low && counted_[i] <= bounds.high;
    if (is_bulk(writes[i]) && !right) failure_ = Failure{writes[i].error};
  }
  // An error is what makes the Sync undo instead of commit.
  if (failure_) from.execute("select holdfast_unexpected()");
  from.sync();
}

bool CommitExchange::synced(bool warned) {
  if (failure_) {
    bool leave = failure_->leave;
    lane_.note(&failure_->error);
    send_again();
    return !leave;
  }
  lane_.note(nullptr);
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (warned)
      requests_[i]->answer({Code::unavailable, "the commit may not have reached the standby"},
                           lane_.mail());
    else
      std::get<Commit>(requests_[i]->what).waiter.answer(std::move(committed_[i]), lane_.mail());
  }
  return true;
}

void CommitExchange::send_again() {
  if (requests_.size() == 1) {
    if (failure_->again && ++requests_[0]->tries < kMostTries)
      lane_.again(std::move(requests_));
    else
      requests_[0]->answer(std::move(failure_->error), lane_.mail());
    return;
  }
  for (std::size_t i = 0; i < requests_.size(); ++i)
    requests_[i]->alone = i == failed_ || ++requests_[i]->tries > 1;
  lane_.again(std::move(requests_));
}

void CommitExchange::lost() {
  if (failure_ && failure_->again) return send_again();
  for (auto& request : requests_) request->answer(lost_connection(), lane_.mail());
  Error error = lost_connection();
  lane_.note(&error);
}

bool CommitExchange::patient() const {
  for (const auto& request : requests_)
    for (const Write& write : std::get<Commit>(request->what).changes.writes())
      if (write.sql == nullptr) return true;
  return false;
}

}  // namespace holdfast::db::postgres
