// The kinds of Exchange: a session that comes in, reads that wait together, one or several commits.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "db/postgres/connection.h"
#include "db/postgres/lane.h"

namespace holdfast::db::postgres {

/// Whether a new session may write into the schema: see Hold.
class EntryExchange final : public Exchange {
 public:
  explicit EntryExchange(Lane& lane) : lane_(lane) {}

  void send(Connection& to) override;
  void result(Connection& from, const PGresult* result) override;
  bool synced(bool warned) override;
  void lost() override {}

 private:
  Lane& lane_;
  bool failed_ = false;  // it was not answered, so that nothing is known
  bool let_in_ = true;
};

/// Each read is answered when its result comes; one without arguments that several wait for is
/// executed once. After an error the server leaves out the rest of the pipeline, which then goes
/// out again.
class ReadExchange final : public Exchange {
 public:
  ReadExchange(Lane& lane, Requests requests) : lane_(lane), requests_(std::move(requests)) {}

  void send(Connection& to) override;
  void result(Connection& from, const PGresult* result) override;
  bool synced(bool warned) override;
  void lost() override;
  bool forgotten() const override;

 private:
  Lane& lane_;
  Requests requests_;
  std::vector<Requests> waiting_;  // by execution
  std::size_t at_ = 0;
  Requests left_out_;
  bool leave_ = false;
};

/// All or nothing: when one of several fails nothing is committed, and they go out again, that one
/// alone. Of several with the same statements equal guards are executed once, and the rows that one
/// of their statements inserts go out as one; when that fails each of them goes out alone. Bulk
/// rows are executed as they are, inserts as arrays, and counted here before the Sync commits them.
class CommitExchange final : public Exchange {
 public:
  /// `joined`: one of the few exchanges that small commits share.
  CommitExchange(Lane& lane, Requests requests, bool joined)
      : lane_(lane), requests_(std::move(requests)), joined_(joined) {}

  void send(Connection& to) override;
  void result(Connection& from, const PGresult* result) override;
  bool synced(bool warned) override;
  void lost() override;
  bool patient() const override;
  bool joined() const override { return joined_; }

 private:
  /// One execution: which write of which request it belongs to, and of which others.
  struct Step {
    std::uint32_t request;
    std::uint32_t write;
    std::vector<std::uint32_t> others{};
  };

  Changes& changes(std::size_t request);
  void send(Connection& to, std::uint32_t request);
  void send(Connection& to, std::uint32_t request, std::uint32_t write);
  /// Requests with the same statements, two or more.
  void send_alike(Connection& to, std::span<const std::uint32_t> requests);
  void send_guards(Connection& to, std::span<const std::uint32_t> requests, std::uint32_t write);
  /// The same insert of several requests. False when it cannot be sent so.
  bool send_inserts(Connection& to, std::span<const std::uint32_t> requests, std::uint32_t write);
  /// False when these rows cannot be sent as arrays.
  bool spread(Connection& to, const Sql& sql, std::span<const Args* const> rows, Step step);
  void expect_step(Step step, Mode mode);
  void take(const Step& step, const PGresult* result);
  void fail(const Step& step, const PGresult* result);
  /// Ends the pipeline once the counts of bulk rows are known.
  void decide(Connection& from);
  void send_again();

  Lane& lane_;
  Requests requests_;
  bool joined_;
  std::vector<Step> steps_;
  std::vector<Mode> modes_;  // by step
  std::size_t at_ = 0;
  std::vector<Committed> committed_;   // by request
  std::vector<std::int64_t> counted_;  // by write, for a request alone
  bool deciding_ = false;
  std::optional<Failure> failure_;
  std::size_t failed_ = 0;   // the request
  bool each_alone_ = false;  // nobody can say which one failed
};

}  // namespace holdfast::db::postgres
