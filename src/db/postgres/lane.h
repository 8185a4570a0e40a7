// What waits for one kind of connection (reads, writes, scratch), and how it is joined: reads that
// wait together go out in one pipeline, and so do small commits that only guard and insert. Lives
// on the I/O thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <list>
#include <memory>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "db/answer.h"
#include "db/database.h"
#include "db/postgres/connection.h"
#include "db/postgres/failure.h"

namespace holdfast::db::postgres {

struct Read {
  const Sql* sql;
  Args args;
  Waiter<Rows> waiter;
};
struct Commit {
  Changes changes;
  Waiter<Committed> waiter;
};
/// One read or commit from the moment it is handed over until it is answered and done with.
struct Request {
  std::variant<Read, Commit> what;
  MonoTime deadline = MonoTime::max();
  int tries = 0;
  bool alone = false;                    // is not joined with others any more
  int ticks = 0;                         // waited without any connection
  std::shared_ptr<const int> present{};  // see Io::present_

  bool answered() const;
  void answer(Error error, Mail& mail);
};
using Requests = std::vector<std::shared_ptr<Request>>;

class Lane {
 public:
  struct Options {
    std::size_t connections = 8;
    Millis statement_timeout{10'000};
    /// What a new connection runs first (see Hold); nothing where none is needed.
    std::vector<std::string> entry{};
  };

  /// All of these outlive it.
  /// `turned` is called after anything has changed.
  Lane(boost::asio::io_context& io, const Settings& settings, Options options, Shapes& shapes,
       const Clock& clock, const BugSink& bugs, std::function<void()> turned);

  /// Opens the first connection; others follow when all are busy.
  void start();
  void submit(std::shared_ptr<Request> request);
  /// Called every kTick while restless: answers who is late, and leaves connections that hang.
  void tick();
  bool restless() const { return !live_.empty() || failure_; }
  /// Nothing waits and nothing is carried.
  bool quiet() const;
  bool connected() const;
  /// Answers all that is left with unavailable, and leaves the server.
  void close();

  static constexpr Millis kTick{20};

  // For exchanges.

  /// Puts requests in front of the queue again.
  void again(Requests requests);
  const std::vector<std::string>& entry() const { return options_.entry; }
  /// What the entry came to. Without it nothing is carried: all that waits, and what comes until a
  /// connection is let in, is answered at once.
  void entered(bool let_in);
  /// How a commit went, for health().
  void note(const Error* failure);
  Mail& mail() { return mail_; }
  /// The shape of a statement that submit() has checked.
  const Shape& shape(const Sql& sql) { return **shapes_.of(sql); }
  const BugSink& bugs() const { return bugs_; }
  /// Why writing does not work; a failure is believed for 5 s.
  Health health() const;

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    int busy_ticks = 0;
  };

  using Queue = std::deque<std::shared_ptr<Request>>;

  Result<void> check(const Request& request);
  Result<void> check(const Write& write);
  bool joinable(const Request& request);
  void put(std::shared_ptr<Request> request, bool front);
  void answer_all(const Error& error);
  void wake();
  void pump();
  bool carry_one(Connection& connection);
  Requests take(Queue& queue, std::size_t most);
  Connection* idle();
  std::size_t joined_carried() const;
  void grow();

  boost::asio::io_context& io_;
  const Settings& settings_;
  Options options_;
  Shapes& shapes_;
  const Clock& clock_;
  const BugSink& bugs_;
  std::function<void()> turned_;
  Mail mail_;

  std::vector<Slot> slots_;
  Queue reads_, commits_, joinable_;
  std::list<std::weak_ptr<Request>> live_;
  bool woken_ = false;
  bool closed_ = false;
  bool refused_ = false;  // the schema is another server's
  std::optional<Error> failure_;
  int failure_ticks_ = 0;
};

}  // namespace holdfast::db::postgres
