// Requests and answers of the journal's routes; api.cpp says which route takes which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "journal/check.h"
#include "journal/entry.h"
#include "journal/proof.h"

namespace holdfast::ledger {

inline constexpr std::int64_t kPage = 100, kLargestPage = 500;

struct ListEntries {
  std::optional<std::string> operation, actor;
  std::optional<SubjectId> subject;
  std::optional<journal::Outcome> outcome;
  std::optional<Time> since, until;
  std::optional<std::string> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};

struct JournalEntry {
  std::int64_t seq = 0;
  std::string id;
  Time at{};
  std::string operation, principal, actor, outcome;
  std::optional<std::string> reason, purpose, collection;
  std::vector<std::string> fields;
  bool opened = false;
  std::int64_t touched = 0;
  std::optional<std::string> subject, kind, request_id;
  std::optional<JsonText> event;
  static std::span<const Member> described();
};

struct EntryList {
  std::vector<JournalEntry> entries;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct EntryRef {
  std::string entry;
  static std::span<const Member> described();
};

struct ProofRequest {
  std::string entry;
  std::optional<SubjectId> subject;
  static std::span<const Member> described();
};

/// What lies sealed beside an entry. Absent members were not given, or are past their keep time.
struct EntrySides {
  std::int64_t seq = 0;
  std::string id;
  std::optional<Secret> address, user_agent, on_behalf_of, note;
  bool gone = false;
  static std::span<const Member> described();
};

struct NoArguments {
  static std::span<const Member> described();
};

struct ConsistencyRequest {
  std::int64_t from = 0;
  std::optional<std::int64_t> to;
  static std::span<const Member> described();
};

struct VerifyLog {
  bool state = false;
  static std::span<const Member> described();
};

struct FoundFault {
  journal::Fault fault{};
  std::int64_t seq = 0;
  static std::span<const Member> described();
};

struct FoundRow {
  std::string kind, row;
  std::optional<std::int64_t> seq;
  static std::span<const Member> described();
};

struct FoundState {
  std::int64_t rows = 0, moving = 0, changed_total = 0, unrecorded_total = 0, missing_total = 0,
               closed_total = 0;
  std::vector<FoundRow> changed, unrecorded, missing, closed;
  static std::span<const Member> described();
};

struct Verification {
  bool good = false;
  std::int64_t entries = 0, batches = 0, leaves = 0;
  std::string checkpoint_root, verifier;
  bool root_matches = false;
  std::optional<bool> witness_matches;
  std::int64_t faults_total = 0;
  std::vector<FoundFault> faults;
  std::optional<FoundState> state;
  static std::span<const Member> described();
};

struct ScopeRequest {
  std::string actor;
  std::optional<SubjectId> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};

struct ScopeSubject {
  SubjectId subject;
  Time first{}, last{};
  std::int64_t first_seq = 0, last_seq = 0, events = 0;
  static std::span<const Member> described();
};

struct Scope {
  std::string actor;
  std::vector<ScopeSubject> subjects;
  std::optional<std::int64_t> total;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct PseudonymRequest {
  Secret person;
  static std::span<const Member> described();
};

struct Pseudonym {
  std::string actor;
  static std::span<const Member> described();
};

struct EventsRequest {
  std::optional<std::int64_t> after;
  static std::span<const Member> described();
};

}  // namespace holdfast::ledger
