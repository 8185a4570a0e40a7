// One non-blocking connection to PostgreSQL in pipeline mode. It connects by itself, again and
// again with growing pauses, and carries one Exchange at a time. Lives on the I/O thread.
#pragma once

#include <libpq-fe.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "db/postgres/settings.h"
#include "db/postgres/shape.h"
#include "db/postgres/wire.h"

namespace holdfast::db::postgres {

class Connection;

/// Statements that go out together, up to one Sync, in one implicit transaction.
class Exchange {
 public:
  virtual ~Exchange() = default;
  /// Sends everything, and either the Sync or (to decide later) a flush.
  virtual void send(Connection& to) = 0;
  /// What one execution yielded, in the order of sending: rows, an error, or that it was left out
  /// since an earlier one failed. An error that belongs to no execution comes here too.
  virtual void result(Connection& from, const PGresult* result) = 0;
  /// The Sync was answered: what had no error is committed. False when the connection is of no use
  /// any more.
  virtual bool synced(bool warned) = 0;
  /// The connection broke before that.
  virtual void lost() = 0;
  /// May take as long as it takes (migrations).
  virtual bool patient() const { return false; }
  /// Nobody waits for it any more, and nothing depends on its end.
  virtual bool forgotten() const { return false; }
  /// Carries commits of several.
  virtual bool joined() const { return false; }
};

class Connection {
 public:
  /// `enter` makes what a new session carries before it is ready; it may be empty.
  /// `changed` is called when the connection became ready, idle, or broke. All outlive it.
  using Enter = std::function<std::unique_ptr<Exchange>()>;
  Connection(boost::asio::io_context& io, const Settings& settings, Enter enter,
             std::function<void()> changed);
  ~Connection() { close(); }

  void start();
  /// Connected, and not carrying anything.
  bool idle() const { return state_ == State::ready && !exchange_; }
  bool ready() const { return state_ == State::ready; }
  bool busy() const { return state_ == State::ready && exchange_; }
  const Exchange* carried() const { return exchange_.get(); }
  /// Only when idle.
  void run(std::unique_ptr<Exchange> exchange);
  /// Whoever it carries is told that it is lost, and it connects anew.
  void break_off();
  void close();

  // For exchanges, while they are carried.

  /// Prepares the statement when it is new here. Arguments were checked.
  void execute(const Sql& sql, const Shape& shape, Mode mode, const Args& args, Bounds bounds = {});
  void execute(const Sql& sql, const Shape& shape, Mode mode, const Parameters& parameters);
  /// A statement that is not kept.
  void execute(const std::string& text);
  void execute(const std::string& text, const Parameters& parameters);
  void sync();
  /// Makes the server answer what was sent, without ending the transaction.
  void flush_server();
  /// Executions that were not answered yet.
  std::size_t awaited() const { return awaited_.size(); }

 private:
  enum class State { idle, connecting, ready, pausing, closed };
  struct Variant {
    const char* source = nullptr;  // of the text, to notice an address that is used again
    std::vector<Oid> types;
    std::string name;
    bool broken = false;
  };
  /// What the next result answers.
  struct Awaited {
    Variant* preparing = nullptr;
    bool left_out = false;  // its preparation failed, which was already told
  };

  void poll();
  void wait(boost::asio::posix::stream_descriptor::wait_type what, void (Connection::*then)());
  bool attach();
  void connected();
  void serve();
  void readable();
  void flush();
  void take_results();
  void take(PgResult result);
  void pause();
  Variant* prepared(const Sql& sql, const Shape& shape, Mode mode, const Parameters& parameters);
  static void notice(void* self, const PGresult* result);

  boost::asio::io_context& io_;
  const Settings& settings_;
  Enter enter_;
  std::function<void()> changed_;
  boost::asio::steady_timer timer_;
  std::minstd_rand random_{std::random_device{}()};
  std::chrono::milliseconds pause_;

  State state_ = State::idle;
  PGconn* pg_ = nullptr;
  std::optional<boost::asio::posix::stream_descriptor> socket_;
  std::uint64_t epoch_ = 0;  // of socket_: late wake-ups of an old one are dropped
  bool writing_ = false;     // a wait for room in the socket runs
  bool failed_ = false;      // libpq refused to send

  std::unique_ptr<Exchange> exchange_;
  std::deque<Awaited> awaited_;
  bool sync_awaited_ = false;
  bool warned_ = false;
  struct Key {
    const Sql* sql;
    Mode mode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<const void*>()(key.sql) ^ static_cast<std::size_t>(key.mode);
    }
  };
  std::unordered_map<Key, std::vector<std::unique_ptr<Variant>>, KeyHash> statements_;
  std::size_t names_ = 0;
};

}  // namespace holdfast::db::postgres
