// What the operations on customers take and give, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "journal/proof.h"
#include "vault/rights_rows.h"
#include "vault/standing.h"

namespace holdfast::vault {

struct SubjectRequest {
  std::string subject;
  static std::span<const Member> described();
};
struct RecordNote {
  RecordId record;
  std::string collection;
  std::optional<std::string> slot;
  std::int64_t version = 0;
  static std::span<const Member> described();
};
struct RestrictionView {
  Ground ground = Ground::accuracy_contested;
  Time since{};
  static std::span<const Member> described();
};
struct PurposeView {
  std::string purpose;
  Consent consent = Consent::none;
  std::optional<Time> consent_at;
  bool objected = false;
  std::optional<Time> objected_at;
  static std::span<const Member> described();
};
struct SubjectView {
  SubjectId subject;
  Time created{};
  std::optional<Time> erased;
  bool has_external_id = false;
  std::vector<SubjectId> aliases;
  std::optional<RestrictionView> restricted;
  std::vector<PurposeView> purposes;
  std::vector<std::string> keep_groups;
  std::vector<RecordNote> records;
  static std::span<const Member> described();
};

struct EraseSubject {
  std::string subject;
  std::vector<std::string> groups;
  std::optional<std::string> reason;
  static std::span<const Member> described();
};
struct HeldGroup {
  std::string group;
  Time until{};
  static std::span<const Member> described();
};
struct ErasedSubject {
  SubjectId subject;
  std::vector<std::string> erased;
  std::vector<HeldGroup> held;
  std::int64_t records = 0;
  std::int64_t values = 0;
  std::int64_t tokens = 0;
  EventId event;
  static std::span<const Member> described();
};

struct RectifyRecord {
  std::string subject;
  RecordId record;
  Values values;
  std::optional<std::int64_t> version;
  std::optional<std::string> note;
  static std::span<const Member> described();
};
struct RectifiedRecord {
  RecordId record;
  SubjectId subject;
  std::int64_t version = 0;
  std::vector<std::string> changed;
  EventId event;
  static std::span<const Member> described();
};

struct RestrictSubject {
  std::string subject;
  Ground ground = Ground::accuracy_contested;
  std::optional<std::string> note;
  static std::span<const Member> described();
};
struct UnrestrictSubject {
  std::string subject;
  std::optional<std::string> note;
  static std::span<const Member> described();
};
struct ObjectSubject {
  std::string subject;
  std::string purpose;
  bool lifted = false;
  std::optional<std::string> note;
  std::optional<std::string> on_behalf_of;
  static std::span<const Member> described();
};
struct ConsentSubject {
  std::string subject;
  std::string purpose;
  bool withdrawn = false;
  std::optional<std::string> evidence;
  std::optional<std::string> on_behalf_of;
  static std::span<const Member> described();
};
struct StandingView {
  SubjectId subject;
  std::optional<RestrictionView> restricted;
  std::vector<PurposeView> purposes;
  EventId event;
  static std::span<const Member> described();
};
struct DecisionView {
  DecisionId decision;
  Time at{};
  std::string decided;
  std::optional<std::string> purpose;
  std::optional<Secret> evidence;
  static std::span<const Member> described();
};
struct StandingHistory {
  SubjectId subject;
  std::optional<RestrictionView> restricted;
  std::vector<PurposeView> purposes;
  std::vector<DecisionView> decisions;
  EventId event;
  static std::span<const Member> described();
};

struct MergeSubjects {
  std::string subject;
  std::string from;
  std::optional<std::string> note;
  static std::span<const Member> described();
};
struct RenamedSlot {
  RecordId record;
  std::string collection;
  std::string before;
  std::string slot;
  static std::span<const Member> described();
};
struct MergedSubjects {
  SubjectId subject;
  SubjectId merged;
  std::int64_t records = 0;
  std::vector<RenamedSlot> renamed;
  EventId event;
  static std::span<const Member> described();
};

enum class ExportFormat : std::uint8_t { json, html };
std::span<const std::string_view> enum_names(ExportFormat);
struct ExportSubject {
  std::string subject;
  std::string purpose;
  std::optional<ExportFormat> format;
  std::optional<std::string> on_behalf_of;
  static std::span<const Member> described();
};

struct AccessesRequest {
  std::string subject;
  std::optional<std::int64_t> before;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};
struct AccessNote {
  std::int64_t seq = 0;
  std::string event;
  Time at{};
  std::string actor;
  std::string key;
  std::string operation;
  std::string purpose;
  std::vector<std::string> fields;
  static std::span<const Member> described();
};
struct AccessList {
  SubjectId subject;
  std::vector<AccessNote> accesses;
  std::optional<std::int64_t> before;
  static std::span<const Member> described();
};

RestrictionView view_of(const Restriction& restriction);
std::vector<PurposeView> views_of(const Standing& standing);

}  // namespace holdfast::vault
