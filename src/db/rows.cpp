#include "db/rows.h"

#include <cassert>
#include <utility>

namespace holdfast::db {

bool Rows::Row::null(std::size_t column) const {
  assert(column < rows_->columns_);
  return rows_->cells_[at_ + column].kind == Kind::null;
}

std::int64_t Rows::Row::integer(std::size_t column) const {
  assert(column < rows_->columns_);
  const Stored& cell = rows_->cells_[at_ + column];
  assert(cell.kind == Kind::integer || cell.kind == Kind::null);
  return cell.kind == Kind::integer ? cell.value : 0;
}

std::string_view Rows::Row::text(std::size_t column) const {
  assert(column < rows_->columns_);
  const Stored& cell = rows_->cells_[at_ + column];
  assert(cell.kind == Kind::text || cell.kind == Kind::null);
  if (cell.kind != Kind::text) return {};
  return {rows_->block_.data() + cell.value, cell.size};
}

BytesView Rows::Row::bytes(std::size_t column) const {
  assert(column < rows_->columns_);
  const Stored& cell = rows_->cells_[at_ + column];
  assert(cell.kind == Kind::bytes || cell.kind == Kind::null);
  if (cell.kind != Kind::bytes) return {};
  return as_bytes({rows_->block_.data() + cell.value, cell.size});
}

void Rows::add_null() {
  cells_.push_back({Kind::null, 0, 0});
}

void Rows::add_integer(std::int64_t value) {
  cells_.push_back({Kind::integer, 0, value});
}

void Rows::add_text(std::string_view value) {
  cells_.push_back({Kind::text, static_cast<std::uint32_t>(value.size()),
                    static_cast<std::int64_t>(block_.size())});
  block_.insert(block_.end(), value.begin(), value.end());
}

void Rows::add_bytes(BytesView value) {
  add_text(as_text(value));
  cells_.back().kind = Kind::bytes;
}

void Rows::append(Rows other) {
  if (columns_ == 0) {
    *this = std::move(other);
    return;
  }
  assert(columns_ == other.columns_);
  auto moved = static_cast<std::int64_t>(block_.size());
  for (Stored cell : other.cells_) {
    if (cell.kind == Kind::text || cell.kind == Kind::bytes) cell.value += moved;
    cells_.push_back(cell);
  }
  block_.insert(block_.end(), other.block_.begin(), other.block_.end());
}

}  // namespace holdfast::db
