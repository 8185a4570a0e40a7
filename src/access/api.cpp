#include "access/api.h"

#include <algorithm>
#include <utility>

#include "access/declare.h"
#include "access/store.h"

namespace holdfast::access {
namespace {

constexpr std::int64_t kPage = 100;

/// The key with what is only known now. Scratch may be away: then nothing is said of last uses.
ApiKey shown(const ApiKey& key, const Result<ByName<Time>>& uses, Time now) {
  auto out = as_of(key, now);
  if (!uses) return out;
  if (auto at = uses->find(key.key); at != uses->end()) out.last_used = at->second;
  return out;
}

/// The tightest of the budgets that a key without a person behind it has.
Ceiling tightest(const Rights& rights) {
  Ceiling out;
  auto take = [](std::int64_t& least, std::int64_t limit) {
    if (limit != 0 && (least == 0 || limit < least)) least = limit;
  };
  for (auto rule : rights.budgeted()) {
    const auto most = allowance(*rights.terms(rule)->budget);
    take(out.per_hour, most.key_per_hour);
    take(out.per_day, most.key_per_day);
  }
  return out;
}

constexpr std::size_t kMostUndeclared = 20;

/// What one grant names and nothing declares. Which fields `*` has is not looked at.
Task<Result<void>> gather_undeclared(Fields& fields, const Grant& grant, MonoTime deadline,
                                     std::vector<std::string>& out) {
  auto note = [&](const Result<void>& known, std::string name) -> Result<void> {
    if (known || (known.error().code != Code::not_found && known.error().code != Code::invalid))
      return known;
    if (out.size() < kMostUndeclared && std::ranges::count(out, name) == 0)
      out.push_back(std::move(name));
    return {};
  };
  for (const auto& purpose : grant.purposes) {
    const auto known = co_await fields.purpose(purpose, deadline);
    if (auto read = note(known, "purpose " + purpose); !read) co_return read;
  }
  if (grant.collection == "*") co_return Result<void>();
  // Of a grant of classes, the empty name stands for any field.
  for (const auto& field : grant.fields.empty() ? std::vector<std::string>(1) : grant.fields) {
    const auto known = co_await fields.class_of(grant.collection, field, deadline);
    if (known || (field.empty() && known.error().field == FieldPath("field"))) continue;
    const bool whole = known.error().field == FieldPath("collection");
    auto read = note(known.error(), whole ? "collection " + grant.collection
                                          : "field " + grant.collection + '.' + field);
    if (whole || !read) co_return read;
  }
  co_return Result<void>();
}

/// A decision's reason as a sentence, and that a role would give more if it were put again.
std::string sentence(const Snapshot& snapshot, const ApiKey& key, std::string_view reason) {
  std::string out(access::explain(reason));
  for (const auto& name : key.roles)
    if (const auto* role = snapshot.role(name); role != nullptr && role->suspended)
      return out + " Its role " + name + " is suspended since a restore: put it again.";
  return out;
}

}  // namespace

std::vector<http::Route> Api::rows(Api* api) {
  using http::route;
  return {
      route<&Api::create_key>(
          api, "api_keys.create", "POST", "/v1/api-keys", "Make an API key; it is shown once",
          {.status = 201,
           .examples = {{"A storefront's backend",
                         R"({"name":"storefront","roles":["service"],"acts_for":["customer"]})"}}}),
      route<&Api::list_keys>(api, "api_keys.list", "GET", "/v1/api-keys", "List API keys"),
      route<&Api::get_key>(api, "api_keys.get", "GET", "/v1/api-keys/{key}",
                           "Show an API key without its secret"),
      route<&Api::revoke_key>(api, "api_keys.revoke", "POST", "/v1/api-keys/{key}/revoke",
                              "End an API key now and for ever"),
      route<&Api::rotate_key>(
          api, "api_keys.rotate", "POST", "/v1/api-keys/{key}/rotate",
          "Replace an API key; the old one works until the overlap is over",
          {.status = 201, .examples = {{"Two hours to switch over", R"({"overlap":"2 h"})"}}}),
      route<&Api::put_role>(
          api, "roles.put", "PUT", "/v1/roles/{role}", "Make or replace a role of your own",
          {.examples = {{"A returns desk",
                         R"({"permissions":["records.get","records.reveal"],"grants":[)"
                         R"({"collection":"orders","classes":["personal"],"view":"clear",)"
                         R"("purposes":["support"]}]})"}}}),
      route<&Api::list_roles>(api, "roles.list", "GET", "/v1/roles",
                              "List roles, those built in and your own"),
      route<&Api::get_role>(api, "roles.get", "GET", "/v1/roles/{role}", "Show a role"),
      route<&Api::delete_role>(api, "roles.delete", "DELETE", "/v1/roles/{role}",
                               "Delete a role that no live key holds"),
      route<&Api::observed>(api, "roles.observed", "GET", "/v1/roles-observed",
                            "What rules under observation would have refused"),
      route<&Api::budget_status>(api, "budgets.status", "GET", "/v1/budgets",
                                 "How many different customers keys, persons and the store opened"),
      route<&Api::explain>(
          api, "access.explain", "POST", "/v1/access/explain",
          "Say whether an operation is permitted and how a field would be shown, and why",
          {.examples = {{"May I see emails for support?",
                         R"({"operation":"records.reveal","collection":"customers",)"
                         R"("field":"email","purpose":"support"})"}}}),
      route<&Api::whoami>(api, "access.whoami", "GET", "/v1/whoami",
                          "Show the key that you use and what it permits")};
}

Task<Result<NewKey>> Api::create_key(Caller caller, CreateKey request) {
  return deps_.admin.create_key(std::move(caller), std::move(request));
}
Task<Result<ApiKey>> Api::revoke_key(Caller caller, RevokeKey request) {
  return deps_.admin.revoke_key(std::move(caller), std::move(request));
}
Task<Result<NewKey>> Api::rotate_key(Caller caller, RotateKey request) {
  return deps_.admin.rotate_key(std::move(caller), std::move(request));
}
Task<Result<Role>> Api::put_role(Caller caller, PutRole request) {
  const auto deadline = caller.deadline;
  auto role = co_await deps_.admin.put_role(std::move(caller), std::move(request));
  if (!role) co_return role;
  std::vector<std::string> undeclared;
  for (const auto& grant : role->grants)
    // The role is put: that nobody can say now what is declared does not undo it.
    if (!co_await gather_undeclared(deps_.fields, grant, deadline, undeclared)) co_return role;
  if (!undeclared.empty()) role->undeclared = std::move(undeclared);
  co_return role;
}
Task<Result<Deleted>> Api::delete_role(Caller caller, RoleRef request) {
  return deps_.admin.delete_role(std::move(caller), std::move(request));
}

Task<Result<KeyList>> Api::list_keys(Caller caller, ListKeys request) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto uses = co_await read_last_uses(deps_.journal.scratch(), caller.deadline);
  const auto now = deps_.clock.now();
  std::vector<const ApiKey*> found;
  for (const auto& [id, principal] : (*snapshot)->keys)
    if ((!request.state || state_of(principal.key, now) == *request.state) &&
        (!request.after || principal.key.key > *request.after))
      found.push_back(&principal.key);
  std::ranges::sort(found, {}, [](const ApiKey* key) -> std::string_view { return key->key; });

