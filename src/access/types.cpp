#include "access/types.h"

#include "access/messages.h"

namespace holdfast::access {
namespace {

constexpr Limits kName{.bytes = 64};
constexpr Limits kNames{.bytes = 64, .count = 100};
constexpr Limits kPermissions{.bytes = 64, .count = 200};
constexpr Limits kNetworks{.bytes = 49, .count = 64};
constexpr Limits kDuration{.bytes = 32};

}  // namespace

std::span<const std::string_view> enum_names(View) {
  static constexpr std::string_view kViews[] = {"none", "masked", "verify", "clear"};
  return kViews;
}

std::span<const std::string_view> enum_names(FieldClass) {
  static constexpr std::string_view kClasses[] = {"plain", "personal", "sensitive", "payment"};
  return kClasses;
}

std::span<const std::string_view> enum_names(Environment) {
  static constexpr std::string_view kEnvironments[] = {"live", "test"};
  return kEnvironments;
}

std::span<const std::string_view> enum_names(KeyState) {
  static constexpr std::string_view kStates[] = {"live", "expired", "revoked"};
  return kStates;
}

KeyState state_of(const ApiKey& key, Time now) {
  if (key.revoked) return KeyState::revoked;
  return now < key.expires ? KeyState::live : KeyState::expired;
}

bool due(const ApiKey& key, Time now, Millis within) {
  const auto left = key.expires - now;
  return state_of(key, now) == KeyState::live && left < within &&
         left < (key.expires - key.created) / 4;
}

ApiKey as_of(ApiKey key, Time now) {
  key.state = state_of(key, now);
  return key;
}

std::span<const Member> Budget::described() {
  using T = Budget;
  constexpr Limits kCount{.min = 1, .max = 1'000'000};
  static constexpr Member kMembers[] = {
      member<&T::per_hour>("per_hour", "Different customers within an hour.", kCount),
      member<&T::per_day>("per_day", "Different customers within a day.", kCount),
      member<&T::key_per_hour>("key_per_hour",
                               "The same for all that the key names together; as per_hour unless "
                               "said.",
                               kCount),
      member<&T::key_per_day>("key_per_day", "The same within a day; as per_day unless said.",
                              kCount)};
  return kMembers;
}

std::span<const Member> Grant::described() {
  using T = Grant;
  static constexpr Member kMembers[] = {
      member<&T::collection>("collection", "A collection's name, or `*` for all.", kName),
      member<&T::fields>("fields", "Names of fields; either these or classes.", kNames),
      member<&T::classes>("classes", "Classes of fields; either these or names.", {.count = 4}),
      member<&T::view>("view", "The most that is shown."),
      member<&T::purposes>("purposes", "What for; needed for more than masks.", kNames),
      member<&T::needs_person>("needs_person",
                               "Shows masks only, unless the call names who is behind it."),
      member<&T::engagements>("engagements",
                              "Kinds of engagements, one of which the call must name.",
                              {.bytes = 63, .count = 20}),
      member<&T::assignee>("assignee", "The engagement must be given to whoever calls."),
      member<&T::budget>("budget", "How many different customers may be opened."),
      member<&T::hours>("hours", "When it shows more than masks: `mon-fri 08:00-18:00`.",
                        {.bytes = 32, .count = 14}),
      member<&T::networks>("networks", "Where calls must come from (CIDR).", kNetworks),
      member<&T::observe_until>("observe_until",
                                "Until then its conditions only record what they would refuse; at "
                                "most 14 days ahead.")};
  return kMembers;
}

std::span<const Member> Role::described() {
  using T = Role;
  static constexpr Member kMembers[] = {
      member<&T::role>("role", "Its name.", kName),
      member<&T::doc>("doc", "What it is for.", {.bytes = 500}),
      member<&T::permissions>("permissions", "Operation ids, `records.*`, or `*`.", kPermissions),
      member<&T::grants>("grants", "What it shows of which fields.", {.count = 200}),
      member<&T::built_in>("built_in", "Comes with the program and cannot be changed."),
      member<&T::version>("version", "For If-Match; 0 when built in."),
      member<&T::updated>("updated", "When it was last put."),
      member<&T::suspended>(
          "suspended",
          "Since a restore: it had been narrowed, or nobody can say that it had not; "
          "gives nothing until it is put again."),
      member<&T::undeclared>(
          "undeclared",
          "In the reply to roles.put: names in its grants that nothing declares yet, the first 20. "
          "They show nothing until they are declared.",
          {.bytes = 256, .count = 20})};
  return kMembers;
}

std::span<const Member> ApiKey::described() {
  using T = ApiKey;
  static constexpr Member kMembers[] = {
      member<&T::key>("key", "Its id, which is also the principal in the journal.", kName),
      member<&T::name>("name", "What it is for.", kName),
      member<&T::environment>("environment", "live or test: a mark, seen in the key."),
      member<&T::roles>("roles", "The roles that it holds.", {.bytes = 64, .count = 20}),
      member<&T::scopes>("scopes", "Permissions that it is narrowed to; none: all of its roles'.",
                         kPermissions),
      member<&T::networks>("networks", "CIDR blocks it may come from; none: any.", kNetworks),
      member<&T::acts_for>("acts_for", "Kinds of persons it may name in on_behalf_of.",
                           {.bytes = 32, .count = 16}),
      member<&T::created>("created", "When it was made."),
      member<&T::expires>("expires", "When it ends."),
      member<&T::revoked>("revoked", "When it was revoked."),
      member<&T::created_by>("created_by", "The principal that made it.", kName),
      member<&T::replaces>("replaces", "The key that it was rotated from.", kName),
      member<&T::version>("version", "For If-Match."),
      member<&T::state>("state", "live, expired or revoked, as of now."),
      member<&T::last_used>("last_used", "To the minute; absent: never, or long ago.")};
  return kMembers;
}

std::span<const Member> StoredKey::described() {
  using T = StoredKey;
  static constexpr Member kMembers[] = {
      member<&T::key>("key", "All but the secret."),
      member<&T::digest>("digest", "SHA-256 of the key text, in hex.", {.bytes = 64}),
      member<&T::request>("request", "Fingerprint of the idempotency key.", {.bytes = 64})};
  return kMembers;
}

std::span<const Member> CreateKey::described() {
  using T = CreateKey;
  static constexpr Member kMembers[] = {
      member<&T::name>("name", "What it is for: letters, digits, spaces and `._-`.", kName),
      member<&T::environment>("environment", "live (default) or test: a mark, seen in the key."),
      member<&T::roles>("roles", "The roles that it holds; none that exceed your own.",
                        {.bytes = 64, .count = 20}),
      member<&T::scopes>("scopes", "Permissions to narrow it to; none: all of its roles'.",
                         kPermissions),
      member<&T::networks>("networks", "CIDR blocks it may come from; none: any.", kNetworks),
      member<&T::acts_for>("acts_for", "Kinds of persons it may name, such as staff, customer.",
                           {.bytes = 32, .count = 16}),
      member<&T::expires_in>("expires_in", "Such as `30 days`; 90 days by default, at most 366.",
                             kDuration)};
  return kMembers;
}

std::span<const Member> RotateKey::described() {
  using T = RotateKey;
  static constexpr Member kMembers[] = {
      member<&T::key>("key", "The key to replace.", kName, Place::path),
      member<&T::overlap>("overlap",
                          "How long the old one still works: 24 hours by default, "
                          "at most 30 days.",
                          kDuration),
      member<&T::expires_in>("expires_in", "Life of the new one; as the old one's by default.",
                             kDuration)};
  return kMembers;
}

std::span<const Member> NewKey::described() {
  using T = NewKey;
  static constexpr Member kMembers[] = {
      member<&T::info>("info", "All but the secret."),
      member<&T::api_key>("api_key", "The key itself, shown this once.", {}, Place::body,
                          Sensitivity::secret),
      member<&T::version>("version", "For If-Match.")};
  return kMembers;
}

std::span<const Member> RevokeKey::described() {
  static constexpr Member kMembers[] = {
      member<&RevokeKey::key>("key", "The key to end.", kName, Place::path)};
  return kMembers;
}

std::span<const Member> KeyRef::described() {
  static constexpr Member kMembers[] = {
      member<&KeyRef::key>("key", "The key's id.", kName, Place::path)};
  return kMembers;
}

std::span<const Member> ListKeys::described() {
  using T = ListKeys;
  static constexpr Member kMembers[] = {
      member<&T::state>("state", "Only keys in this state.", {}, Place::query),
      member<&T::after>("after", "`next` of the page before.", kName, Place::query),
      member<&T::limit>("limit", "Keys in a page; 100 by default.", {.min = 1, .max = 1000},
                        Place::query)};
  return kMembers;
}

std::span<const Member> KeyList::described() {
  static constexpr Member kMembers[] = {
      member<&KeyList::keys>("keys", "Sorted by id."),
      member<&KeyList::next>("next", "For the next page; absent at the end.", kName)};
  return kMembers;
}

std::span<const Member> PutRole::described() {
  using T = PutRole;
  static constexpr Member kMembers[] = {
      member<&T::role>("role", "Its name.", kName, Place::path),
      member<&T::doc>("doc", "What it is for.", {.bytes = 500}),
      member<&T::permissions>("permissions", "Operation ids, `records.*`, or `*`.", kPermissions),
      member<&T::grants>("grants", "What it shows of which fields.", {.count = 200})};
  return kMembers;
}

std::span<const Member> RoleRef::described() {
  static constexpr Member kMembers[] = {
      member<&RoleRef::role>("role", "Its name.", kName, Place::path)};
  return kMembers;
}

std::span<const Member> RoleList::described() {
  static constexpr Member kMembers[] = {
      member<&RoleList::roles>("roles", "Built-in ones first, then own ones by name.")};
  return kMembers;
}

std::span<const Member> Deleted::described() {
  static constexpr Member kMembers[] = {member<&Deleted::deleted>("deleted", "True.")};
  return kMembers;
}

std::span<const Member> Explain::described() {
  using T = Explain;
  static constexpr Member kMembers[] = {
      member<&T::operation>("operation", "An operation id.", kName),
      member<&T::collection>("collection", "With `field`: what it would be shown as.", kName),
      member<&T::field>("field", "A field of the collection.", kName),
      member<&T::purpose>("purpose", "What the value would be wanted for.", kName),
      member<&T::on_behalf_of>("on_behalf_of", "Who would be behind the call: `staff:17`.",
                               {.bytes = 97}, Place::body, Sensitivity::personal),
      member<&T::key>("key", "Another key's id (needs api_keys.get); your own by default.", kName),
      member<&T::engagement>("engagement", "The kind of an engagement that the call would name.",
                             kName),
      member<&T::assignee>("assignee", "Whether it would be given to whoever calls."),
      member<&T::address>("address", "Where the call would come from; as this one by default.",
                          {.bytes = 45}, Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> Explanation::described() {
  using T = Explanation;
  static constexpr Member kMembers[] = {
      member<&T::allowed>("allowed", "Whether the operation may be used at all."),
      member<&T::view>("view", "How the field would be shown."),
      member<&T::reason>("reason", "Why it is not more.", kName),
      member<&T::text>("text", "The reason as a sentence.", {.bytes = 500})};
  return kMembers;
}

std::span<const Member> WhoAmI::described() {
  static constexpr Member kMembers[] = {
      member<&WhoAmI::key>("key", "The key that you use."),
      member<&WhoAmI::permissions>("permissions", "After narrowing by scopes.", {.bytes = 64})};
  return kMembers;
}

std::span<const Member> BudgetsRequest::described() {
  static constexpr Member kMembers[] = {member<&BudgetsRequest::account>(
      "account", "Only this one: `key_...`, `per_...` or `store`.", kName, Place::query)};
  return kMembers;
}

std::span<const Member> BudgetUse::described() {
  using T = BudgetUse;
  static constexpr Member kMembers[] = {
      member<&T::account>("account", "A key, a person as the journal names them, or the store.",
                          kName),
      member<&T::used_hour>("used_hour", "Different customers opened within the last hour."),
      member<&T::used_day>("used_day", "Different customers opened within the last day."),
      member<&T::per_hour>("per_hour",
                           "The tightest limit that holds for it, where that is known: "
                           "of keys and of the store."),
      member<&T::per_day>("per_day", "The same within a day.")};
  return kMembers;
}

std::span<const Member> BudgetStatus::described() {
  static constexpr Member kMembers[] = {
      member<&BudgetStatus::budgets>("budgets",
                                     "Every account that has used anything; at most "
                                     "1,000, by name.")};
  return kMembers;
}

std::span<const Member> Observed::described() {
  using T = Observed;
  static constexpr Member kMembers[] = {
      member<&T::role>("role", "The role.", kName),
      member<&T::grant>("grant", "Which of its grants, from 0."),
      member<&T::rule>("rule", "engagement, assignee, hours, network or budget.", kName),
      member<&T::count>("count", "How often it would have refused."),
      member<&T::first>("first", "The first time."),
      member<&T::last>("last", "The last time.")};
  return kMembers;
}

std::span<const Member> ObservedList::described() {
  static constexpr Member kMembers[] = {
      member<&ObservedList::observed>("observed", "By role and grant.")};
  return kMembers;
}

}  // namespace holdfast::access
