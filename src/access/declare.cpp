#include "access/declare.h"

#include <algorithm>
#include <set>

#include "access/hours.h"
#include "access/key_text.h"
#include "access/network.h"
#include "access/policy.h"

namespace holdfast::access {
namespace {

bool lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

/// [a-z][a-z0-9_]{0,62}
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && lower(text[0]) &&
         std::ranges::all_of(text, [](char c) { return lower(c) || digit(c) || c == '_'; });
}

/// Gathers violations into one Error.
class Violations {
 public:
  void add(Error error) {
    if (!first_)
      first_ = std::move(error);
    else if (first_->also.size() < 20)
      first_->also.push_back(std::move(error));
  }
  std::optional<Error> take() { return std::move(first_); }

 private:
  std::optional<Error> first_;
};

void check_purposes(const Grant& grant, const FieldPath& at, Violations& bad) {
  if (grant.view > View::masked && grant.purposes.empty())
    bad.add(Error(Code::invalid, "name the purposes for which more than masks are shown")
                .at(at / "purposes"));
  for (std::size_t i = 0; i < grant.purposes.size(); ++i) {
    const auto where = (at / "purposes")[i];
    if (grant.purposes[i] == "*")
      bad.add(Error(Code::invalid, "name each purpose: only the owner role is for all").at(where));
    else if (!is_name(grant.purposes[i]))
      bad.add(Error(Code::invalid, "not the name of a purpose").at(where));
  }
}

/// Whether two grants differ in how long they are observed, if in anything.
bool same_rule(Grant a, const Grant& b) {
  a.observe_until = b.observe_until;
  return a == b;
}

void check_observation(const Grant& grant, const Role* before, Time now, const FieldPath& at,
                       Violations& bad) {
  if (!grant.observe_until) return;
  if (!grant.conditional())
    bad.add(Error(Code::invalid, "there is no condition here to observe").at(at));
  if (*grant.observe_until > now + kLongestObservation)
    bad.add(Error(Code::invalid, "at most 14 days ahead").at(at));
  if (before == nullptr) return;
  for (const auto& old : before->grants)
    if (same_rule(old, grant) && (!old.observe_until || *old.observe_until < *grant.observe_until))
      bad.add(Error(Code::conflict,
                    "this rule was observed before, or holds already: enforce it (leave out "
                    "observe_until) or drop it")
                  .at(at));
}

/// What a grant demands; networks come out in their one form.
void check_conditions(Grant& grant, const FieldPath& at, Violations& bad) {
  for (std::size_t i = 0; i < grant.engagements.size(); ++i)
    if (!is_name(grant.engagements[i]))
      bad.add(Error(Code::invalid, "not the name of a kind").at((at / "engagements")[i]));
  if (grant.assignee && grant.engagements.empty())
    bad.add(
        Error(Code::invalid, "name the engagements whose assignee is meant").at(at / "assignee"));
  if (grant.budget && *grant.budget == Budget{})
    bad.add(Error(Code::invalid, "say how many per hour or per day").at(at / "budget"));
  for (std::size_t i = 0; i < grant.hours.size(); ++i)
    if (!parse_hours(grant.hours[i]))
      bad.add(
          Error(Code::invalid, "hours are written `mon-fri 08:00-18:00`").at((at / "hours")[i]));
  for (std::size_t i = 0; i < grant.networks.size(); ++i) {
    const auto network = parse_network(grant.networks[i]);
    if (network)
      grant.networks[i] = text_of(*network);
    else
      bad.add(
          Error(Code::invalid, "not a CIDR block such as 192.0.2.0/24").at((at / "networks")[i]));
  }
  if (grant.conditional() && grant.view <= View::masked)
    bad.add(Error(Code::invalid, "conditions are for more than masks, which are always shown")
                .at(at / "view"));
}

void check_grant(const Grant& grant, const FieldPath& at, Violations& bad) {
  if (grant.collection != "*" && !is_name(grant.collection))
    bad.add(Error(Code::invalid, "neither a collection's name nor `*`").at(at / "collection"));
  if (grant.fields.empty() == grant.classes.empty())
    bad.add(Error(Code::invalid, "give either fields or classes").at(at / "fields"));
  for (std::size_t i = 0; i < grant.fields.size(); ++i)
    if (!is_name(grant.fields[i]))
      bad.add(Error(Code::invalid, "not the name of a field").at((at / "fields")[i]));
  if (grant.view == View::none)
    bad.add(
        Error(Code::invalid, "a grant shows something: masked, verify or clear").at(at / "view"));
  check_purposes(grant, at, bad);
}

bool exists(std::string_view permission, std::span<const std::string> operations) {
  return operations.empty() || std::ranges::any_of(operations, [&](const auto& operation) {
           return includes(permission, operation);
         });
}

void check_permissions(std::span<const std::string> permissions, const FieldPath& at,
                       std::span<const std::string> operations, Violations& bad) {
  for (std::size_t i = 0; i < permissions.size(); ++i) {
    if (!is_permission(permissions[i]))
      bad.add(Error(Code::invalid, "not an operation id, `group.*` or `*`").at(at[i]));
    else if (!exists(permissions[i], operations))
      bad.add(Error(Code::invalid, "this server has no such operation").at(at[i]));
  }
}

/// Letters, digits, spaces and `._-`, not at the ends a space.
bool is_label(std::string_view text) {
  auto fits = [](char c) {
    return lower(c) || digit(c) || (c >= 'A' && c <= 'Z') || c == ' ' || c == '.' || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= 64 && text.front() != ' ' && text.back() != ' ' &&
         std::ranges::all_of(text, fits);
}

void check_kinds(std::span<const std::string> kinds, Violations& bad) {
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if (person_kind(kinds[i] + ":x").empty())
      bad.add(Error(Code::invalid, "a kind is lower-case letters, such as staff")
                  .at(FieldPath("acts_for")[i]));
}

std::vector<std::string> check_networks(std::span<const std::string> networks, Violations& bad) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    if (auto network = parse_network(networks[i]))
      out.push_back(text_of(*network));
    else
      bad.add(
          Error(Code::invalid, "not a CIDR block such as 192.0.2.0/24 (no bits behind the prefix)")
              .at(FieldPath("networks")[i]));
  }
  return out;
}

