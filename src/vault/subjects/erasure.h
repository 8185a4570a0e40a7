// The erasure of a customer as one file that somebody else can check offline, with nothing but the
// log's verifier key: the proved journal entry of the deed, and the list of what follows with its
// dates, which is bound to a second proved entry, written when the statement was given.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "journal/proof.h"

namespace holdfast::vault {

enum class ErasureStep : std::uint8_t {
  keys_deleted,         // wrapped subject keys: the live database opens nothing of these groups
  values_deleted,       // values, tokens and index terms of these groups in the live database
  index_key_destroyed,  // terms in old backups name nobody any more
  epoch_key_destroyed   // wrapped keys in old backups open nothing any more
};
std::span<const std::string_view> enum_names(ErasureStep);
enum class StepState : std::uint8_t { done, planned, not_scheduled };
std::span<const std::string_view> enum_names(StepState);

struct StepView {
  ErasureStep step = ErasureStep::keys_deleted;
  StepState state = StepState::not_scheduled;
  std::optional<Time> at;
  std::optional<EventId> event;
  static std::span<const Member> described();
};

/// A keep group that was still there when the statement was given.
struct StillHeld {
  std::string group;
  std::optional<Time> until;  // while a duty holds it
  static std::span<const Member> described();
};

/// What the second entry's digest covers.
struct ErasureSteps {
  SubjectId subject;
  EventId erasure;
  Time erased{};
  std::vector<std::string> groups;
  std::optional<std::vector<StillHeld>> held;  // absent when nothing is, so as not to be hashed
  std::vector<StepView> steps;
  static std::span<const Member> described();
};

struct ErasureStatement {
  std::string format;  // "holdfast-erasure-1"
  ErasureSteps said;
  journal::EventProof erasure;
  journal::EventProof statement;
  static std::span<const Member> described();
};

inline constexpr std::string_view kErasureFormat = "holdfast-erasure-1";
/// base64url of SHA-256 over the compact JSON of the steps.
std::string digest_of(const ErasureSteps& said);

struct ProvedErasure {
  ErasureSteps said;
  std::string verifier;
  std::int64_t seq = 0;            // of the erasure
  std::int64_t statement_seq = 0;  // of the statement
  Time stated{};
};
/// Whether a file is such a statement, to tell it from a proof of one event. At most 16 MiB.
bool is_erasure(std::string_view json);
/// Offline. Without an expected key both proofs are checked under the key that they bring along.
/// Errors: invalid (not a statement), too_large, corrupt (does not prove it; another key).
Result<ProvedErasure> verify_erasure(std::string_view json,
                                     std::optional<std::string_view> expected_key);

/// A plain fact of an entry; nullopt without.
std::optional<std::string> fact_of(std::string_view entry, std::string_view name);

}  // namespace holdfast::vault
