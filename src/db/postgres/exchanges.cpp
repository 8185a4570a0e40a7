#include "db/postgres/exchanges.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "db/sql.h"

namespace holdfast::db::postgres {
namespace {

constexpr int kMostTries = 5;
constexpr std::size_t kFewestSpread = 4;
constexpr std::size_t kSpreadAtOnce = 1'000;  // rows, so that arrays stay of a few MiB
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

/// Whether the same writes of several requests may be sent write by write. Not where a guard that
/// another request's insert could break stands before an insert: there each goes after the other.
bool may_go_together(std::span<const Write> writes) {
  bool decides = false;
  for (const Write& write : writes) {
    if (write.expect.kind != Expect::Kind::guard) {
      if (decides) return false;
    } else {
      decides |= !write.sql->text.ends_with("{{for share}}");
    }
  }
  return true;
}

/// Of guards: lists are taken for different.
bool same_args(const Args& a, const Args& b) {
  return std::ranges::equal(a, b, [](const Value& one, const Value& other) {
    return one.index() == other.index() && std::visit(
                                               [&other]<class T>(const T& value) {
                                                 if constexpr (std::is_same_v<T, List>)
                                                   return false;
                                                 else
                                                   return value == std::get<T>(other);
                                               },
                                               one);
  });
}

bool is_bulk(const Write& write) {
  return write.sql != nullptr && write.rows.size() != 1;
}

}  // namespace

// ── coming in

/// In this order: once the session has its share nobody else can take the schema, so that the token
/// which it sees then stays.
void EntryExchange::send(Connection& to) {
  for (const auto& text : lane_.entry()) to.execute(text);
  to.sync();
}

void EntryExchange::result(Connection&, const PGresult* result) {
  const bool answered = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
                        PQnfields(result) == 1 && PQgetlength(result, 0, 0) == 1;
  failed_ |= !answered;
  let_in_ &= answered && *PQgetvalue(result, 0, 0) == 1;
}

bool EntryExchange::synced(bool) {
  if (failed_) return false;
  lane_.entered(let_in_);
  return let_in_;
}

// ── reads

void ReadExchange::send(Connection& to) {
  for (auto& request : requests_) {
    auto& read = std::get<Read>(request->what);
    auto same = std::ranges::find_if(waiting_, [&](const Requests& others) {
      const auto& other = std::get<Read>(others.front()->what);
      return read.args.empty() && other.sql == read.sql && other.args.empty();
    });
    if (same != waiting_.end()) {
      same->push_back(request);
      continue;
    }
    waiting_.push_back({request});
    to.execute(*read.sql, lane_.shape(*read.sql), Mode::plain, read.args);
  }
  to.sync();
}

void ReadExchange::result(Connection&, const PGresult* result) {
  if (at_ >= waiting_.size()) return;
  for (auto& request : waiting_[at_++]) {
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
}

bool ReadExchange::synced(bool) {
  lane_.again(std::move(left_out_));
  return !leave_;
}

/// A read may be repeated: nothing depends on whether it ran.
void ReadExchange::lost() {
  for (; at_ < waiting_.size(); ++at_)
    left_out_.insert(left_out_.end(), waiting_[at_].begin(), waiting_[at_].end());
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

void CommitExchange::expect_step(Step step, Mode mode) {
  steps_.push_back(std::move(step));
  modes_.push_back(mode);
}

void CommitExchange::send(Connection& to) {
  committed_.resize(requests_.size());
  std::vector<std::vector<std::uint32_t>> alike;
  for (std::uint32_t i = 0; i < requests_.size(); ++i) {
    committed_[i].returned.resize(changes(i).writes().size());
    auto found = std::ranges::find_if(alike, [&](const auto& group) {
      return std::ranges::equal(changes(group.front()).writes(), changes(i).writes(), {},
                                &Write::sql, &Write::sql);
    });
    if (found == alike.end())
      alike.push_back({i});
    else
      found->push_back(i);
  }
  for (const auto& group : alike) {
    if (group.size() > 1 && may_go_together(changes(group.front()).writes()))
      send_alike(to, group);
    else
      for (auto request : group) send(to, request);
  }
  if (deciding_) {
    to.flush_server();
    if (steps_.empty()) decide(to);
  } else {
    to.sync();
  }
}

void CommitExchange::send(Connection& to, std::uint32_t request) {
  const auto count = static_cast<std::uint32_t>(changes(request).writes().size());
  if (requests_.size() == 1) counted_.assign(count, 0);
  if (patient()) {
    to.execute("select set_config('statement_timeout', '0', true)");
    expect_step({request, count}, Mode::plain);
  }
  for (std::uint32_t w = 0; w < count; ++w) send(to, request, w);
}

void CommitExchange::send(Connection& to, std::uint32_t request, std::uint32_t w) {
  const Write& write = changes(request).writes()[w];
  if (write.sql == nullptr) {
    auto text = translate(Dialect::postgres, write.script);
    for (auto statement : split_script(text->text)) {
      to.execute(std::string(statement));
      expect_step({request, w}, Mode::plain);
    }
    return;
  }
  const Shape& shape = lane_.shape(*write.sql);
  if (!is_bulk(write)) {
    const auto mode = shape.mode(write.expect);
    to.execute(*write.sql, shape, mode, write.rows.front(), bounds_of(write.expect));
    return expect_step({request, w}, mode);
  }
  deciding_ |= write.expect.kind != Expect::Kind::any;
  std::vector<const Args*> rows;
  for (const Args& args : write.rows) rows.push_back(&args);
  if (rows.size() >= kFewestSpread && spread(to, *write.sql, rows, {request, w})) return;
  for (const Args* args : rows) {
    to.execute(*write.sql, shape, Mode::plain, *args);
    expect_step({request, w}, Mode::plain);
  }
}

/// One execution for up to kSpreadAtOnce rows: each costs the server its start and its end.
bool CommitExchange::spread(Connection& to, const Sql& sql, std::span<const Args* const> rows,
                            Step step) {
  const Shape& shape = lane_.shape(sql);
  const auto kinds = shape.spread ? column_kinds(rows) : std::nullopt;
  if (!kinds) return false;
  while (!rows.empty()) {
    const auto part = rows.first(std::min(kSpreadAtOnce, rows.size()));
    rows = rows.subspan(part.size());
    const Parameters arrays(part, *kinds);
    if (std::ranges::count(*kinds, std::size_t{0}) > 0)
      to.execute(text_of(*shape.spread, *kinds), arrays);
    else
      to.execute(sql, shape, Mode::spread, arrays);
    expect_step(step, Mode::spread);
  }
  return true;
}

/// Write by write: what a later one of a request refers to is there by then, and what a guard sees
/// beside its own is committed with it.
void CommitExchange::send_alike(Connection& to, std::span<const std::uint32_t> requests) {
  const auto& writes = changes(requests.front()).writes();
  for (std::uint32_t w = 0; w < writes.size(); ++w) {
    if (writes[w].expect.kind == Expect::Kind::guard)
      send_guards(to, requests, w);
    else if (!send_inserts(to, requests, w))
      for (auto request : requests) send(to, request, w);
  }
}

void CommitExchange::send_guards(Connection& to, std::span<const std::uint32_t> requests,
                                 std::uint32_t w) {
  const auto first = static_cast<std::ptrdiff_t>(steps_.size());
  for (auto request : requests) {
    const auto& args = changes(request).writes()[w].rows.front();
    auto same = std::find_if(steps_.begin() + first, steps_.end(), [&](const Step& step) {
      return same_args(changes(step.request).writes()[w].rows.front(), args);
    });
    if (same != steps_.end())
      same->others.push_back(request);
    else
      send(to, request, w);
  }
}

bool CommitExchange::send_inserts(Connection& to, std::span<const std::uint32_t> requests,
                                  std::uint32_t w) {
  std::vector<const Args*> rows;
  for (auto request : requests) {
    const auto& write = changes(request).writes()[w];
    if (write.rows.size() != 1 || lane_.shape(*write.sql).mode(write.expect) != Mode::plain)
      return false;
    rows.push_back(&write.rows.front());
  }
  Step step{requests.front(), w, {requests.begin() + 1, requests.end()}};
  return spread(to, *changes(requests.front()).writes()[w].sql, rows, std::move(step));
}

void CommitExchange::result(Connection& from, const PGresult* result) {
  const bool expected = at_ < steps_.size();
  const Step none{static_cast<std::uint32_t>(requests_.size() - 1), 0};
  const Step& step = expected ? steps_[at_] : none;
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
    for (auto other : step.others)  // of a guard
      committed_[other].returned[step.write].append(*rows_of(result, 1));
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
  each_alone_ = !step.others.empty();
  // Said by PostgreSQL in place of a statement's answer: the Sync behind it has committed nothing.
  // In place of the Sync's it may have.
  if (failure_->leave && at_ >= steps_.size()) failure_->again = false;
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
    requests_[i]->alone = each_alone_ || i == failed_ || ++requests_[i]->tries > 1;
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
