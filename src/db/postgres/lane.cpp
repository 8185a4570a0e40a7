#include "db/postgres/lane.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "db/postgres/exchanges.h"
#include "db/sql.h"

namespace holdfast::db::postgres {
namespace {

constexpr std::size_t kMostReads = 64;
constexpr std::size_t kMostJoined = 64;
constexpr std::size_t kJoinedAtOnce = 2;
constexpr std::size_t kMostWrites = 8;   // of a commit that is joined with others
constexpr int kNoConnectionTicks = 250;  // 5 s
constexpr int kFailureTicks = 250;

}  // namespace

bool Request::answered() const {
  return std::visit([](const auto& asked) { return asked.waiter.answered(); }, what);
}

void Request::answer(Error error, Mail& mail) {
  std::visit([&](auto& asked) { asked.waiter.answer(std::move(error), mail); }, what);
}

Lane::Lane(boost::asio::io_context& io, const Settings& settings, Options options, Shapes& shapes,
           const Clock& clock, const BugSink& bugs, std::function<void()> turned)
    : io_(io),
      settings_(settings),
      options_(options),
      shapes_(shapes),
      clock_(clock),
      bugs_(bugs),
      turned_(std::move(turned)) {}

void Lane::start() {
  grow();
}

void Lane::submit(std::shared_ptr<Request> request) {
  if (auto checked = check(*request); !checked) {
    request->answer(std::move(checked).error(), mail_);
  } else if (closed_) {
    request->answer(no_connection(), mail_);
  } else if (refused_) {
    request->answer(another_server(), mail_);
  } else {
    live_.push_back(request);
    put(std::move(request), false);
  }
  wake();
}

/// What would fail on its own is answered before it can hurt those it would be joined with.
Result<void> Lane::check(const Request& request) {
  if (auto* read = std::get_if<Read>(&request.what)) {
    auto shape = shapes_.of(*read->sql);
    if (!shape) bugs_(read->sql->name, shape.error().text);
    if (!shape) return std::move(shape).error();
    auto checked = check_args(read->args, (*shape)->parameters);
    if (!checked && checked.error().code == Code::internal)
      bugs_(read->sql->name, checked.error().text);
    return checked;
  }
  for (const Write& write : std::get<Commit>(request.what).changes.writes())
    if (auto checked = check(write); !checked) {
      if (checked.error().code == Code::internal)
        bugs_(write.sql ? write.sql->name : "migration", checked.error().text);
      return checked;
    }
  return {};
}

Result<void> Lane::check(const Write& write) {
  if (write.sql == nullptr) {
    auto translated = translate(Dialect::postgres, write.script);
    if (!translated) return std::move(translated).error();
    return {};
  }
  auto shape = shapes_.of(*write.sql);
  if (!shape) return std::move(shape).error();
  if ((*shape)->reads != (write.expect.kind == Expect::Kind::guard))
    return Error(Code::internal, "a guard must be a select, any other write must not");
  for (const Args& args : write.rows)
    if (auto checked = check_args(args, (*shape)->parameters); !checked) return checked;
  return {};
}

bool Lane::joinable(const Request& request) {
  const auto& writes = std::get<Commit>(request.what).changes.writes();
  return !request.alone && writes.size() <= kMostWrites &&
         std::ranges::all_of(writes, [this](const Write& write) {
           if (write.sql == nullptr || write.rows.size() != 1) return false;
           return write.expect.kind == Expect::Kind::guard || shape(*write.sql).insert;
         });
}

void Lane::put(std::shared_ptr<Request> request, bool front) {
  Queue& queue = std::holds_alternative<Read>(request->what) ? reads_
                 : joinable(*request)                        ? joinable_
                                                             : commits_;
  if (front)
    queue.push_front(std::move(request));
  else
    queue.push_back(std::move(request));
}

void Lane::again(Requests requests) {
  while (!requests.empty()) {
    put(std::move(requests.back()), true);
    requests.pop_back();
  }
  wake();
}

/// Later in the same turn, so that what arrives together goes out together.
void Lane::wake() {
  if (woken_) return;
  woken_ = true;
  boost::asio::post(io_, [this] {
    woken_ = false;
    pump();
    mail_.send();
    turned_();
  });
}

void Lane::pump() {
  if (closed_) return;
  while (!reads_.empty() || !commits_.empty() || !joinable_.empty()) {
    Connection* connection = idle();
    if (connection == nullptr) return grow();
    if (!carry_one(*connection)) return;
  }
}

/// False when nothing may go out now.
bool Lane::carry_one(Connection& connection) {
  if (Requests commits = take(commits_, 1); !commits.empty()) {
    connection.run(std::make_unique<CommitExchange>(*this, std::move(commits), false));
    return true;
  }
  if (Requests reads = take(reads_, kMostReads); !reads.empty()) {
    connection.run(std::make_unique<ReadExchange>(*this, std::move(reads)));
    return true;
  }
  if (joined_carried() >= kJoinedAtOnce) return false;
  Requests joined = take(joinable_, kMostJoined);
  if (joined.empty()) return false;
  connection.run(std::make_unique<CommitExchange>(*this, std::move(joined), true));
  return true;
}

/// The first ones of a queue, without those whose deadline has passed.
Requests Lane::take(Queue& queue, std::size_t most) {
  Requests out;
  MonoTime now = clock_.mono();
  while (!queue.empty() && out.size() < most) {
    auto request = std::move(queue.front());
    queue.pop_front();
    if (request->deadline < now) request->answer(deadline_passed(), mail_);
    if (!request->answered()) out.push_back(std::move(request));
  }
  return out;
}

Connection* Lane::idle() {
  auto found =
      std::ranges::find_if(slots_, [](const Slot& slot) { return slot.connection->idle(); });
  return found == slots_.end() ? nullptr : found->connection.get();
}

std::size_t Lane::joined_carried() const {
  return static_cast<std::size_t>(std::ranges::count_if(slots_, [](const Slot& slot) {
    auto* carried = slot.connection->carried();
    return carried != nullptr && carried->joined();
  }));
}

/// One more connection when all there are carry something.
void Lane::grow() {
  bool full = slots_.size() >= options_.connections;
  if (full ||
      !std::ranges::all_of(slots_, [](const Slot& slot) { return slot.connection->busy(); }))
    return;
  Connection::Enter enter;
  if (!options_.entry.empty()) enter = [this] { return std::make_unique<EntryExchange>(*this); };
  slots_.push_back(
      {std::make_unique<Connection>(io_, settings_, std::move(enter), [this] { wake(); })});
  slots_.back().connection->start();
}

void Lane::tick() {
  bool anyone = connected();
  MonoTime now = clock_.mono();
  std::erase_if(live_, [&](const std::weak_ptr<Request>& weak) {
    auto request = weak.lock();
    if (!request || request->answered()) return true;
    if (request->deadline < now) request->answer(deadline_passed(), mail_);
    request->ticks = anyone ? 0 : request->ticks + 1;
    if (request->ticks > kNoConnectionTicks) request->answer(no_connection(), mail_);
    return false;
  });
  for (Queue* queue : {&reads_, &commits_, &joinable_})
    std::erase_if(*queue, [](const auto& request) { return request->answered(); });
  auto longest = (options_.statement_timeout + std::chrono::seconds(5)) / kTick;
  for (Slot& slot : slots_) {
    auto* carried = slot.connection->carried();
    slot.busy_ticks = carried != nullptr && !carried->patient() ? slot.busy_ticks + 1 : 0;
    bool hangs = slot.busy_ticks > longest;
    if (hangs || (carried != nullptr && carried->forgotten())) slot.connection->break_off();
  }
  if (failure_ && --failure_ticks_ <= 0) failure_.reset();
  wake();
}

bool Lane::connected() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.connection->ready(); });
}

bool Lane::quiet() const {
  return reads_.empty() && commits_.empty() && joinable_.empty() &&
         std::ranges::none_of(slots_, [](const Slot& slot) { return slot.connection->busy(); });
}

void Lane::close() {
  closed_ = true;
  for (Slot& slot : slots_) slot.connection->close();
  answer_all(no_connection());
  mail_.send();
}

void Lane::answer_all(const Error& error) {
  for (Queue* queue : {&reads_, &commits_, &joinable_}) {
    for (auto& request : *queue) request->answer(error, mail_);
    queue->clear();
  }
}

void Lane::entered(bool let_in) {
  refused_ = !let_in;
  if (refused_) answer_all(another_server());
}

void Lane::note(const Error* failure) {
  failure_.reset();
  if (failure == nullptr || failure->code != Code::unavailable) return;
  failure_ = *failure;
  failure_ticks_ = kFailureTicks;
}

Health Lane::health() const {
  if (refused_) return {.writable = false, .reason = another_server().text};
  if (!connected()) return {.writable = false, .reason = no_connection().text};
  if (failure_) return {.writable = false, .reason = failure_->text};
  return {.writable = true, .reason = "ok"};
}

}  // namespace holdfast::db::postgres
