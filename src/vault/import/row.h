// What an import reads out of a file: rows that can be stored, and refusals that say where and why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace holdfast::vault {

/// Where something stands in a file: line and column count from 1, the column in bytes of its line.
struct Place {
  std::uint64_t line = 0;
  std::uint64_t column = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

/// A row that does not go in. The reason is a literal: nothing of the row is in it.
struct Refusal {
  Place place;
  std::uint64_t last_line = 0;  // a quoted field can hold line breaks
  std::string_view reason;
  FieldPath field{};  // of a JSON line: the member, where known
};

/// One record of the row's subject.
struct ImportRecord {
  std::string collection;
  /// Tells several records of one subject in one collection apart: "", "billing", an address id.
  std::string key{};
  std::vector<std::pair<std::string, std::string>> values{};  // field, value; no empty values
  std::vector<Place> places{};                                // of each value in the file
};

struct ImportRow {
  std::string external_id;
  std::vector<ImportRecord> records;
  Place place;  // where the row begins
};

/// What a reader has for its caller.
enum class ReadEvent : std::uint8_t {
  row,      // one good row
  refused,  // one row that does not go in; reading goes on after it
  more,     // feed() the next bytes, or finish()
  end,      // all was read
  failed,   // the file as a whole does not go in; the refusal says why
};

}  // namespace holdfast::vault
