// How the columns of a file become records: the preset of a shop, or a mapping of one's own.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::vault {

/// What is done to a value on its way in, besides trimming.
enum class Clean : std::uint8_t {
  none,
  apostrophe,  // '4471 as spreadsheets keep numbers: 4471
  yes_no,      // true, 1, y: yes; anything else but their opposites is refused
  date,        // 1990-12-31 00:00:00, 1990-12-31T00:00:00Z: 1990-12-31
  lines,       // line breaks become ", "
  lower        // ASCII letters in lower case
};

/// A column of a CSV file, found by its name whatever its case; or a member of a JSON line, where
/// `country.code` is a member of a member.
struct ColumnRule {
  std::string column;
  std::size_t record;  // in Shape::records
  std::string field;
  Clean clean = Clean::none;
};

struct RecordShape {
  std::string collection;
  std::string key{};         // ImportRecord::key, or
  std::string key_column{};  // the column that has it
  std::string list{};        // JSON: the member that lists such records; rules look into its items
};

struct LeftOut {
  std::string column;
  std::string_view reason;
};

struct Shape {
  std::string name;                     // "magento_addresses"
  std::vector<std::string> required;    // columns without which a file is not of this shape
  std::vector<ColumnRule> external_id;  // the first that has a value; record and field are unused
  std::string scope{};                  // a column that is put before the id, as `base:4711`
  std::vector<RecordShape> records;
  std::vector<ColumnRule> rules;    // of two rules for one field the first with a value counts
  std::vector<LeftOut> left_out{};  // known columns that are not stored, and why
};

/// The same column names, whatever their case and the spaces around them.
bool same_column(std::string_view a, std::string_view b);

/// nullopt where the value is not what `clean` can take.
std::optional<std::string> cleaned(std::string_view value, Clean clean);

}  // namespace holdfast::vault
