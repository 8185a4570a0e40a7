// Requests and answers of the room's operations; api.h says which route takes which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "access/types.h"

namespace holdfast::access {

struct CreateKey {
  std::string name;
  std::optional<Environment> environment;
  std::vector<std::string> roles, scopes, networks, acts_for;
  std::optional<std::string> expires_in;  // "30 days"; 90 days by default
  std::string idempotency_key;            // from the header
  static std::span<const Member> described();
};

struct RotateKey {
  std::string key;
  std::optional<std::string> overlap;     // "1 h"; 24 hours by default
  std::optional<std::string> expires_in;  // of the new key; as long as the old one's life
  std::string idempotency_key, if_match;  // from headers
  static std::span<const Member> described();
};

/// The only answer that holds a key's secret.
struct NewKey {
  ApiKey info;
  Secret api_key;
  std::int64_t version = 0;
  static std::span<const Member> described();
};

struct RevokeKey {
  std::string key;
  std::string if_match;
  static std::span<const Member> described();
};

struct KeyRef {
  std::string key;
  static std::span<const Member> described();
};

struct ListKeys {
  std::optional<KeyState> state;
  std::optional<std::string> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};

struct KeyList {
  std::vector<ApiKey> keys;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct PutRole {
  std::string role;
  std::optional<std::string> doc;
  std::vector<std::string> permissions;
  std::vector<Grant> grants;
  std::string if_match;
  static std::span<const Member> described();
};

struct RoleRef {
  std::string role;
  std::string if_match;
  static std::span<const Member> described();
};

struct ListRoles {
  static std::span<const Member> described() { return {}; }
};

struct RoleList {
  std::vector<Role> roles;
  static std::span<const Member> described();
};

struct Deleted {
  bool deleted = true;
  static std::span<const Member> described();
};

struct Explain {
  std::optional<std::string> operation, collection, field, purpose, on_behalf_of, key;
  std::optional<std::string> engagement, address;
  bool assignee = false;
  static std::span<const Member> described();
};

struct Explanation {
  bool allowed = false;      // may the operation be used at all (true when none was named)
  std::optional<View> view;  // of the field, when one was named
  std::string reason;        // a code of policy.h
  std::string text;
  static std::span<const Member> described();
};

struct WhoAmIRequest {
  static std::span<const Member> described() { return {}; }
};

struct WhoAmI {
  ApiKey key;
  std::vector<std::string> permissions;  // after narrowing by scopes
  static std::span<const Member> described();
};

struct BudgetsRequest {
  std::optional<std::string> account;
  static std::span<const Member> described();
};

struct BudgetUse {
  std::string account;  // `key_...`, a person's pseudonym, or `store`
  std::int64_t used_hour = 0, used_day = 0;
  std::optional<std::int64_t> per_hour, per_day;
  static std::span<const Member> described();
};

struct BudgetStatus {
  std::vector<BudgetUse> budgets;
  static std::span<const Member> described();
};

struct ObservedRequest {
  static std::span<const Member> described() { return {}; }
};

/// What a rule under observation would have refused.
struct Observed {
  std::string role;
  std::int64_t grant = 0;
  std::string rule;
  std::int64_t count = 0;
  Time first{}, last{};
  static std::span<const Member> described();
};

struct ObservedList {
  std::vector<Observed> observed;
  static std::span<const Member> described();
};

}  // namespace holdfast::access
