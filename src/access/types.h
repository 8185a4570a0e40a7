// The nouns of access control. A role is a list of permissions and grants; an API key holds roles;
// a grant says how much of which fields is shown, and for what. policy.h has the rules.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"

namespace holdfast::access {

/// How a value is shown. Ordered: each includes what comes before it. The same order and names as
/// vault::View, so that wiring can cast one to the other; FieldClass likewise.
enum class View : std::uint8_t { none, masked, verify, clear };
std::span<const std::string_view> enum_names(View);

enum class FieldClass : std::uint8_t { plain, personal, sensitive, payment };
std::span<const std::string_view> enum_names(FieldClass);
inline constexpr std::size_t kFieldClasses = 4;

/// A mark on the key for people and secret scanners; both kinds work on any server.
enum class Environment : std::uint8_t { live, test };
std::span<const std::string_view> enum_names(Environment);

enum class KeyState : std::uint8_t { live, expired, revoked };
std::span<const std::string_view> enum_names(KeyState);

inline constexpr Millis kDefaultLife = std::chrono::days(90);
inline constexpr Millis kBootstrapLife = std::chrono::days(7);
inline constexpr Millis kLongestLife = std::chrono::days(366);
inline constexpr Millis kDefaultOverlap = std::chrono::hours(24);
inline constexpr Millis kLongestOverlap = std::chrono::days(30);
/// Live and dead keys together: all of them are held in memory.
inline constexpr std::size_t kMostKeys = 10'000;
inline constexpr std::size_t kMostRoles = 500;

inline constexpr Millis kLongestObservation = std::chrono::days(14);

/// How many different customers may be opened. An absent number is no limit, but for the key's own:
/// these are as the others, so that who holds a key does not get further by naming many persons.
struct Budget {
  std::optional<std::int64_t> per_hour, per_day;          // by whoever stands behind the call
  std::optional<std::int64_t> key_per_hour, key_per_day;  // by the key, for all persons together
  friend bool operator==(const Budget&, const Budget&) = default;
  static std::span<const Member> described();
};

/// Shows fields of one collection (or of all, `*`) up to `view`, for the purposes named.
/// Masked values need no purpose. Either `fields` or `classes` is given. What follows `purposes`
/// are conditions: where one is not met, the grant shows masks.
struct Grant {
  std::string collection;
  std::vector<std::string> fields;
  std::vector<FieldClass> classes;
  View view = View::masked;
  /// `*` (every purpose) is for the built-in owner role only.
  std::vector<std::string> purposes;
  /// Without a person behind the call (on_behalf_of) it shows masks at most.
  bool needs_person = false;
  /// The call must name a live engagement of one of these kinds; empty: none is needed.
  std::vector<std::string> engagements;
  /// And whoever stands behind the call must be the one that the engagement was given to.
  bool assignee = false;
  std::optional<Budget> budget;
  /// `mon-fri 08:00-18:00`, in the time zone of the settings; empty: always.
  std::vector<std::string> hours;
  /// CIDR blocks that the call must come from; empty: any.
  std::vector<std::string> networks;
  /// Until then these conditions (engagement, assignee, budget, hours, networks) are only looked
  /// at: what they would refuse is recorded and counted. They hold for payment data from the start.
  std::optional<Time> observe_until;
  /// Whether anything but person and purpose is demanded.
  bool conditional() const {
    return !engagements.empty() || budget || !hours.empty() || !networks.empty();
  }
  friend bool operator==(const Grant&, const Grant&) = default;
  static std::span<const Member> described();
};

/// Also the stored form of own roles.
struct Role {
  std::string role;
  std::optional<std::string> doc;
  /// Operation ids, `records.*`, or `*`.
  std::vector<std::string> permissions;
  std::vector<Grant> grants;
  bool built_in = false;
  std::int64_t version = 0;  // 0: built in
  std::optional<Time> updated;
  std::optional<Time> suspended;  // by a restore: gives nothing until it is put again
  std::optional<std::vector<std::string>> undeclared;  // when it was put; not stored
  static std::span<const Member> described();
};

/// What may be known about a key: all but its secret.
struct ApiKey {
  std::string key;   // `key_` and 12 characters: the principal
  std::string name;  // what it is for
  Environment environment = Environment::live;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;    // permissions that it is narrowed to; empty: not narrowed
  std::vector<std::string> networks;  // CIDR; empty: from anywhere
  std::vector<std::string> acts_for;  // kinds that it may name in on_behalf_of; empty: none
  Time created{};
  Time expires{};
  std::optional<Time> revoked;
  std::string created_by;
  std::optional<std::string> replaces;  // the key that it was rotated from
  std::int64_t version = 0;
  std::optional<KeyState> state;  // as of now; not stored
  std::optional<Time> last_used;  // to the minute; not stored here
  static std::span<const Member> described();
};
KeyState state_of(const ApiKey& key, Time now);
/// Whether a live key ends within that time and has less than a quarter of its life left: one that
/// was made for a week is not due on its first day.
bool due(const ApiKey& key, Time now, Millis within);
/// With `state` filled in.
ApiKey as_of(ApiKey key, Time now);

/// The stored form of a key.
struct StoredKey {
  ApiKey key;
  std::string digest;  // SHA-256 of the key text, in hex
  /// Keyed fingerprint of the Idempotency-Key that made it.
  std::optional<std::string> request;
  static std::span<const Member> described();
};

}  // namespace holdfast::access
