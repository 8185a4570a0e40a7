// Bodies that flow: uploads as they arrive, downloads and event streams as they are made. Memory
// stays flat; the other side's pace is ours (back-pressure), down to a least rate.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <string_view>

#include "http/body_budget.h"
#include "http/request_parser.h"
#include "http/response.h"
#include "http/route.h"
#include "http/transport.h"

namespace holdfast::http {

/// The body of the request that `parser` has read the head of.
class RequestBody final : public BodyReader {
 public:
  RequestBody(Transport& transport, RequestParser& parser, const ServerLimits& limits,
              BodyBudget& budget)
      : transport_(transport), parser_(parser), limits_(limits), share_(budget) {}

  std::size_t limit = 0;                // bytes
  MonoTime deadline = MonoTime::max();  // for the whole body, beside the least rate

  Task<Result<std::string_view>> next() override;
  std::uint64_t size() const override { return parser_.head().content_length.value_or(0); }
  std::string_view type() const override { return parser_.head().content_type; }

  /// Reads all of it into `out`, which counts against the budget until this is destroyed.
  /// Errors: those of next(); exhausted (the bodies of all connections take too much room).
  Task<Result<void>> read_all(std::string& out);
  /// Drops what has arrived already; true when that was the end.
  bool drop_arrived();
  std::uint64_t received() const { return received_; }

 private:
  Task<Result<void>> more();

  Transport& transport_;
  RequestParser& parser_;
  const ServerLimits& limits_;
  BodyBudget::Share share_;
  std::size_t handed_out_ = 0;  // of the transport's buffer, until the next call
  std::uint64_t received_ = 0;
  MonoTime::duration waited_{};
  bool continued_ = false;
};

/// The body of a response whose length is not known before.
class ResponseStream final : public BodyWriter {
 public:
  struct Setup {
    Transport& transport;
    const ServerLimits& limits;
    const Clock& clock;
    const std::atomic<bool>& stopping;
    MonoTime deadline;  // for the whole body
    ResponseHead head;  // without type, length and further fields
    bool events = false;
  };
  explicit ResponseStream(Setup setup)
      : setup_(std::move(setup)),
        beat_(setup_.transport.executor()),
        free_(setup_.transport.executor(), MonoTime::max()) {}

  void field(std::string_view name, std::string_view value) override;
  Task<Result<void>> start(std::string_view type) override;
  Task<Result<void>> write(std::string_view bytes) override;
  bool closing() const override;

  /// Must be awaited before this is destroyed. `complete` writes the end; without it the client can
  /// tell that the body was cut off.
  Task<Result<void>> finish(bool complete);
  bool started() const { return started_; }
  std::uint64_t sent() const { return sent_; }
  /// The client went away, or took too long.
  bool lost() const { return failed_; }

 private:
  Task<Result<void>> flush();
  Task<void> heartbeat();
  void append_chunk(std::string_view bytes);

  Setup setup_;
  boost::asio::steady_timer beat_;  // event streams only
  boost::asio::steady_timer free_;  // wakes who waits for the transport
  std::string out_, fields_, trailer_;
  MonoTime last_write_{};
  std::uint64_t sent_ = 0;
  bool started_ = false, failed_ = false, sending_ = false, beating_ = false, ended_ = false;
};

}  // namespace holdfast::http
