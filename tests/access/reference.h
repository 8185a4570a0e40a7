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

/// `mon-fri 08:00-18:00`, minute by minute: the hours may end on the next day.
inline bool open_at(std::string_view hours, int minute) {
  const std::string_view days = "montuewedthufrisatsun";
  auto day_of = [&](std::string_view name) { return static_cast<int>(days.find(name) / 3); };
  auto time_of = [](std::string_view text) {
    return std::stoi(std::string(text.substr(0, 2))) * 60 +
           std::stoi(std::string(text.substr(3, 2)));
  };
  const auto space = hours.find(' ');
  const auto named = hours.substr(0, space), times = hours.substr(space + 1);
  const int first = day_of(named.substr(0, 3)), last = day_of(named.substr(named.size() - 3));
  const int from = time_of(times.substr(0, 5)), to = time_of(times.substr(6));
  for (int day = first;; day = (day + 1) % 7) {
    const int length = to > from ? to - from : to + 1440 - from;
    for (int i = 0; i < length; ++i)
      if ((day * 1440 + from + i) % 10'080 == minute) return true;
    if (day == last) return false;
  }
}

inline bool observed(const Grant& grant, const Question& question) {
  return grant.observe_until && question.now < *grant.observe_until &&
         question.field_class != FieldClass::payment;
}

/// Whether everything but a budget that the grant demands is so.
inline bool met(const Grant& grant, const Question& question) {
  if (!grant.engagements.empty()) {
    bool named = false;
    for (const auto& kind : grant.engagements)
      if (kind == question.engagement) named = true;
    if (!named || question.engagement.empty()) return false;
  }
  if (grant.assignee && !question.assignee) return false;
  bool hour = grant.hours.empty();
  for (const auto& hours : grant.hours)
    if (open_at(hours, question.minute_of_week)) hour = true;
  bool inside = grant.networks.empty();
  for (const auto& network : grant.networks)
    if (question.address != nullptr && parse_network(network)->contains(*question.address))
      inside = true;
  return hour && inside;
}

/// What one grant shows of the field.
inline View shows(const Grant& grant, const Question& question) {
  if (!covers(grant, question)) return View::none;
  if (grant.view <= View::masked) return grant.view;
  if (!is_for(grant, question.purpose)) return View::masked;
  if (grant.needs_person && question.on_behalf_of.empty()) return View::masked;
  if (!observed(grant, question) && !met(grant, question)) return View::masked;
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

/// Whether the view is more than a mask and no grant gives it without counting the customer.
inline bool charged(std::span<const Role* const> roles, const Question& question, View seen) {
  if (seen <= View::masked) return false;
  for (const auto* role : roles)
    for (const auto& grant : role->grants)
      if (shows(grant, question) == seen && (!grant.budget || observed(grant, question)))
        return false;
  return true;
}

/// Whether a grant that is observed is all that gives the view, though its conditions are not met.
inline bool would_refuse(std::span<const Role* const> roles, const Question& question, View seen) {
  if (seen <= View::masked) return false;
  for (const auto* role : roles)
    for (const auto& grant : role->grants)
      if (shows(grant, question) == seen && met(grant, question)) return false;
  return true;
}

}  // namespace holdfast::access::reference
