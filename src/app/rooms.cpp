#include "app/rooms.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace holdfast::app {
namespace {

constexpr Millis kTick{200};
constexpr auto kTendEvery = std::chrono::minutes(1);
constexpr auto kTendWait = std::chrono::seconds(10);

// Both rooms have these words; the numbers are the same on purpose, and this is where it is
// checked.
static_assert(std::to_underlying(vault::View::none) == std::to_underlying(access::View::none));
static_assert(std::to_underlying(vault::View::clear) == std::to_underlying(access::View::clear));
static_assert(std::to_underlying(vault::FieldClass::plain) ==
              std::to_underlying(access::FieldClass::plain));
static_assert(std::to_underlying(vault::FieldClass::payment) ==
              std::to_underlying(access::FieldClass::payment));

/// How often a request is decided: a rotation of the keys of rights changes the policy several
/// times a second.
constexpr int kDecisions = 5;

/// Knows whether something of an answer was sent.
class Sending final : public http::BodyWriter {
 public:
  explicit Sending(http::BodyWriter& to) : to_(to) {}
  void field(std::string_view name, std::string_view value) override {
    sent_ = true;
    to_.field(name, value);
  }
  Task<Result<void>> start(std::string_view type) override {
    sent_ = true;
    return to_.start(type);
  }
  Task<Result<void>> write(std::string_view bytes) override {
    sent_ = true;
    return to_.write(bytes);
  }
  bool closing() const override { return to_.closing(); }
  bool sent() const { return sent_; }

 private:
  http::BodyWriter& to_;
  bool sent_ = false;
};

/// A function, not a lambda: its parameters live in the coroutine frame.
Task<Result<http::Answer>> run_again(std::function<Task<Result<http::Answer>>(http::Call)> run,
                                     std::string_view operation, access::Service* access,
                                     http::Call call) {
  std::optional<Sending> sending;
  if (call.download) call.download = &sending.emplace(*call.download);
  for (int decisions = 1;; ++decisions) {
    auto answer = co_await run(call);
    if (answer || answer.error().code != Code::stale || decisions == kDecisions) co_return answer;
    if (sending && sending->sent()) co_return answer;
    auto renewed = co_await access->renewed(call.caller);
    if (!renewed) co_return std::move(renewed).error();
    if (auto allowed = co_await access->allow(*renewed, operation); !allowed)
      co_return std::move(allowed).error();
    call.caller = std::move(*renewed);
  }
}

}  // namespace

vault::Permitted Rooms::Permits::decide(const Caller& caller,
                                        const vault::FieldQuestion& question) const {
  if (!caller.rights) return {};
  access::Question asked{.operation = question.operation,
                         .collection = question.collection,
                         .field = question.field,
                         .field_class = static_cast<access::FieldClass>(question.field_class),
                         .purpose = question.purpose,
                         .on_behalf_of = caller.on_behalf_of,
                         .engagement = question.engagement,
                         .assignee = question.assignee};
  std::optional<access::Address> address;
  if (caller.rights->timed()) {
    asked.now = clock_.now();
    asked.minute_of_week = zone_.minute_of_week(asked.now);
  }
  if (caller.rights->placed()) {
    address = access::parse_address(caller.address);
    if (address) asked.address = &*address;
  }
  const auto decision = access::decide(*caller.rights, asked);
  const bool condition = decision.reason == "engagement" || decision.reason == "assignee" ||
                         decision.reason == "hours" || decision.reason == "network" ||
                         decision.reason == "person";
  return {static_cast<vault::View>(decision.view), decision.owed.packed(),
          condition ? decision.reason : std::string_view()};
}

Task<Result<vault::Budgets::Charge>> Rooms::Budgets::charge(Caller caller,
                                                            std::vector<SubjectId> opened,
                                                            std::vector<SubjectId> beyond,
                                                            std::vector<std::uint32_t> terms) {
  auto ids = [](const std::vector<SubjectId>& subjects) {
    std::vector<Bytes> out;
    out.reserve(subjects.size());
    for (const auto& subject : subjects) out.push_back(to_bytes(subject.bytes()));
    return out;
  };
  auto made =
      co_await budgets_.charge(std::move(caller), ids(opened), ids(beyond), std::move(terms));
  if (!made) co_return std::move(made).error();
  Charge out{std::move(made->changes), {}};
  for (const auto& one : made->watched) out.watched.push_back({one.statement, one.rule, one.limit});
  co_return out;
}

