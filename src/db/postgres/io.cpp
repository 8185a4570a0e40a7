#include "db/postgres/io.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace holdfast::db::postgres {
namespace {

constexpr std::size_t kScratchConnections = 2;
constexpr int kLongestClosing = 750;  // ticks: 15 s

}  // namespace

Io::Io(const PostgresOptions& options, const std::string& synchronous_commit,
       std::vector<std::string> entry, const Clock& clock)
    : demand_(clock),
      reader_settings_(options, Settings::Role::reader),
      writer_settings_(options, Settings::Role::writer, synchronous_commit),
      scratch_settings_(options, Settings::Role::scratch),
      work_(boost::asio::make_work_guard(io_)),
      timer_(io_),
      reads_(io_, reader_settings_, {options.connections, options.statement_timeout}, shapes_,
             clock, options.bugs, [] {}),
      writes_(io_, writer_settings_, {options.connections, options.statement_timeout, entry},
              shapes_, clock, options.bugs, [this] { publish(); }),
      scratch_(io_, scratch_settings_, {kScratchConnections, options.statement_timeout, entry},
               shapes_, clock, options.bugs, [] {}),
      health_{.writable = true, .reason = "ok"},
      thread_([this] {
        for (Lane* each : {&reads_, &writes_, &scratch_}) each->start();
        io_.run();
      }) {}

void Io::submit(Kind kind, std::shared_ptr<Request> request) {
  Mail mail;
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_) {
      request->answer({Code::unavailable, "the database is closing"}, mail);
    } else {
      first = arrived_.empty();
      if (kind == Kind::write) {
        const auto& changes = std::get<Commit>(request->what).changes;
        demand_.note(changes, present_.use_count() > 1);
        if (!changes.background()) request->present = present_;
      }
      arrived_.push_back({kind, std::move(request)});
    }
  }
  mail.send();
  if (first) boost::asio::post(io_, [this] { take_arrived(); });
}

void Io::take_arrived() {
  std::vector<Arrived> arrived;
  {
    std::lock_guard lock(mutex_);
    arrived.swap(arrived_);
  }
  for (auto& each : arrived) lane(each.kind).submit(std::move(each.request));
  keep_ticking();
}

Lane& Io::lane(Kind kind) {
  switch (kind) {
    case Kind::read:
      return reads_;
    case Kind::write:
      return writes_;
    case Kind::scratch:
      break;
  }
  return scratch_;
}

void Io::publish() {
  Health health = writes_.health();
  keep_ticking();
  std::lock_guard lock(mutex_);
  health_ = health;
}

Health Io::health() const {
  std::lock_guard lock(mutex_);
  return health_;
}

void Io::keep_ticking() {
  bool restless = reads_.restless() || writes_.restless() || scratch_.restless();
  if (ticking_ || !(restless || closing_ticks_ >= 0)) return;
  ticking_ = true;
  timer_.expires_after(Lane::kTick);
  timer_.async_wait([this](boost::system::error_code failed) {
    if (!failed) tick();
  });
}

void Io::tick() {
  ticking_ = false;
  for (Lane* each : {&reads_, &writes_, &scratch_}) each->tick();
  if (closing_ticks_ < 0) return keep_ticking();
  bool quiet = reads_.quiet() && writes_.quiet() && scratch_.quiet();
  if (quiet || ++closing_ticks_ > kLongestClosing) return leave();
  keep_ticking();
}

void Io::leave() {
  for (Lane* each : {&reads_, &writes_, &scratch_}) each->close();
  io_.stop();
}

void Io::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    health_ = {.writable = false, .reason = "the database is closing"};
  }
  boost::asio::post(io_, [this] {
    closing_ticks_ = 0;
    keep_ticking();
  });
  if (thread_.joinable()) thread_.join();
}

}  // namespace holdfast::db::postgres
