#include "access/snapshot.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "access/key_text.h"

namespace holdfast::access {
namespace {

std::optional<Role> read_role(const Row& row) {
  auto role = parse_json_as<Role>(row.content);
  if (!role || role->role != row.id || role->version != row.version || role->built_in)
    return std::nullopt;
  return std::move(*role);
}

std::optional<Principal> read_key(const Row& row) {
  auto stored = parse_json_as<StoredKey>(row.content);
  if (!stored || stored->key.key != row.id || stored->key.version != row.version ||
      !is_principal(row.id))
    return std::nullopt;
  Principal out{.key = std::move(stored->key), .request = stored->request.value_or("")};
  const auto digest = unhex(stored->digest);
  if (!digest || digest->size() != out.digest.size()) return std::nullopt;
  std::ranges::copy(*digest, out.digest.begin());
  for (const auto& text : out.key.networks) {
    auto network = parse_network(text);
    if (!network) return std::nullopt;
    out.networks.push_back(*network);
  }
  return out;
}

std::string_view bare(std::string_view principal) {
  return principal.substr(4);
}

}  // namespace

bool Principal::reachable_from(std::string_view address) const {
  if (networks.empty()) return true;
  const auto from = parse_address(address);
  return from && std::ranges::any_of(
                     networks, [&](const Network& network) { return network.contains(*from); });
}

const Principal* Snapshot::find_id(std::string_view id) const {
  auto at = keys.find(id);
  return at == keys.end() ? nullptr : &at->second;
}

const Principal* Snapshot::find(std::string_view principal) const {
  return is_principal(principal) ? find_id(bare(principal)) : nullptr;
}

const Role* Snapshot::role(std::string_view name) const {
  auto at = own_roles.find(name);
  return at == own_roles.end() ? find_built_in(name) : &at->second;
}

std::shared_ptr<const Rights> Snapshot::compile(const ApiKey& key, bool in_full) const {
  std::vector<const Role*> roles;
  for (const auto& name : key.roles)
    if (const auto* found = role(name); found != nullptr && (in_full || !found->suspended))
      roles.push_back(found);
  return Rights::compile(roles, key.scopes, key.acts_for);
}

std::shared_ptr<const Snapshot> make_snapshot(std::uint64_t generation, Authority authority,
                                              const Snapshot* before) {
  auto out = std::make_shared<Snapshot>();
  out->generation = generation;
  out->authority = std::move(authority);
  auto unreadable = [&](const Row& row) {
    out->authority.findings.push_back({row.kind, row.id, "unreadable"});
  };
  for (const auto& row : out->authority.rows) {
    if (row.kind == kRoles) {
      auto role = read_role(row);
      if (role)
        out->own_roles.emplace(row.id, std::move(*role));
      else
        unreadable(row);
    } else if (row.kind == kKeys) {
      auto key = read_key(row);
      if (key)
        out->keys.emplace(bare(row.id), std::move(*key));
      else
        unreadable(row);
    } else {
      unreadable(row);
    }
  }

  for (auto& [id, principal] : out->keys) {
    const auto* first = &principal;
    for (std::size_t steps = 0; first->key.replaces && steps < kMostKeys; ++steps) {
      const auto* before_it = out->find(*first->key.replaces);
      if (before_it == nullptr) break;
      first = before_it;
    }
    principal.account = first->key.replaces.value_or(first->key.key);
  }

  using Profile =
      std::tuple<std::vector<std::string>, std::vector<std::string>, std::vector<std::string>>;
  std::map<Profile, std::shared_ptr<const Rights>> compiled;
  for (auto& [id, principal] : out->keys) {
    auto& rights = compiled[{principal.key.roles, principal.key.scopes, principal.key.acts_for}];
    if (!rights) rights = out->compile(principal.key);
    principal.rights = rights;
    const auto* known = before == nullptr ? nullptr : before->find_id(id);
    principal.last_use = known == nullptr ? std::make_shared<LastUse>() : known->last_use;
  }
  return out;
}

std::string stored_text(const ApiKey& key, const crypto::Digest& digest, std::string request) {
  StoredKey stored{.key = key, .digest = hex(digest)};
  if (!request.empty()) stored.request = std::move(request);
  return to_json(stored);
}

}  // namespace holdfast::access
