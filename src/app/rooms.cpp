#include "app/rooms.h"

#include <utility>

namespace holdfast::app {
namespace {

// Both rooms have these words; the numbers are the same on purpose, and this is where it is
// checked.
static_assert(std::to_underlying(vault::View::none) == std::to_underlying(access::View::none));
static_assert(std::to_underlying(vault::View::clear) == std::to_underlying(access::View::clear));
static_assert(std::to_underlying(vault::FieldClass::plain) ==
              std::to_underlying(access::FieldClass::plain));
static_assert(std::to_underlying(vault::FieldClass::payment) ==
              std::to_underlying(access::FieldClass::payment));

/// A function, not a lambda: its parameters live in the coroutine frame.
Task<Result<http::Answer>> run_again(std::function<Task<Result<http::Answer>>(http::Call)> run,
                                     access::Service* access, http::Call call) {
  auto first = co_await run(call);
  if (first || first.error().code != Code::stale) co_return first;
  auto renewed = co_await access->renewed(call.caller);
  if (!renewed) co_return std::move(renewed).error();
  call.caller = std::move(*renewed);
  co_return co_await run(std::move(call));
}

}  // namespace

vault::View Rooms::Permits::view(const Caller& caller, const vault::FieldQuestion& question) const {
  if (!caller.rights) return vault::View::none;
  auto decision = access::decide(
      *caller.rights, {.operation = question.operation,
                       .collection = question.collection,
                       .field = question.field,
                       .field_class = static_cast<access::FieldClass>(question.field_class),
                       .purpose = question.purpose,
                       .on_behalf_of = caller.on_behalf_of});
  return static_cast<vault::View>(decision.view);
}

Result<Caller> Rooms::Permits::acting_for(Caller caller, std::string_view person) const {
  return access_.acting_for(std::move(caller), person);
}

/// Access control's rows among the state that `journal verify --state` compares.
Task<Result<void>> Rooms::AccessState::rows(Report report) {
  auto findings = co_await admin_.check_state(std::move(report));
  if (!findings) co_return std::move(findings).error();
  co_return Result<void>();
}

bool Rooms::Permits::may(const Caller& caller, std::string_view operation) const {
  return caller.rights && caller.rights->may(operation);
}

Task<Result<Caller>> Rooms::Permits::renewed(Caller caller) const {
  co_return co_await access_.renewed(std::move(caller));
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
  const auto* declared = found ? found->find(field) : nullptr;
  if (!declared) co_return Error(Code::not_found, "no such field is declared").at("field");
  co_return static_cast<access::FieldClass>(declared->field_class);
}

Rooms::Rooms(Deps deps)
    : store_(deps.log.reader()),
      cache({deps.log, deps.keys, deps.clock, deps.notices}),
      access({cache, deps.log, deps.keys, deps.clock}),
      admin({cache, access, deps.log, deps.keys, deps.clock}),
      schemas(deps.log, deps.keys),
      permits_(access),
      fields_(schemas),
      accesses_(deps.index),
      access_api_({admin, access, cache, deps.log, deps.clock, fields_}),
      context{deps.log, store_, schemas, deps.keys, permits_, deps.clock},
      declarations(context),
      records(context),
      opening(context),
      tokens(context, opening),
      subjects(context, accesses_),
      imports(context, declarations, deps.pool),
      vault_state(context),
      unlocking({context, deps.held, deps.pool, deps.unlock_host, deps.unlock_places}),
      unlock_rows(deps.log.reader(), deps.keys),
      access_state_(admin),
      ledger_service_(
          {deps.log, deps.index, deps.keys, {&vault_state, &unlock_rows, &access_state_}}),
      ledger_api_(ledger_service_, deps.clock) {}

std::vector<http::Route> Rooms::rows(Rooms* rooms) {
  std::vector<http::Route> out;
  auto add = [&out](std::vector<http::Route> list) {
    for (auto& route : list) out.push_back(std::move(route));
  };
  add(vault::declaration_routes(rooms ? &rooms->declarations : nullptr));
  add(vault::record_routes(rooms ? &rooms->records : nullptr, rooms ? &rooms->opening : nullptr));
  add(vault::token_routes(rooms ? &rooms->tokens : nullptr));
  add(vault::subject_routes(rooms ? &rooms->subjects : nullptr));
  add(vault::import_routes(rooms ? &rooms->imports : nullptr));
  add(vault::Unlocking::rows(rooms ? &rooms->unlocking : nullptr));
  add(access::Api::rows(rooms ? &rooms->access_api_ : nullptr));
  add(ledger::Api::rows(rooms ? &rooms->ledger_api_ : nullptr));
  return out;
}

std::vector<http::Route> Rooms::routes(std::vector<http::Route> more) {
  auto out = rows(this);
  for (auto& route : more) out.push_back(std::move(route));
  for (auto& route : out)
    if (route.kind == http::RouteKind::json) decide_again(route, access);
  std::vector<std::string> ids;
  for (const auto& route : out) ids.emplace_back(route.id);
  admin.know_operations(std::move(ids));
  return out;
}

void decide_again(http::Route& route, access::Service& access) {
  route.run = [run = std::move(route.run), access = &access](http::Call call) {
    return run_again(run, access, std::move(call));
  };
}

}  // namespace holdfast::app