  KeyList out;
  const auto page = static_cast<std::size_t>(request.limit.value_or(kPage));
  const bool more = found.size() > page;
  if (more) found.resize(page);
  for (const auto* key : found) out.keys.push_back(shown(*key, uses, now));
  if (more) out.next = out.keys.back().key;
  co_return out;
}

Task<Result<ApiKey>> Api::get_key(Caller caller, KeyRef request) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* principal = (*snapshot)->find(request.key);
  if (principal == nullptr) co_return Error(Code::not_found, "there is no such key").at("key");
  const auto uses = co_await read_last_uses(deps_.journal.scratch(), caller.deadline);
  co_return shown(principal->key, uses, deps_.clock.now());
}

Task<Result<RoleList>> Api::list_roles(Caller caller, ListRoles) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  RoleList out;
  for (const auto& role : built_in_roles())
    if (!(*snapshot)->own_roles.contains(role.role)) out.roles.push_back(role);
  const auto own = out.roles.size();
  for (const auto& [name, role] : (*snapshot)->own_roles) out.roles.push_back(role);
  std::sort(out.roles.begin() + static_cast<std::ptrdiff_t>(own), out.roles.end(),
            [](const Role& a, const Role& b) { return a.role < b.role; });
  co_return out;
}

Task<Result<Role>> Api::get_role(Caller caller, RoleRef request) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* role = (*snapshot)->role(request.role);
  if (role == nullptr) co_return Error(Code::not_found, "there is no such role").at("role");
  co_return *role;
}

