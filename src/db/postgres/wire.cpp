#include "db/postgres/wire.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace holdfast::db::postgres {
namespace {

// pg_type.dat
constexpr Oid kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21, kInt4 = 23,
              kText = 25, kByteaArray = 1001, kTextArray = 1009, kInt8Array = 1016, kVarchar = 1043,
              kNumeric = 1700;

template <class T>
void put(std::string& out, T value) {
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(bits >> shift);
}

template <class T>
T get(std::string_view in) {
  std::make_unsigned_t<T> bits = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bits = static_cast<std::make_unsigned_t<T>>(bits << 8 | static_cast<unsigned char>(in[i]));
  return static_cast<T>(bits);
}

/// sum(bigint) is numeric: digits of base 10000 behind weight, sign and scale. nullopt when it is
/// not a 64-bit integer.
std::optional<std::int64_t> integer_of_numeric(std::string_view cell) {
  if (cell.size() < 8) return std::nullopt;
  auto digits = get<std::int16_t>(cell);
  auto weight = get<std::int16_t>(cell.substr(2));
  auto sign = get<std::uint16_t>(cell.substr(4));
  if (sign != 0 && sign != 0x4000) return std::nullopt;
  if (cell.size() != 8 + 2 * static_cast<std::size_t>(digits)) return std::nullopt;

  std::int64_t value = 0;  // negative, since that side reaches further
  for (int i = 0; i <= weight || i < digits; ++i) {
    std::int16_t digit = i < digits
                             ? get<std::int16_t>(cell.substr(8 + 2 * static_cast<std::size_t>(i)))
                             : std::int16_t{0};
    if (i > weight && digit != 0) return std::nullopt;
    if (i > weight) continue;
    if (__builtin_mul_overflow(value, std::int64_t{10'000}, &value) ||
        __builtin_sub_overflow(value, std::int64_t{digit}, &value))
      return std::nullopt;
  }
  if (sign == 0 && __builtin_sub_overflow(std::int64_t{0}, value, &value)) return std::nullopt;
  return value;
}

// An element's type and that of an array of such, by index of Cell.
constexpr std::pair<Oid, Oid> kArrays[] = {
    {kInt8, kInt8Array}, {kText, kTextArray}, {kBytea, kByteaArray}};
// Indices of Value, which begins with NULL and ends with List.
constexpr std::size_t kTextKind = 2, kListKind = 4;
static_assert(std::is_same_v<std::variant_alternative_t<kTextKind, Value>, std::string> &&
              std::is_same_v<std::variant_alternative_t<kListKind, Value>, List>);

/// array_send's format, of one dimension.
void put_array_head(std::string& out, Oid element, std::size_t count, bool nulls) {
  put(out, std::int32_t{1});  // dimensions
  put(out, std::int32_t{nulls});
  put(out, static_cast<std::int32_t>(element));
  put(out, static_cast<std::int32_t>(count));
  put(out, std::int32_t{1});  // the first one's index
}

/// A cell, or a value that is no list.
void put_element(std::string& out, const auto& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) {
    put(out, std::int32_t{8});
    put(out, *integer);
    return;
  }
  auto* text = std::get_if<std::string>(&value);
  auto* bytes = std::get_if<Bytes>(&value);
  if (!text && !bytes) return put(out, std::int32_t{-1});  // NULL
  const auto view = text ? std::string_view(*text) : as_text(*bytes);
  put(out, static_cast<std::int32_t>(view.size()));
  out += view;
}

/// False for a type that is not ours.
bool add_cell(Rows& rows, Oid type, std::string_view cell) {
  switch (type) {
    case kInt8:
      rows.add_integer(get<std::int64_t>(cell));
      return true;
    case kInt4:
      rows.add_integer(get<std::int32_t>(cell));
      return true;
    case kInt2:
      rows.add_integer(get<std::int16_t>(cell));
      return true;
    case kBool:
      rows.add_integer(cell[0]);
      return true;
    case kNumeric: {
      auto value = integer_of_numeric(cell);
      if (value) rows.add_integer(*value);
      return value.has_value();
    }
    case kText:
    case kVarchar:
    case kName:
    case kChar:
      rows.add_text(cell);
      return true;
    case kBytea:
      rows.add_bytes(as_bytes(cell));
      return true;
    default:
      return false;
  }
}

}  // namespace

void put_int16(std::string& out, std::int16_t value) {
  put(out, value);
}
void put_int32(std::string& out, std::int32_t value) {
  put(out, value);
}
void put_int64(std::string& out, std::int64_t value) {
  put(out, value);
}

Parameters::Parameters(const Args& args) {
  for (const Value& value : args) {
    if (auto* integer = std::get_if<std::int64_t>(&value)) {
      add(*integer);
    } else if (auto* text = std::get_if<std::string>(&value)) {
      add(kText, text->data(), text->size());
    } else if (auto* bytes = std::get_if<Bytes>(&value)) {
      std::string_view view = as_text(*bytes);
      add(kBytea, view.data() == nullptr ? "" : view.data(), view.size());
    } else if (auto* list = std::get_if<List>(&value)) {
      add(*list);
    } else {
      add(0, nullptr, 0);
    }
  }
}

void Parameters::add(std::int64_t integer) {
  put(made_.emplace_back(), integer);
  add(kInt8, made_.back().data(), made_.back().size());
}

void Parameters::add(Oid type, const char* value, std::size_t length, bool binary) {
  types_.push_back(type);
  values_.push_back(value);
  lengths_.push_back(static_cast<int>(length));
  formats_.push_back(binary ? 1 : 0);
}

void Parameters::add(const List& list) {
  if (list.cells.empty()) return add(0, "{}", 2, false);
  auto [element, array] = kArrays[list.cells.front().index()];
  std::string& out = made_.emplace_back();
  put_array_head(out, element, list.cells.size(), false);
  for (const Cell& cell : list.cells) put_element(out, cell);
  add(array, out.data(), out.size());
}

Parameters::Parameters(std::span<const Args* const> rows, std::span<const std::size_t> kinds) {
  for (std::size_t i = 0; i < kinds.size(); ++i) add_column(rows, i, kinds[i]);
}

void Parameters::add_column(std::span<const Args* const> rows, std::size_t column,
                            std::size_t kind) {
  const bool nulls =
      std::ranges::any_of(rows, [column](const Args* row) { return (*row)[column].index() == 0; });
  auto [element, array] = kArrays[kind == 0 ? kTextKind - 1 : kind - 1];
  std::string& out = made_.emplace_back();
  put_array_head(out, element, rows.size(), nulls);
  for (const Args* row : rows) put_element(out, (*row)[column]);
  add(array, out.data(), out.size());
}

std::optional<std::vector<std::size_t>> column_kinds(std::span<const Args* const> rows) {
  std::vector<std::size_t> out(rows.front()->size(), 0);
  for (const Args* row : rows)
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto kind = (*row)[i].index();
      if (kind == 0) continue;
      if (kind == kListKind || (out[i] != 0 && out[i] != kind)) return std::nullopt;
      out[i] = kind;
    }
  return out;
}

std::optional<Rows> rows_of(const PGresult* result, int skip) {
  int columns = PQnfields(result);
  Rows rows(static_cast<std::size_t>(std::max(0, columns - skip)));
  for (int row = 0; row < PQntuples(result); ++row) {
    for (int column = skip; column < columns; ++column) {
      if (PQgetisnull(result, row, column)) {
        rows.add_null();
        continue;
      }
      auto size = static_cast<std::size_t>(PQgetlength(result, row, column));
      if (!add_cell(rows, PQftype(result, column), {PQgetvalue(result, row, column), size}))
        return std::nullopt;
    }
  }
  return rows;
}

}  // namespace holdfast::db::postgres
