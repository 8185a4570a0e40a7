// One TLS connection: bytes in and out, under one timer. Everything runs on the connection's core.
// Buffers are wiped as soon as their bytes were used or sent.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "http/limits.h"

namespace holdfast::http {

class Transport : public std::enable_shared_from_this<Transport> {
 public:
  enum class State { handshake, idle, busy };

  Transport(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& context,
            const ServerLimits& limits);
  ~Transport();

  boost::asio::any_io_executor executor() { return stream_.get_executor(); }
  State state = State::handshake;

  /// Errors: invalid (plain HTTP, or no common version or cipher), unavailable (slow or gone).
  Task<Result<void>> handshake();

  /// What has arrived and was not consumed. Valid until the next fill.
  std::string_view buffered() const { return {in_.data() + begin_, end_ - begin_}; }
  void consume(std::size_t count);
  /// Waits for more, keeping at most `most` bytes buffered. Errors: unavailable.
  Task<Result<void>> fill(std::size_t most);

  /// Sends all of it, and leaves it wiped and empty. Its deadline grows with the size, up to
  /// `latest`. Errors: unavailable.
  Task<Result<void>> send(std::string& bytes, MonoTime latest = MonoTime::max());

  /// What is waited for, now or next, must be there by then. One timer serves all of them: it is
  /// armed for the earliest and looks again when it fires.
  void deadline(MonoTime at);
  void deadline_in(std::chrono::milliseconds time) { deadline(MonoTime::clock::now() + time); }
  bool timed_out() const { return timed_out_; }
  /// After a time-out: one more try, to say so.
  void forgive(std::chrono::milliseconds time);

  /// Ends the connection. `linger`: the client may still be sending; reads on for a moment, so that
  /// it sees the answer and not a reset.
  Task<void> close(bool linger);
  /// At once, from the connection's core.
  void cut();
  bool is_cut() const { return cut_; }

 private:
  void arm(MonoTime at);
  void on_timer();
  Task<Result<void>> speaks_tls();

  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  boost::asio::steady_timer timer_;
  const ServerLimits& limits_;
  std::string in_;
  std::size_t begin_ = 0, end_ = 0;
  MonoTime deadline_ = MonoTime::max(), armed_ = MonoTime::max();
  bool waiting_ = false;  // for the socket
  bool timed_out_ = false;
  bool cut_ = false;
};

}  // namespace holdfast::http