Task<Result<WhoAmI>> Api::whoami(Caller caller, WhoAmIRequest) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  const auto* self = (*snapshot)->find(caller.principal);
  if (self == nullptr) co_return Error(Code::unauthenticated, "this key has ended meanwhile");
  const auto uses = co_await read_last_uses(deps_.journal.scratch(), caller.deadline);
  co_return WhoAmI{.key = shown(self->key, uses, deps_.clock.now()),
                   .permissions = self->rights->permissions()};
}

Task<Result<BudgetStatus>> Api::budget_status(Caller caller, BudgetsRequest request) {
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  auto uses = co_await deps_.budgets.uses(request.account.value_or(""), caller.deadline);
  if (!uses) co_return std::move(uses).error();
  auto shown_limit = [](std::int64_t limit) {
    return limit == 0 ? std::nullopt : std::optional(limit);
  };
  BudgetStatus out;
  for (auto& use : *uses) {
    BudgetUse row{std::move(use.account), use.hour, use.day, {}, {}};
    Ceiling most;
    if (row.account == "store") {
      most = deps_.budgets.ceiling();
    } else if (const auto* key = (*snapshot)->find(row.account)) {
      most = tightest(*key->rights);
    }
    row.per_hour = shown_limit(most.per_hour);
    row.per_day = shown_limit(most.per_day);
    out.budgets.push_back(std::move(row));
  }
  co_return out;
}

Task<Result<ObservedList>> Api::observed(Caller caller, ObservedRequest) {
  auto found = co_await read_observed(deps_.journal.scratch(), caller.deadline);
  if (!found) co_return std::move(found).error();
  co_return ObservedList{std::move(*found)};
}

Task<Result<Explanation>> Api::explain(Caller caller, Explain request) {
  if (!request.operation && !request.field)
    co_return Error(Code::invalid, "name an operation, a field, or both").at("operation");
  if (request.collection.has_value() != request.field.has_value())
    co_return Error(Code::invalid, "a field goes with its collection").at("field");
  if (request.operation && !deps_.admin.knows_operation(*request.operation))
    co_return Error(Code::not_found,
                    "there is no such operation: they are named as commands are, such as "
                    "records.reveal")
        .at("operation");
  if (request.purpose)
    if (auto known = co_await deps_.fields.purpose(*request.purpose, caller.deadline); !known)
      co_return std::move(known).error();
  auto snapshot = co_await deps_.cache.refresh(caller.deadline);
  if (!snapshot) co_return std::move(snapshot).error();
  if (request.key && *request.key != caller.principal) {
    auto allowed = co_await deps_.service.allow(caller, "api_keys.get");
    if (!allowed) co_return std::move(allowed).error();
  }
  const auto* principal = (*snapshot)->find(request.key.value_or(caller.principal));
  if (principal == nullptr) co_return Error(Code::not_found, "there is no such key").at("key");
  const auto& rights = *principal->rights;

  Question question{.operation = request.operation ? *request.operation : std::string_view(),
                    .purpose = request.purpose ? *request.purpose : std::string_view()};
  if (request.on_behalf_of) {
    const auto kind = person_kind(*request.on_behalf_of);
    if (kind.empty())
      co_return Error(Code::invalid, "a person is a kind and a name, such as staff:17")
          .at("on_behalf_of");
    if (!rights.acts_for(kind))
      co_return Explanation{.reason = "acts_for",
                            .text = "This key may not act for that kind of person."};
    question.on_behalf_of = *request.on_behalf_of;
  }
  if (!request.field) {
    const bool allowed = rights.may(question.operation);
    const std::string_view reason = allowed ? "granted" : "permission";
    co_return Explanation{.allowed = allowed,
                          .reason = std::string(reason),
                          .text = allowed ? "A role of this key permits it."
                                          : sentence(**snapshot, principal->key, reason)};
  }
  auto field_class =
      co_await deps_.fields.class_of(*request.collection, *request.field, caller.deadline);
  if (!field_class) co_return std::move(field_class).error();
  question.collection = *request.collection;
  question.field = *request.field;
  question.field_class = *field_class;
  if (request.engagement) question.engagement = *request.engagement;
  question.assignee = request.assignee;
  question.now = deps_.clock.now();
  question.minute_of_week = deps_.zone.minute_of_week(question.now);
  const auto address = parse_address(request.address.value_or(caller.address));
  if (address) question.address = &*address;
  const auto decision = decide(rights, question);
  co_return Explanation{.allowed = decision.reason != "permission",
                        .view = decision.view,
                        .reason = std::string(decision.reason),
                        .text = sentence(**snapshot, principal->key, decision.reason)};
}

}  // namespace holdfast::access