Task<vault::Budgets::Spent> Rooms::Budgets::spent(Caller caller, std::size_t opened,
                                                  std::vector<std::uint32_t> terms, Error error,
                                                  journal::Event event) {
  auto said = co_await budgets_.spent(std::move(caller), opened, std::move(terms), std::move(error),
                                      std::move(event));
  co_return Spent{std::move(said.error), std::move(said.event)};
}

Task<void> Rooms::Budgets::settle(Caller caller, std::vector<std::uint32_t> terms,
                                  std::vector<Watched> watched, std::vector<std::int64_t> used) {
  std::vector<access::Budgets::Watched> seen;
  for (const auto& one : watched) seen.push_back({one.statement, one.rule, one.limit});
  co_await budgets_.settle(std::move(caller), std::move(terms), std::move(seen), std::move(used));
}

Result<Caller> Rooms::Permits::acting_for(Caller caller, std::string_view person) const {
  return access_.acting_for(std::move(caller), person);
}

Task<Result<bool>> Rooms::Permits::same_account(std::string one, std::string other,
                                                MonoTime deadline) const {
  if (one == other) co_return true;
  auto snapshot = co_await cache_.current(deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* first = (*snapshot)->find(one);
  const auto* second = (*snapshot)->find(other);
  co_return first != nullptr&& second != nullptr && first->account == second->account;
}

Task<Result<bool>> Rooms::Permits::known(std::string principal, MonoTime deadline) const {
  auto snapshot = co_await cache_.current(deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  co_return (*snapshot)->find(principal) != nullptr;
}

Task<Result<vault::KeyEnd>> Rooms::Epochs::end(vault::KeyKind kind, Time at, MonoTime deadline) {
  auto destruction = co_await rotations_.destruction(kind, at, deadline);
  if (!destruction) co_return std::move(destruction).error();
  co_return vault::KeyEnd{destruction->at, destruction->event};
}

/// The last of the kinds: a copy leads to somebody as long as one of their keys is there.
Task<Result<vault::KeyEnd>> Rooms::Epochs::index_end(Time at, MonoTime deadline) {
  using vault::KeyKind;
  vault::KeyEnd last;
  bool all_gone = true;
  for (auto kind : {KeyKind::index, KeyKind::external, KeyKind::token}) {
    auto one = co_await end(kind, at, deadline);
    if (!one || !one->at) co_return one;
    all_gone &= one->event.has_value();
    if (!last.at || *one->at > *last.at) last = *one;
  }
  if (!all_gone) last.event = {};
  co_return last;
}

/// Access control's rows among the state that `journal verify --state` compares.
Task<Result<void>> Rooms::AccessState::rows(Report report) {
  auto findings = co_await admin_.check_state(std::move(report));
  if (!findings) co_return std::move(findings).error();
  co_return Result<void>();
}

Task<Result<void>> Rooms::AccessState::rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                                  Report report) {
  return admin_.tell_state(std::move(keys), std::move(report));
}

Task<Result<vault::MovedRows>> Rooms::AccessRows::move(vault::MoveJob, vault::Pass, Bytes,
                                                       std::int64_t) {
  auto done = co_await admin_.remake();
  if (!done) co_return std::move(done).error();
  vault::MovedRows out{.looked = done->rows, .moved = done->remade, .last = true};
  for (const auto& finding : done->findings)
    if (finding.what != "missing") out.refused.push_back(finding.kind + ' ' + finding.id);
  co_return out;
}

Task<Result<std::int64_t>> Rooms::AccessRows::left(vault::MoveJob, vault::Pass) {
  return admin_.under_older_keys();
}

bool Rooms::Permits::may(const Caller& caller, std::string_view operation) const {
  return caller.rights && caller.rights->may(operation);
}

Task<Result<Caller>> Rooms::Permits::renewed(Caller caller) const {
  co_return co_await access_.renewed(std::move(caller));
}

Task<Result<void>> Rooms::Permits::still(Caller caller, std::string_view operation) const {
  co_return co_await access_.still(std::move(caller), operation);
}

Task<Result<journal::AccessPage>> Rooms::Accesses::accesses(SubjectId subject, std::int64_t before,
                                                            std::size_t limit) {
  return index_.accesses(subject, before, limit);
}

Task<Result<access::FieldClass>> Rooms::Fields::class_of(std::string collection, std::string field,
                                                         MonoTime deadline) {
  auto schema = co_await schemas_.get(Caller{.deadline = deadline});
  if (!schema) co_return std::move(schema).error();
  const auto* found = (*schema)->find(collection);
  if (!found) co_return Error(Code::not_found, "no such collection is declared").at("collection");
  const auto* declared = found->find(field);
  if (!declared) co_return Error(Code::not_found, "no such field is declared").at("field");
  co_return static_cast<access::FieldClass>(declared->field_class);
}

Task<Result<void>> Rooms::Fields::purpose(std::string name, MonoTime deadline) {
  auto schema = co_await schemas_.get(Caller{.deadline = deadline});
  if (!schema) co_return std::move(schema).error();
  if (!(*schema)->purposes.contains(name)) co_return vault::no_such_purpose(**schema, name);
  co_return Result<void>();
}

Rooms::Rooms(Deps deps)
    : store_(deps.log.reader()),
      cache({deps.log, deps.keys, deps.clock, deps.notices, deps.log.policy()}),
      access({cache, deps.log, deps.keys, deps.clock}),
      admin({cache, access, deps.log, deps.keys, deps.clock}),
      budgets({cache, deps.log, deps.keys, deps.clock}, deps.ceiling),
      schemas(deps.log, deps.keys),
      canaries_known(deps.log.reader(), deps.keys),
      vault_budgets_(budgets),
      permits_(access, cache, deps.clock, deps.zone),
      fields_(schemas),
      accesses_(deps.index),
      proofs_(deps.log, deps.index),
      epochs_(rotations),
      access_api_({admin, access, cache, deps.log, deps.clock, fields_, budgets, deps.zone}),
      old_answers_(deps.log),
      old_sides_(deps.log),
      context{deps.log, store_, schemas, deps.keys, permits_, deps.clock, deps.calling_code},
      holds(context),
      admission({context, vault_budgets_, canaries_known, deps.alarms}),
      declarations(context),
      cards(context),
      records(context, holds),
      opening(context, admission),
      search(context, opening, admission, deps.pool),
      indexes(context),
      rebuild(context, deps.pool),
      tokens(context, opening, holds, deps.node),
      fills(context, opening, tokens),
      engagements(context, admission),
      subjects(context,
               {accesses_, proofs_, holds, epochs_, closings_, admission, {&tokens, &engagements}}),
      requests(context, admission, proofs_, holds),
      imports(context, declarations, deps.pool),
      canaries(context),
      vault_state(context),
      unlocking({context, deps.keys, deps.pool, deps.unlock_host, std::move(deps.unlock_places)}),
      unlock_rows(deps.log.reader(), deps.keys),
      closings_(context),
      past_engagements_(context, holds),
      sweep({context,
             deps.time,
             holds,
             closings_,
             {&old_answers_, &old_sides_, &past_engagements_, &requests, &holds}},
            deps.sweep),
      retention({context, deps.log, deps.time, holds, closings_, sweep}),
      reports({context, deps.log, std::move(deps.controller)}),
      hold_state_(holds),
      access_state_(admin),
      access_rows_(admin),
      time_row_(deps.time),
      hold_rows_(context),
      renewed_keys_(context),
      sealed_values_(context),
      wrapped_keys_(context),
      index_terms_(context, rebuild),
      external_terms_(context),
      declared_rows_(context),
      engagement_rows_(context),
      engagement_kind_rows_(context),
      canary_rows_(context),
      subject_macs_(context),
      token_rows_(context),
      side_rows_(deps.log),
      log_keys_(deps.log),
      restated_rows_(deps.log, state()),
      rotations({context,
                 deps.keys,
                 std::move(deps.save_keyring),
                 [time = &deps.time] { return time->now(); },
                 std::move(deps.forget_backups),
                 std::move(deps.count_backups),
                 // Customers' values before the keys that wrap theirs.
                 {&renewed_keys_, &sealed_values_, &wrapped_keys_, &index_terms_, &external_terms_,
                  &declared_rows_, &subject_macs_, &engagement_rows_, &engagement_kind_rows_,
                  &canary_rows_, &access_rows_, &time_row_, &hold_rows_, &token_rows_, &side_rows_,
                  &log_keys_, &restated_rows_},
                 deps.rotation}),
      ledger_service_({deps.log, deps.index, deps.keys, permits_, state()}),
      ledger_api_(ledger_service_, permits_, deps.clock) {}

std::vector<http::Route> Rooms::rows(Rooms* rooms) {
  std::vector<http::Route> out;
  auto add = [&out](std::vector<http::Route> list) {
    for (auto& route : list) out.push_back(std::move(route));
  };
  add(vault::declaration_routes(rooms ? &rooms->declarations : nullptr));
  add(vault::card_routes(rooms ? &rooms->cards : nullptr));
  add(vault::record_routes(rooms ? &rooms->records : nullptr, rooms ? &rooms->opening : nullptr));
  add(vault::search_routes(rooms ? &rooms->search : nullptr));
  add(vault::index_routes(rooms ? &rooms->indexes : nullptr));
  add(vault::token_routes(rooms ? &rooms->tokens : nullptr));
  add(vault::fill_routes(rooms ? &rooms->fills : nullptr));
  add(vault::subject_routes(rooms ? &rooms->subjects : nullptr));
  add(vault::request_routes(rooms ? &rooms->requests : nullptr));
  add(vault::import_routes(rooms ? &rooms->imports : nullptr));
  add(vault::rotation_routes(rooms ? &rooms->rotations : nullptr));
  add(vault::engagement_routes(rooms ? &rooms->engagements : nullptr));
  add(vault::canary_routes(rooms ? &rooms->canaries : nullptr));
  add(vault::retention_routes(rooms ? &rooms->retention : nullptr));
  add(vault::report_routes(rooms ? &rooms->reports : nullptr));
  add(vault::Unlocking::rows(rooms ? &rooms->unlocking : nullptr));
  add(access::Api::rows(rooms ? &rooms->access_api_ : nullptr));
  add(ledger::Api::rows(rooms ? &rooms->ledger_api_ : nullptr));
  return out;
}

std::vector<http::Route> Rooms::routes(std::vector<http::Route> more) {
  auto out = rows(this);
  for (auto& route : more) out.push_back(std::move(route));
  for (auto& route : out)
    if (route.kind != http::RouteKind::upload && route.kind != http::RouteKind::transform)
      decide_again(route, access);
  std::vector<std::string> ids;
  for (const auto& route : out) ids.emplace_back(route.id);
  ids.emplace_back("metrics.read");  // what the server itself asks for its page
  admin.know_operations(std::move(ids));
  return out;
}

Task<void> Rooms::tend(const std::atomic<bool>& stop, const Clock& clock) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  auto next = clock.mono() + kTendEvery;
  while (!stop) {
    timer.expires_after(kTick);
    co_await timer.async_wait(boost::asio::use_awaitable);
    if (clock.mono() < next) continue;
    next = clock.mono() + kTendEvery;
    (void)co_await engagements.sweep(clock.mono() + kTendWait);
    (void)co_await budgets.sweep(clock.mono() + kTendWait);
  }
}

void decide_again(http::Route& route, access::Service& access) {
  route.run = [run = std::move(route.run), id = route.id, access = &access](http::Call call) {
    return run_again(run, id, access, std::move(call));
  };
}

}  // namespace holdfast::app
