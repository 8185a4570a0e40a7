#include "http/transport.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <openssl/ssl.h>

#include "base/secret.h"

namespace holdfast::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kSmallBuffer = 4 * 1024;
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr std::chrono::milliseconds kLingerTime{1000};
constexpr char kTlsHandshake = 0x16;  // the first byte of a ClientHello record
constexpr std::string_view kPlainAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n"
    "Connection: close\r\n\r\nThis port speaks HTTPS: use https://\r\n";

Error gone() {
  return Error(Code::unavailable, "the client went away");
}
Error slow() {
  return Error(Code::unavailable, "the client was too slow");
}

void wipe_range(std::string& text, std::size_t from, std::size_t to) {
  wipe({reinterpret_cast<std::uint8_t*>(text.data()) + from, to - from});
}

}  // namespace

Transport::Transport(tcp::socket socket, asio::ssl::context& context, const ServerLimits& limits)
    : stream_(std::move(socket), context), timer_(stream_.get_executor()), limits_(limits) {
  // Asio lets OpenSSL give its record buffers back after each record, and each time all 17 KiB of
  // them are wiped: a tenth of a small request's time. Kept, only the plaintext is wiped.
  SSL_clear_mode(stream_.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  error_code ignored;
  stream_.next_layer().set_option(tcp::no_delay(true), ignored);
}

Transport::~Transport() {
  wipe(in_);
}

void Transport::consume(std::size_t count) {
  wipe_range(in_, begin_, begin_ + count);
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

Task<Result<void>> Transport::fill(std::size_t most) {
  if (timed_out_) co_return slow();
  if (begin_ > 0) {
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(begin_),
              in_.begin() + static_cast<std::ptrdiff_t>(end_), in_.begin());
    wipe_range(in_, end_ - begin_, end_);
    end_ -= std::exchange(begin_, 0);
  }
  if (end_ == 0 && in_.size() > std::max(most, kSmallBuffer)) {  // after a large body
    wipe(in_);
    in_.shrink_to_fit();
  }
  if (end_ >= most) co_return Error(Code::too_large, "more bytes than the buffer takes");
  if (end_ == in_.size()) {
    std::string wider(std::clamp(in_.size() * 4, kSmallBuffer, std::max(most, kSmallBuffer)), '\0');
    std::copy(in_.begin(), in_.end(), wider.begin());
    wipe(in_);
    in_ = std::move(wider);
  }
  waiting_ = true;
  auto room = std::min(in_.size(), most) - end_;
  auto [ec, count] =
      co_await stream_.async_read_some(asio::buffer(in_.data() + end_, room), kTuple);
  waiting_ = false;
  if (timed_out_) co_return slow();
  if (ec) co_return gone();
  end_ += count;
  co_return Result<void>();
}

Task<Result<void>> Transport::send(std::string& bytes, MonoTime latest) {
  auto extra = std::chrono::milliseconds(bytes.size() * 1000 / limits_.body_rate / 16);
  deadline(std::min(latest, MonoTime::clock::now() + limits_.write_time + extra));
  error_code ec = asio::error::timed_out;
  if (!timed_out_) {
    waiting_ = true;
    std::tie(ec, std::ignore) = co_await asio::async_write(stream_, asio::buffer(bytes), kTuple);
    waiting_ = false;
  }
  wipe(bytes);
  if (timed_out_) co_return slow();
  if (ec) co_return gone();
  co_return Result<void>();
}

/// Looks at the first byte without taking it: whoever typed http:// gets an answer to read.
Task<Result<void>> Transport::speaks_tls() {
  char first = 0;
  auto& socket = stream_.next_layer();
  auto [ec, count] =
      co_await socket.async_receive(asio::buffer(&first, 1), tcp::socket::message_peek, kTuple);
  if (ec || count == 0) co_return timed_out_ ? slow() : gone();
  if (first == kTlsHandshake) co_return Result<void>();
  if (first >= 'A' && first <= 'Z') {
    co_await asio::async_write(socket, asio::buffer(kPlainAnswer), kTuple);
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
  co_return Error(Code::invalid, "not TLS");
}

Task<Result<void>> Transport::handshake() {
  deadline_in(limits_.handshake_time);
  waiting_ = true;
  auto tls = co_await speaks_tls();
  if (!tls) {
    waiting_ = false;
    co_return tls;
  }
  auto [ec] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kTuple);
  waiting_ = false;
  if (timed_out_) co_return slow();
  if (ec) co_return Error(Code::invalid, "the TLS handshake failed");
  co_return Result<void>();
}

void Transport::deadline(MonoTime at) {
  deadline_ = at;
  if (at < armed_) arm(at);
}

void Transport::arm(MonoTime at) {
  armed_ = at;
  timer_.expires_at(at);
  timer_.async_wait([self = shared_from_this()](error_code ec) {
    if (!ec) self->on_timer();
  });
}

void Transport::on_timer() {
  armed_ = MonoTime::max();
  if (cut_) return;
  if (MonoTime::clock::now() < deadline_) return arm(deadline_);
  timed_out_ = true;
  error_code ignored;
  if (waiting_)
    stream_.next_layer().cancel(ignored);
  else
    cut();  // a handler that overran: the client need not wait with us
}

void Transport::forgive(std::chrono::milliseconds time) {
  timed_out_ = false;
  deadline_in(time);
}

Task<void> Transport::close(bool linger) {
  auto& socket = stream_.next_layer();
  if (!cut_ && !timed_out_) {
    deadline_in(kLingerTime);
    waiting_ = true;
    co_await stream_.async_shutdown(kTuple);
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    in_.resize(std::max(in_.size(), kSmallBuffer));
    for (std::size_t seen = 0; linger && !timed_out_ && seen < kLingerBytes;) {
      auto [ec, count] = co_await socket.async_read_some(asio::buffer(in_), kTuple);
      if (ec) break;
      seen += count;
    }
    waiting_ = false;
  }
  cut();
  timer_.cancel();
}

void Transport::cut() {
  cut_ = true;
  error_code ignored;
  stream_.next_layer().close(ignored);
}

}  // namespace holdfast::http
