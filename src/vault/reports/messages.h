// Requests and answers of the reports; service.cpp says which route takes which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "vault/types.h"

namespace holdfast::vault {

struct NoReportArguments {
  static std::span<const Member> described();
};

struct MappedField {
  std::string field;
  FieldType type = FieldType::text;
  FieldClass field_class = FieldClass::personal;
  IndexKind index = IndexKind::none;
  std::vector<std::string> purposes;
  std::optional<Keep> keep;
  std::string keep_group;
  std::int64_t values = 0, tokens = 0;
  static std::span<const Member> described();
};
struct MappedCollection {
  std::string collection, doc;
  std::int64_t records = 0;
  std::vector<MappedField> fields;
  static std::span<const Member> described();
};
struct MappedPurpose {
  std::string purpose;
  LegalBasis legal_basis = LegalBasis::contract;
  std::string doc;
  static std::span<const Member> described();
};
struct DataMap {
  Time at{};
  std::int64_t customers = 0, erased_customers = 0, records = 0, values = 0, tokens = 0,
               damaged = 0;
  std::vector<MappedCollection> collections;
  std::vector<MappedPurpose> purposes;
  static std::span<const Member> described();
};

struct ReportPeriod {
  std::optional<Time> since, until;
  static std::span<const Member> described();
};
struct FieldUse {
  std::string collection, field;
  std::int64_t values = 0, opened = 0, searched = 0;
  std::optional<Time> last;
  bool unused = false;
  static std::span<const Member> described();
};
struct UnusedReport {
  Time since{}, until{};
  std::vector<FieldUse> fields;
  static std::span<const Member> described();
};

struct EpochCount {
  std::int64_t epoch = 0;
  std::optional<Time> created;
  bool active = false, held = false;
  std::int64_t subject_keys = 0;
  static std::span<const Member> described();
};
struct KeyCount {
  std::int64_t key = 0, values = 0;
  static std::span<const Member> described();
};
struct IndexKeyCount {
  std::int64_t key = 0, terms = 0;
  static std::span<const Member> described();
};
struct TokenKeyCount {
  std::int64_t key = 0, tokens = 0;
  static std::span<const Member> described();
};
struct RingKey {
  std::string use;
  std::int64_t key = 0;
  Time created{};
  bool active = false;
  static std::span<const Member> described();
};
struct KeyVersions {
  Time at{};
  std::vector<EpochCount> epochs;
  std::vector<KeyCount> values;
  std::vector<IndexKeyCount> index_keys;
  std::int64_t index_terms = 0, external_ids = 0, tokens = 0;
  std::vector<TokenKeyCount> token_keys;
  std::int64_t damaged = 0;
  std::vector<RingKey> keys;
  static std::span<const Member> described();
};

/// Who is responsible, from the configuration (section `controller`).
struct Controller {
  std::string name, address, email, phone, representative, officer;
  std::vector<std::string> recipients, transfers;
  static std::span<const Member> described();
};
struct ProcessedField {
  std::string collection, field;
  FieldClass field_class = FieldClass::personal;
  std::string time_limit;
  static std::span<const Member> described();
};
struct ProcessingActivity {
  std::string purpose;
  LegalBasis legal_basis = LegalBasis::contract;
  std::string doc;
  std::vector<std::string> data_subjects;
  std::vector<ProcessedField> fields;
  static std::span<const Member> described();
};
struct Art30Record {
  Time at{};
  Controller controller;
  std::vector<std::string> missing;
  std::vector<ProcessingActivity> activities;
  std::vector<std::string> measures;
  static std::span<const Member> described();
};

struct ActorOpenings {
  std::string actor, principal;
  std::int64_t events = 0, subjects = 0, fields = 0;
  Time first{}, last{};
  std::vector<std::string> purposes;
  static std::span<const Member> described();
};
struct OpeningsReport {
  Time since{}, until{};
  std::int64_t events = 0, subjects = 0;
  std::vector<ActorOpenings> actors;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
