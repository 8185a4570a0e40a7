// What an import reports of itself, on its way and at its end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "base/id.h"

namespace holdfast::vault {

struct RefusedRow {
  std::int64_t line = 0;
  std::int64_t column = 0;
  std::string field;
  std::string reason;
  static std::span<const Member> described();
};
struct LeftOutColumn {
  std::string column;
  std::string reason;
  static std::span<const Member> described();
};
enum class ImportState : std::uint8_t { running, done, failed };
std::span<const std::string_view> enum_names(ImportState);

struct ImportReport {
  ImportId import;
  ImportState state = ImportState::running;
  std::string shape;
  std::int64_t bytes = 0;
  std::int64_t rows = 0;
  std::int64_t customers = 0;
  std::int64_t created = 0;
  std::int64_t updated = 0;
  std::int64_t unchanged = 0;
  std::int64_t refused = 0;
  std::vector<RefusedRow> refusals;
  std::vector<std::string> unknown_columns;
  std::vector<LeftOutColumn> left_out;
  std::string failure;
  static std::span<const Member> described();
};

/// An import in one line.
struct ImportLine {
  ImportId import;
  Time started;
  ImportState state = ImportState::running;
  std::int64_t bytes = 0;
  std::int64_t rows = 0;
  std::int64_t refused = 0;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