std::vector<std::string> without_doubles(std::span<const std::string> names) {
  std::set<std::string> sorted(names.begin(), names.end());
  return {sorted.begin(), sorted.end()};
}

}  // namespace

bool is_permission(std::string_view text) {
  if (text == "*") return true;
  if (text.size() > 64) return false;
  for (bool first = true;; first = false) {
    const auto dot = text.find('.');
    const auto word = text.substr(0, dot);
    if (word == "*") return !first && dot == text.npos;
    if (!is_name(word)) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

Result<Role> declare_role(const PutRole& spec, std::span<const std::string> operations, Time now,
                          const Role* before) {
  Violations bad;
  if (!is_name(spec.role))
    bad.add(Error(Code::invalid, "a name is a lower-case letter, then letters, digits and `_`")
                .at("role"));
  check_permissions(spec.permissions, FieldPath("permissions"), operations, bad);
  auto grants = spec.grants;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    const auto at = FieldPath("grants")[i];
    check_grant(grants[i], at, bad);
    check_conditions(grants[i], at, bad);
    check_observation(grants[i], before, now, at / "observe_until", bad);
  }
  if (auto error = bad.take()) return std::move(*error);
  return Role{.role = spec.role,
              .doc = spec.doc,
              .permissions = spec.permissions,
              .grants = std::move(grants)};
}

std::string_view person_kind(std::string_view who) {
  const auto colon = who.find(':');
  if (colon == who.npos || colon == 0 || colon > 32) return {};
  const auto kind = who.substr(0, colon), name = who.substr(colon + 1);
  auto fits = [](char c) {
    return lower(c) || digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '@' ||
           c == '-';
  };
  if (name.empty() || name.size() > 64) return {};
  return std::ranges::all_of(kind, lower) && std::ranges::all_of(name, fits) ? kind
                                                                             : std::string_view();
}

Result<Millis> declared_span(const std::optional<std::string>& text, Millis otherwise,
                             Millis longest, std::string_view member) {
  if (!text) return otherwise;
  auto span = parse_duration(*text);
  if (!span) return Error(Code::invalid, "not a duration such as `30 days`").at(member);
  if (*span > longest) return Error(Code::invalid, "longer than is allowed").at(member);
  return *span;
}

Result<ApiKey> declare_key(const CreateKey& spec, Time now,
                           std::span<const std::string> operations) {
  Violations bad;
  if (!is_label(spec.name))
    bad.add(Error(Code::invalid, "1 to 64 letters, digits, spaces and `._-`").at("name"));
  if (spec.roles.empty()) bad.add(Error(Code::invalid, "name at least one role").at("roles"));
  check_permissions(spec.scopes, FieldPath("scopes"), operations, bad);
  check_kinds(spec.acts_for, bad);
  auto networks = check_networks(spec.networks, bad);
  auto life = declared_span(spec.expires_in, kDefaultLife, kLongestLife, "expires_in");
  if (!life) bad.add(std::move(life).error());
  if (auto error = bad.take()) return std::move(*error);
  return ApiKey{.name = spec.name,
                .environment = spec.environment.value_or(Environment::live),
                .roles = without_doubles(spec.roles),
                .scopes = without_doubles(spec.scopes),
                .networks = without_doubles(networks),
                .acts_for = without_doubles(spec.acts_for),
                .created = now,
                .expires = now + *life};
}

}  // namespace holdfast::access
