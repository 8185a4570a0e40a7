// From the bytes of a file to rows that can be stored: reader, shape and cleaning in one. Values
// are not checked against their fields here; policy.h does that.
//
//   auto source = RowSource::of(Preset::shopify);
//   switch (source.next()) ... as with CsvReader; source.row() may be moved out.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "vault/import/csv.h"
#include "vault/import/json_lines.h"
#include "vault/import/mapping.h"
#include "vault/import/presets.h"
#include "vault/import/row.h"
#include "vault/import/shape.h"

namespace holdfast::vault {

inline constexpr std::size_t kMaxExternalId = 256;  // bytes
inline constexpr std::size_t kMaxRecordKey = 64;    // characters, [A-Za-z0-9_.:-]

/// What became of the columns, for the report of an import.
struct ColumnReport {
  std::string shape;                 // "magento_addresses"; empty as long as it is not known
  std::vector<std::string> unknown;  // at most 100 names, at most 64 code points of each, printable
  std::size_t unknown_count = 0;     // of CSV columns; of JSON members with different names
  std::vector<LeftOut> left_out;     // known, there, and not stored
};

/// Memory: that of its reader, and one row. Threads: one at a time.
class RowSource {
 public:
  /// What the file is, its header tells: a Magento file of addresses or of customers.
  static RowSource of(Preset preset);
  /// Errors: those of shape_of().
  static Result<RowSource> of(const Mapping& mapping, ImportFormat format);

  void feed(std::string_view bytes);
  void finish();

  /// `failed` also when the header does not fit: `field` of the refusal says which column is
  /// missing in terms of the mapping (`fields.email`).
  ReadEvent next();

  /// Records without any value are left out; a row can have an id and no record at all.
  ImportRow& row() { return row_; }
  const Refusal& refusal() const { return refusal_; }
  const ColumnReport& columns() const { return columns_; }
  /// Bytes of memory held for what was fed.
  std::size_t held() const;

 private:
  /// A column that a shape names, and where the header has it.
  struct Column {
    std::string_view name;
    std::optional<std::size_t> index{};
  };

  RowSource(std::vector<Shape> shapes, ImportFormat format, char delimiter);
  ReadEvent bind_header();
  void bind();
  void report(std::string_view name, std::string_view shown);
  void report_members(const boost::json::object& object, std::string_view list);
  template <class Cells>
  bool read_id(const Cells& cells, Place place);
  template <class Cells>
  bool read_record(std::size_t record, const Cells& cells, std::string key);
  bool read_list(std::size_t record, const boost::json::object& object);
  ReadEvent read_csv();
  ReadEvent read_json();
  bool refuse(Literal reason, Place place, std::string_view field = {});
  ReadEvent fail(Literal reason, FieldPath field = {});

  std::vector<Shape> shapes_;  // candidates; then the one that the file has
  Literal expected_;           // what to say when it has none of them
  std::optional<CsvReader> csv_;
  std::optional<JsonLinesReader> json_;
  bool bound_ = false, failed_ = false;
  std::vector<Column> ids_, keys_, rules_;  // as in the shape; names point into it
  Column scope_;
  ImportRow row_;
  Refusal refusal_;
  ColumnReport columns_;
  std::unordered_set<std::string> seen_;  // names that were reported or are known
};

}  // namespace holdfast::vault
