#include "http/streams.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/json.h"

namespace holdfast::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::string_view kHeartbeat = ": \n\n";
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

Task<Result<void>> RequestBody::more() {
  if (parser_.head().expect_continue && !std::exchange(continued_, true) &&
      transport_.buffered().empty()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    auto sent = co_await transport_.send(go_on);
    if (!sent) co_return sent;
  }
  auto earned = std::chrono::milliseconds(received_ * 1000 / limits_.body_rate);
  auto began = MonoTime::clock::now();
  transport_.deadline(std::min(deadline, began + limits_.body_patience + earned - waited_));
  auto filled = co_await transport_.fill(kPiece);
  waited_ += MonoTime::clock::now() - began;
  transport_.deadline(deadline);
  if (filled) co_return filled;
  if (filled.error().code == Code::too_large)
    co_return Error(Code::invalid, "the body is malformed");
  if (transport_.timed_out()) co_return Error(Code::unavailable, "the body arrived too slowly");
  co_return Error(Code::invalid, "the body was cut off");
}

Task<Result<std::string_view>> RequestBody::next() {
  transport_.consume(std::exchange(handed_out_, 0));
  if (size() > limit) co_return Error(Code::too_large, "the body is larger than allowed");
  while (!parser_.done()) {
    auto step = parser_.parse_body(transport_.buffered());
    if (!step) co_return Error(Code::invalid, "the body is malformed");
    if (step->body.empty()) {
      transport_.consume(step->used);
      if (step->used > 0 || parser_.done()) continue;
      auto filled = co_await more();
      if (!filled) co_return std::move(filled).error();
      continue;
    }
    received_ += step->body.size();
    if (received_ > limit) co_return Error(Code::too_large, "the body is larger than allowed");
    handed_out_ = step->used;
    co_return step->body;
  }
  co_return std::string_view();
}

Task<Result<void>> RequestBody::read_all(std::string& out) {
  for (;;) {
    auto piece = co_await next();
    if (!piece) co_return std::move(piece).error();
    if (piece->empty()) co_return Result<void>();
    // What a client announces is not what it sends: room grows with what arrives.
    reserve_wiping(out, piece->size());
    bool small = out.size() + piece->size() <= BodyBudget::kSmall;
    if (!small && !share_.grow_to(out.capacity())) {
      wipe(out);
      std::string().swap(out);
      co_return Error(Code::exhausted, "the server holds too many large requests at once");
    }
    out += *piece;
  }
}

bool RequestBody::drop_arrived() {
  transport_.consume(std::exchange(handed_out_, 0));
  while (!parser_.done()) {
    auto step = parser_.parse_body(transport_.buffered());
    if (!step) return false;
    transport_.consume(step->used);
    if (step->used == 0) return parser_.done();
  }
  return true;
}

// ── responses

bool ResponseStream::closing() const {
  return failed_ || setup_.transport.is_cut() || setup_.stopping.load(std::memory_order_relaxed);
}

void ResponseStream::field(std::string_view name, std::string_view value) {
  auto& lines = started_ ? trailer_ : fields_;
  (((lines += name) += ": ") += value) += "\r\n";
}

Task<Result<void>> ResponseStream::start(std::string_view type) {
  if (std::exchange(started_, true)) co_return Result<void>();
  setup_.head.type = type;
  setup_.head.extra = fields_;
  append_head(out_, setup_.head, setup_.clock.now());
  if (setup_.events) {
    beating_ = true;
    asio::co_spawn(setup_.transport.executor(), heartbeat(), asio::detached);
  }
  co_return co_await flush();
}

void ResponseStream::append_chunk(std::string_view bytes) {
  reserve_wiping(out_, bytes.size() + 24);
  if (!setup_.head.http11) {
    out_ += bytes;
    return;
  }
  char size[16];
  auto end = std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr;
  ((out_.append(size, end) += "\r\n") += bytes) += "\r\n";
}

/// One writer at a time: the handler, or the heartbeat.
Task<Result<void>> ResponseStream::flush() {
  while (sending_) co_await free_.async_wait(kTuple);
  if (failed_) co_return Error(Code::unavailable, "the client went away");
  if (out_.empty()) co_return Result<void>();
  std::string bytes;
  bytes.swap(out_);
  sending_ = true;
  auto size = bytes.size();
  auto sent = co_await setup_.transport.send(bytes, setup_.deadline);
  sending_ = false;
  free_.cancel();
  last_write_ = MonoTime::clock::now();
  setup_.transport.deadline(setup_.deadline);
  if (sent)
    sent_ += size;
  else
    failed_ = true;
  co_return sent;
}

Task<Result<void>> ResponseStream::write(std::string_view bytes) {
  if (!started_) {
    auto begun = co_await start("application/octet-stream");
    if (!begun) co_return begun;
  }
  if (bytes.empty()) co_return Result<void>();
  append_chunk(bytes);
  co_return co_await flush();
}

/// A comment on a quiet stream: proxies keep it open, and a client that went away is noticed.
Task<void> ResponseStream::heartbeat() {
  while (!ended_ && !failed_) {
    beat_.expires_at(std::max(last_write_, MonoTime::clock::now() - setup_.limits.heartbeat) +
                     setup_.limits.heartbeat);
    co_await beat_.async_wait(kTuple);
    if (ended_ || failed_) break;
    if (sending_ || MonoTime::clock::now() - last_write_ < setup_.limits.heartbeat) continue;
    append_chunk(kHeartbeat);
    (void)co_await flush();
  }
  beating_ = false;
  free_.cancel();
}

Task<Result<void>> ResponseStream::finish(bool complete) {
  ended_ = true;
  beat_.cancel();
  while (beating_) co_await free_.async_wait(kTuple);
  if (!started_ || failed_ || !complete) co_return Result<void>();
  if (setup_.head.http11) ((out_ += "0\r\n") += trailer_) += "\r\n";
  co_return co_await flush();
}

}  // namespace holdfast::http
