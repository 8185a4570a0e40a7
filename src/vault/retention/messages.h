// Requests and answers of the retention routes; service.cpp says which route takes which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "vault/retention/holds.h"

namespace holdfast::vault {

struct PreviewRetention {
  std::optional<std::int64_t> days;
  static std::span<const Member> described();
};
struct DueField {
  std::string collection, field, keep;
  KeepFrom from = KeepFrom::created;
  std::int64_t overdue = 0, due = 0, held = 0;
  std::optional<Time> oldest;
  static std::span<const Member> described();
};
struct RetentionPreview {
  Time as_of{}, until{};
  std::int64_t records = 0, values = 0, held = 0, damaged = 0;
  std::vector<DueField> fields;
  static std::span<const Member> described();
};

struct PlaceHold {
  std::optional<std::string> subject, collection;
  std::string reason;
  std::optional<Time> until;
  std::string idempotency_key;  // from the header
  static std::span<const Member> described();
};
struct LiftHold {
  HoldId hold;
  std::string reason;
  static std::span<const Member> described();
};
struct HoldView {
  HoldId hold;
  std::optional<SubjectId> subject;
  std::optional<std::string> collection;
  std::string placed_by;
  Time placed{};
  std::optional<Time> until, lifted;
  std::optional<std::string> lifted_by;
  std::optional<Secret> reason;
  static std::span<const Member> described();
};
struct ListHolds {
  bool ended = false;
  std::optional<std::string> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};
struct HoldList {
  std::vector<HoldView> holds;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct NoRetentionArguments {
  static std::span<const Member> described();
};
struct SweepView {
  bool running = false;
  std::optional<Time> started, finished;
  std::int64_t records = 0, values = 0, tokens = 0, held = 0, damaged = 0, others = 0;
  std::optional<std::string> stopped;
  static std::span<const Member> described();
};
struct RetentionStatus {
  Time journal_time{}, clock{};
  std::int64_t behind_ms = 0, allowance_ms = 0, confirmations = 0, holds = 0;
  std::optional<std::int64_t> database_drift_ms;
  std::optional<std::string> refused;
  SweepView sweep;
  static std::span<const Member> described();
};

struct ConfirmTime {
  Time time{};
  static std::span<const Member> described();
};
struct ConfirmedTime {
  Time journal_time{};
  std::int64_t behind_ms = 0;
  static std::span<const Member> described();
};

struct ReportRetention {
  std::optional<Time> since, until;
  std::optional<std::int64_t> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};
struct WentField {
  std::string field;
  std::int64_t values = 0;
  static std::span<const Member> described();
};
struct WentBatch {
  std::int64_t seq = 0;
  EventId event;
  Time at{};
  std::string operation;
  std::optional<std::string> collection;
  std::vector<WentField> fields;
  std::int64_t records = 0, values = 0, tokens = 0, rows = 0;
  static std::span<const Member> described();
};
struct RetentionReport {
  std::vector<WentBatch> batches;
  std::int64_t records = 0, values = 0, tokens = 0, rows = 0;
  std::optional<std::int64_t> next;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
