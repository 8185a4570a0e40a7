// The rules of access/policy.h once more, slow and obvious: what decide() is compared with.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "access/policy.h"

namespace holdfast::access::reference {

inline bool matches(std::string_view pattern, std::string_view operation) {
  if (pattern == "*" || pattern == operation) return true;
  if (pattern.size() < 2 || pattern.substr(pattern.size() - 2) != ".*") return false;
  return operation.starts_with(pattern.substr(0, pattern.size() - 1));
}

inline bool may(std::span<const Role* const> roles, std::span<const std::string> scopes,
                std::string_view operation) {
  if (operation == "access.whoami") return true;
  bool permitted = false;
  for (const auto* role : roles)
    for (const auto& permission : role->permissions)
      if (matches(permission, operation)) permitted = true;
  bool in_scope = scopes.empty();
  for (const auto& scope : scopes)
    if (matches(scope, operation)) in_scope = true;
  return permitted && in_scope;
}

inline bool covers(const Grant& grant, const Question& question) {
  if (grant.collection != "*" && grant.collection != question.collection) return false;
  for (const auto& field : grant.fields)
    if (field == question.field) return true;
  for (auto field_class : grant.classes)
    if (field_class == question.field_class) return true;
  return false;
}

inline bool is_for(const Grant& grant, std::string_view purpose) {
  if (purpose.empty()) return false;
  for (const auto& named : grant.purposes)
    if (named == "*" || named == purpose) return true;
  return false;
}

/// What one grant shows of the field.
inline View shows(const Grant& grant, const Question& question) {
  if (!covers(grant, question)) return View::none;
  if (grant.view <= View::masked) return grant.view;
  if (!is_for(grant, question.purpose)) return View::masked;
  if (grant.needs_person && question.on_behalf_of.empty()) return View::masked;
  const bool customer = question.on_behalf_of.substr(0, 9) == "customer:";
  const bool self_service = question.purpose == "self_service";
  return customer == self_service ? grant.view : View::masked;
}

inline View view(std::span<const Role* const> roles, std::span<const std::string> scopes,
                 const Question& question) {
  if (!question.operation.empty() && !may(roles, scopes, question.operation)) return View::none;
  View out = View::none;
  for (const auto* role : roles)
    for (const auto& grant : role->grants) out = std::max(out, shows(grant, question));
  return out;
}

}  // namespace holdfast::access::reference
