// What a statement yielded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace holdfast::db {

/// A result set that owns its cells in one block. Cells are read by position and asked for by the
/// type that the statement declares; asking an integer cell for bytes is a bug (assert).
/// Move-only on purpose: results can be large.
class Rows {
 public:
  class Row {
   public:
    bool null(std::size_t column) const;
    std::int64_t integer(std::size_t column) const;   // 0 for NULL
    std::string_view text(std::size_t column) const;  // empty for NULL
    BytesView bytes(std::size_t column) const;        // empty for NULL

   private:
    friend class Rows;
    Row(const Rows* rows, std::size_t at) : rows_(rows), at_(at) {}
    const Rows* rows_;
    std::size_t at_;
  };

  Rows() = default;
  explicit Rows(std::size_t columns) : columns_(columns) {}
  Rows(Rows&&) = default;
  Rows& operator=(Rows&&) = default;

  std::size_t size() const { return columns_ == 0 ? 0 : cells_.size() / columns_; }
  bool empty() const { return cells_.empty(); }
  Row operator[](std::size_t row) const { return {this, row * columns_}; }
  std::size_t columns() const { return columns_; }

  /// For the databases, cell by cell, row by row.
  void add_null();
  void add_integer(std::int64_t value);
  void add_text(std::string_view value);
  void add_bytes(BytesView value);
  /// The rows of another result of the same statement, after these.
  void append(Rows other);

 private:
  enum class Kind : std::uint8_t { null, integer, text, bytes };
  struct Stored {
    Kind kind;
    std::uint32_t size;
    std::int64_t value;  // the integer, or the offset into block_
  };

  std::size_t columns_ = 0;
  std::vector<Stored> cells_;
  std::vector<char> block_;
};

}  // namespace holdfast::db
