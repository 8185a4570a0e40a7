// The thread on which all traffic with PostgreSQL runs. Requests come from any thread and their
// answers go back to the executors of those who wait; in between nothing is shared.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "db/demand.h"
#include "db/postgres/lane.h"

namespace holdfast::db::postgres {

/// Threads: every public function may be called from any thread.
class Io {
 public:
  enum class Kind { read, write, scratch };

  /// `options` and `clock` must outlive it. `entry`: see Hold in session.h.
  Io(const PostgresOptions& options, const std::string& synchronous_commit,
     std::vector<std::string> entry, const Clock& clock);
  ~Io() { close(); }

  void submit(Kind kind, std::shared_ptr<Request> request);
  Health health() const;
  Load load() const { return demand_.load(); }
  /// Waits for what was accepted (at most 15 s), then leaves the server. Idempotent.
  void close();

 private:
  struct Arrived {
    Kind kind;
    std::shared_ptr<Request> request;
  };

  void take_arrived();
  void publish();
  void keep_ticking();
  void tick();
  void leave();
  Lane& lane(Kind kind);

  Demand demand_;
  Settings reader_settings_, writer_settings_, scratch_settings_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  Shapes shapes_;
  Lane reads_, writes_, scratch_;
  bool ticking_ = false;
  int closing_ticks_ = -1;  // not closing

  mutable std::mutex mutex_;
  std::vector<Arrived> arrived_;                                   // guarded by mutex_
  bool closed_ = false;                                            // guarded by mutex_
  Health health_;                                                  // guarded by mutex_
  std::shared_ptr<const int> present_ = std::make_shared<int>(0);  // shared by others' commits
  std::thread thread_;                                             // last: it uses all of the above
};

}  // namespace holdfast::db::postgres
