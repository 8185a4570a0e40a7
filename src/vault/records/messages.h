// What the records' operations take and give, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "vault/types.h"

namespace holdfast::vault {

struct NewRecord {
  std::optional<std::string> subject;
  std::optional<std::string> slot;
  Values values;
  static std::span<const Member> described();
};

struct CreateRecords {
  std::string collection;
  std::optional<std::string> subject;
  std::optional<std::string> slot;
  Values values;
  std::vector<NewRecord> records;
  bool upsert = false;
  std::string idempotency_key;  // from the header
  static std::span<const Member> described();
};

struct CreatedRecord {
  RecordId record;
  SubjectId subject;
  std::int64_t version = 1;
  bool created = true;
  static std::span<const Member> described();
};

struct CreatedRecords {
  std::vector<CreatedRecord> records;
  static std::span<const Member> described();
};

struct RecordRequest {
  RecordId record;
  static std::span<const Member> described();
};

struct MaskedRecord {
  RecordId record;
  SubjectId subject;
  std::string collection;
  std::optional<std::string> slot;
  std::int64_t version = 0;
  Time created{};
  Time updated{};
  Values values;
  std::vector<std::string> hidden;
  bool restricted = false;
  static std::span<const Member> described();
};

struct ListRecords {
  std::string collection;
  std::optional<std::string> subject;
  std::optional<std::int64_t> limit;
  std::optional<std::string> after;
  static std::span<const Member> described();
};

struct RecordPage {
  std::vector<MaskedRecord> records;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct UpdateRecord {
  RecordId record;
  Values values;
  std::optional<std::int64_t> version;
  std::string if_match;  // from the header
  static std::span<const Member> described();
};

struct DeleteRecord {
  RecordId record;
  std::string if_match;
  static std::span<const Member> described();
};

struct DeletedRows {
  std::int64_t deleted = 0;
  EventId event;
  static std::span<const Member> described();
};

struct FieldRefusal {
  std::string field;
  std::string reason;
  static std::span<const Member> described();
};

struct RevealRecord {
  RecordId record;
  std::vector<std::string> fields;
  std::string purpose;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};

struct RevealRecords {
  std::vector<RecordId> records;
  std::vector<std::string> fields;
  std::string purpose;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};

struct RevealedRecord {
  RecordId record;
  SubjectId subject;
  Values values;
  std::vector<std::string> masked;
  std::vector<FieldRefusal> refused;
  EventId event;
  static std::span<const Member> described();
};

struct OpenedRecord {
  RecordId record;
  SubjectId subject;
  Values values;
  std::vector<std::string> masked;
  std::vector<FieldRefusal> refused;
  static std::span<const Member> described();
};

struct RevealedRecords {
  std::vector<OpenedRecord> records;
  std::vector<RecordId> missing;
  EventId event;
  static std::span<const Member> described();
};

struct VerifyValue {
  RecordId record;
  std::string field;
  Secret value;
  std::string purpose;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};

struct Verified {
  bool matches = false;
  EventId event;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
