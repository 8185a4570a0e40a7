// What a search takes and gives, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "vault/types.h"

namespace holdfast::vault {

/// How a value in `q` is compared. As the field's index says unless said: exact and unique compare
/// whole values, prefix beginnings, substring parts.
enum class Match : std::uint8_t { exact, prefix, substring };
std::span<const std::string_view> enum_names(Match);

enum class FilterOp : std::uint8_t { eq, ne, lt, le, gt, ge };
std::span<const std::string_view> enum_names(FilterOp);

/// Narrows what `q` finds. `field` is one of class plain (eq, ne), one of type date, or `created`
/// or `updated`: the record's own times, unless the collection declares fields of these names.
struct Filter {
  std::string field;
  FilterOp op = FilterOp::eq;
  std::string value;
  static std::span<const Member> described();
};

enum class SortOrder : std::uint8_t { ascending, descending };
std::span<const std::string_view> enum_names(SortOrder);

struct Sort {
  std::string field;  // or `created`, `updated`
  std::optional<SortOrder> order;
  static std::span<const Member> described();
};

struct SearchRecords {
  std::string collection;
  Values q;
  std::optional<std::string> text;
  std::vector<std::string> fields;  // where to look for `text`
  Dict<Match> match;
  std::vector<Filter> filter;
  std::optional<Sort> sort;
  std::string purpose;
  std::optional<std::int64_t> limit;
  std::optional<std::string> after;
  std::optional<std::string> on_behalf_of;
  std::optional<std::string> engagement{};
  static std::span<const Member> described();
};

struct FoundToken {
  std::string token;
  std::string field;
  static std::span<const Member> described();
};

struct FoundRecord {
  RecordId record;
  SubjectId subject;
  std::string collection;
  std::optional<Secret> external_id;
  bool external_id_masked = false;
  std::optional<std::string> slot;
  std::int64_t version = 0;
  Time created{};
  Time updated{};
  Values values;
  std::vector<std::string> hidden;
  std::vector<FoundToken> tokens;
  static std::span<const Member> described();
};

struct FoundRecords {
  std::vector<FoundRecord> records;
  bool more = false;
  std::optional<std::string> next;
  EventId event;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
