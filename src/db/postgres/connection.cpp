#include "db/postgres/connection.h"

#include <unistd.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast::db::postgres {
namespace {

using Descriptor = boost::asio::posix::stream_descriptor;

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{5'000};
constexpr std::chrono::seconds kConnectTimeout{5};

}  // namespace

Connection::Connection(boost::asio::io_context& io, const Settings& settings, Enter enter,
                       std::function<void()> changed)
    : io_(io),
      settings_(settings),
      enter_(std::move(enter)),
      changed_(std::move(changed)),
      timer_(io),
      pause_(kFirstPause) {}

void Connection::start() {
  state_ = State::connecting;
  pg_ = PQconnectStartParams(settings_.keywords(), settings_.values(), 1);
  if (pg_ == nullptr || PQstatus(pg_) == CONNECTION_BAD) return break_off();
  PQsetNoticeReceiver(pg_, notice, this);
  timer_.expires_after(kConnectTimeout);
  timer_.async_wait([this, epoch = epoch_](boost::system::error_code failed) {
    if (!failed && epoch == epoch_ && state_ == State::connecting) break_off();
  });
  if (!attach()) return break_off();
  wait(Descriptor::wait_write, &Connection::poll);
}

/// Watches a duplicate of libpq's socket, which is closed by us while libpq closes its own.
bool Connection::attach() {
  int copy = ::dup(PQsocket(pg_));
  if (copy < 0) return false;
  socket_.emplace(io_, copy);
  return true;
}

void Connection::wait(Descriptor::wait_type what, void (Connection::*then)()) {
  socket_->async_wait(what, [this, then, epoch = epoch_](boost::system::error_code failed) {
    if (!failed && epoch == epoch_) (this->*then)();
  });
}

void Connection::poll() {
  auto status = PQconnectPoll(pg_);
  if (status == PGRES_POLLING_OK) return connected();
  if (status == PGRES_POLLING_FAILED || !attach()) return break_off();
  wait(status == PGRES_POLLING_READING ? Descriptor::wait_read : Descriptor::wait_write,
       &Connection::poll);
}

void Connection::connected() {
  if (!attach() || PQsetnonblocking(pg_, 1) != 0 || PQenterPipelineMode(pg_) != 1)
    return break_off();
  wait(Descriptor::wait_read, &Connection::readable);
  if (!enter_) return serve();
  run(enter_());
}

/// From here on it carries what others want.
void Connection::serve() {
  if (state_ == State::connecting) {
    timer_.cancel();
    pause_ = kFirstPause;
    state_ = State::ready;
  }
  changed_();
}

void Connection::run(std::unique_ptr<Exchange> exchange) {
  exchange_ = std::move(exchange);
  failed_ = false;
  warned_ = false;
  exchange_->send(*this);
  flush();
}

void Connection::execute(const Sql& sql, const Shape& shape, Mode mode, const Args& args,
                         Bounds bounds) {
  Parameters parameters(args);
  if (mode == Mode::counted || mode == Mode::rows) {
    parameters.add(bounds.low);
    parameters.add(bounds.high);
  }
  execute(sql, shape, mode, parameters);
}

void Connection::execute(const Sql& sql, const Shape& shape, Mode mode,
                         const Parameters& parameters) {
  if (failed_) return;
  Variant* variant = prepared(sql, shape, mode, parameters);
  failed_ |=
      PQsendQueryPrepared(pg_, variant->name.c_str(), parameters.count(), parameters.values(),
                          parameters.lengths(), parameters.formats(), 1) != 1;
  awaited_.push_back({});
}

/// A value of unknown type (NULL) fits every variant; a variant with an unknown type fits NULL
/// only.
Connection::Variant* Connection::prepared(const Sql& sql, const Shape& shape, Mode mode,
                                          const Parameters& parameters) {
  auto& variants = statements_[{&sql, mode}];
  std::erase_if(variants, [](const auto& variant) { return variant->broken; });
  auto fits = [&](const auto& variant) {
    return variant->source == shape.source.data() &&
           std::ranges::equal(parameters.types(), variant->types,
                              [](Oid sent, Oid known) { return sent == 0 || sent == known; });
  };
  auto found = std::ranges::find_if(variants, fits);
  if (found != variants.end()) return found->get();

  auto variant = std::make_unique<Variant>();
  variant->source = shape.source.data();
  variant->types = parameters.types();
  for (const auto& older : variants)
    for (std::size_t i = 0; i < variant->types.size() && i < older->types.size(); ++i)
      if (variant->types[i] == 0) variant->types[i] = older->types[i];
  variant->name = "s" + std::to_string(++names_);
  failed_ |= PQsendPrepare(pg_, variant->name.c_str(), shape.texts[static_cast<int>(mode)].c_str(),
                           static_cast<int>(variant->types.size()), variant->types.data()) != 1;
  awaited_.push_back({.preparing = variant.get()});
  return variants.emplace_back(std::move(variant)).get();
}

void Connection::execute(const std::string& text) {
  execute(text, Parameters(Args()));
}

void Connection::execute(const std::string& text, const Parameters& parameters) {
  if (failed_) return;
  failed_ |=
      PQsendQueryParams(pg_, text.c_str(), parameters.count(), parameters.types().data(),
                        parameters.values(), parameters.lengths(), parameters.formats(), 1) != 1;
  awaited_.push_back({});
}

void Connection::sync() {
  if (failed_) return;
  failed_ |= PQpipelineSync(pg_) != 1;
  sync_awaited_ = true;
}

void Connection::flush_server() {
  if (!failed_) failed_ |= PQsendFlushRequest(pg_) != 1;
}

/// Writes what libpq holds back. A refusal breaks the connection, but not inside of the caller.
void Connection::flush() {
  int left = failed_ ? -1 : PQflush(pg_);
  if (left < 0) {
    boost::asio::post(io_, [this, epoch = epoch_] {
      if (epoch == epoch_) break_off();
    });
    return;
  }
  if (left == 0 || writing_) return;
  writing_ = true;
  socket_->async_wait(Descriptor::wait_write,
                      [this, epoch = epoch_](boost::system::error_code failed) {
                        if (failed || epoch != epoch_) return;
                        writing_ = false;
                        flush();
                      });
}

void Connection::readable() {
  if (PQconsumeInput(pg_) != 1) return break_off();
  auto epoch = epoch_;
  take_results();
  if (epoch != epoch_) return;
  flush();
  wait(Descriptor::wait_read, &Connection::readable);
}

void Connection::take_results() {
  auto epoch = epoch_;
  int nothing = 0;  // NULL stands between the results; twice in a row would be out of step
  while (exchange_ && (!awaited_.empty() || sync_awaited_) && !PQisBusy(pg_)) {
    PgResult result(PQgetResult(pg_));
    if (!result) {
      if (++nothing > 2) return break_off();
      continue;
    }
    nothing = 0;
    take(std::move(result));
    if (epoch != epoch_) return;
  }
  // An idle connection that the server ends says why, and closes.
  if (!exchange_ && PQstatus(pg_) == CONNECTION_BAD) break_off();
}

void Connection::take(PgResult result) {
  auto status = PQresultStatus(result.get());
  if (status == PGRES_PIPELINE_SYNC) {
    sync_awaited_ = false;
    awaited_.clear();
    auto done = std::move(exchange_);
    return done->synced(warned_) ? serve() : break_off();
  }
  if (awaited_.empty()) return exchange_->result(*this, result.get());

  Awaited awaited = awaited_.front();
  awaited_.pop_front();
  if (awaited.left_out) return;
  if (awaited.preparing == nullptr) return exchange_->result(*this, result.get());
  if (status == PGRES_COMMAND_OK) return;
  awaited.preparing->broken = true;
  if (status == PGRES_PIPELINE_ABORTED || awaited_.empty()) return;
  awaited_.front().left_out = true;
  exchange_->result(*this, result.get());
}

void Connection::notice(void* self, const PGresult* result) {
  auto is = [result](int field, std::string_view text) {
    const char* found = PQresultErrorField(result, field);
    return found != nullptr && found == text;
  };
  // Its code is that of other warnings too, such as the one before wraparound.
  if (is(PG_DIAG_SEVERITY_NONLOCALIZED, "WARNING") && is(PG_DIAG_SOURCE_FILE, "syncrep.c"))
    static_cast<Connection*>(self)->warned_ = true;
}

void Connection::break_off() {
  if (state_ == State::closed) return;
  state_ = State::pausing;
  ++epoch_;
  timer_.cancel();
  socket_.reset();
  PQfinish(std::exchange(pg_, nullptr));
  statements_.clear();
  awaited_.clear();
  sync_awaited_ = false;
  writing_ = false;
  auto carried = std::move(exchange_);
  pause();
  if (carried) carried->lost();
  changed_();
}

/// 50 ms, doubled each time up to 5 s, of which a random half is left out.
void Connection::pause() {
  auto jitter = std::uniform_int_distribution<std::int64_t>(pause_.count() / 2, pause_.count());
  timer_.expires_after(std::chrono::milliseconds(jitter(random_)));
  pause_ = std::min(pause_ * 2, kLongestPause);
  timer_.async_wait([this, epoch = epoch_](boost::system::error_code failed) {
    if (!failed && epoch == epoch_ && state_ == State::pausing) start();
  });
}

void Connection::close() {
  if (state_ == State::closed) return;
  break_off();
  state_ = State::closed;
  ++epoch_;
  timer_.cancel();
}

}  // namespace holdfast::db::postgres
