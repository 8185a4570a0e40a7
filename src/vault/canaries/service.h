// Canaries: invented customers whose opening is an alarm. Read vault/canary.h first.
#pragma once

#include "http/route.h"
#include "vault/admission.h"
#include "vault/canaries/invent.h"
#include "vault/canary.h"
#include "vault/context.h"

namespace holdfast::vault {

struct PlantCanary {
  std::string collection;
  Locale locale = Locale::de;
  std::optional<std::string> external_id;
  std::optional<std::string> email, email_domain;
  std::optional<std::string> slot;
  bool without_records = false;
  static std::span<const Member> described();
};

struct PlantedCanary {
  SubjectId subject;
  std::string external_id;
  std::optional<RecordId> record;
  Values values;
  EventId event;
  static std::span<const Member> described();
};

struct ListCanaries {
  static std::span<const Member> described() { return {}; }
};

enum class CanaryState : std::uint8_t { planted, erased, missing };
std::span<const std::string_view> enum_names(CanaryState);

struct CanaryView {
  SubjectId subject;
  std::string external_id;
  std::string locale;
  Time planted{};
  CanaryState state = CanaryState::planted;
  static std::span<const Member> described();
};

struct CanaryList {
  std::vector<CanaryView> canaries;
  std::int64_t damaged = 0;
  EventId event;
  static std::span<const Member> described();
};

inline constexpr std::size_t kMostCanaries = 1'000;

/// Errors of all verbs: invalid, not_found, conflict, stale, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Canaries {
 public:
  explicit Canaries(Context context) : context_(context) {}

  /// Invents a customer that fits the collection's fields. It is known as a canary before it
  /// exists: the event of the planting names no customer, and the customer is made as any other.
  /// Its record has the slot, the fields and the plain values of one that is there, if one is.
  /// With `without_records` only the customer is made, for the shop's own connector to fill.
  Task<Result<PlantedCanary>> plant(Caller caller, PlantCanary request);
  Task<Result<CanaryList>> list(Caller caller, ListCanaries request);

 private:
  Task<Result<Loaded>> sample_of(const Collection& collection, CanaryCache::Known others,
                                 MonoTime deadline);

  Context context_;
};

/// The person as values of the collection's fields; fields that nothing fits are left out.
Values values_of(const Collection& collection, const Invented& person, std::string_view email);

/// nullptr only to be described.
std::vector<http::Route> canary_routes(Canaries* canaries);
std::span<const db::Sql* const> canary_statements();

}  // namespace holdfast::vault
