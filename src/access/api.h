// The room's routes and their thin handlers. The route table in api.cpp is the list.
#pragma once

#include <vector>

#include "access/admin.h"
#include "access/budgets.h"
#include "access/ports.h"
#include "http/route.h"

namespace holdfast::access {

class Api {
 public:
  struct Deps {
    Admin& admin;
    Service& service;
    Cache& cache;
    journal::Journal& journal;
    const Clock& clock;
    Fields& fields;
    Budgets& budgets;
    Zone zone{};
  };

  explicit Api(Deps deps) : deps_(deps) {}

  /// The rows refer to this Api.
  std::vector<http::Route> routes() { return rows(this); }
  /// The same table; with nullptr only to be described.
  static std::vector<http::Route> rows(Api* api);

  Task<Result<NewKey>> create_key(Caller caller, CreateKey request);
  Task<Result<KeyList>> list_keys(Caller caller, ListKeys request);
  Task<Result<ApiKey>> get_key(Caller caller, KeyRef request);
  Task<Result<ApiKey>> revoke_key(Caller caller, RevokeKey request);
  Task<Result<NewKey>> rotate_key(Caller caller, RotateKey request);
  Task<Result<Role>> put_role(Caller caller, PutRole request);
  Task<Result<RoleList>> list_roles(Caller caller, ListRoles request);
  Task<Result<Role>> get_role(Caller caller, RoleRef request);
  Task<Result<Deleted>> delete_role(Caller caller, RoleRef request);
  Task<Result<Explanation>> explain(Caller caller, Explain request);
  Task<Result<WhoAmI>> whoami(Caller caller, WhoAmIRequest request);
  Task<Result<BudgetStatus>> budget_status(Caller caller, BudgetsRequest request);
  Task<Result<ObservedList>> observed(Caller caller, ObservedRequest request);

 private:
  const Deps deps_;
};

}  // namespace holdfast::access
