#include "vault/index_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace holdfast::vault {
namespace {

constexpr int kMostBits = 24;
constexpr std::int64_t kLargeGroup = 1024;
constexpr std::int64_t kPerGeneration = 1000;

int log2_of(std::int64_t value) {
  return value <= 1 ? 0 : std::bit_width(static_cast<std::uint64_t>(value)) - 1;
}

/// Bits of the values that are possible, rounded down.
int domain_bits(const Field& field) {
  if (field.type == FieldType::date) return 15;  // the days of a hundred years
  if (field.type == FieldType::postal_code) return 16;
  return static_cast<int>(std::min<std::size_t>(field.max_bytes * 5, kMostBits));
}

std::string calling_code_of(const Collection& collection, const Field& field) {
  return field.type == FieldType::phone ? collection.calling_code : std::string();
}

IndexInfo fresh(const Collection& collection, const Field& field, int bits, std::uint32_t key,
                std::uint64_t generation) {
  auto place = &field - collection.fields.data();
  IndexInfo out{
      .number = static_cast<std::int64_t>(generation + 1) * kPerGeneration + place,
      .kind = field.index,
      .bits = bits,
      .key = key,
      .calling_code = calling_code_of(collection, field),
  };
  if (field.index == IndexKind::unique) out.bits = 256;
  if (field.index == IndexKind::prefix || field.index == IndexKind::substring) out.bits = 128;
  return out;
}

}  // namespace

int total_bits(std::int64_t rows) {
  return log2_of(rows / 2);
}

int planned_bits(const Field& field, std::int64_t rows, std::int64_t indexes, int most) {
  auto share = total_bits(rows) / static_cast<int>(std::max<std::int64_t>(indexes, 1));
  return std::min({share, domain_bits(field), most, kMostBits});
}

std::int64_t exact_indexes(const Collection& collection) {
  return std::ranges::count(collection.fields, IndexKind::exact, &Field::index);
}

bool skewed(const Distribution& found, int bits) {
  if (bits <= 0 || found.rows == 0) return false;
  auto groups = std::exp2(bits);
  auto mean = static_cast<double>(found.rows) / groups;
  auto chance = mean + std::sqrt(2 * mean * std::log(groups)) + 4;
  return static_cast<double>(found.largest) > 2 * chance;
}

int bits_for_skew(const Distribution& found, int bits) {
  auto above = found.largest - (found.rows >> std::clamp(bits, 0, 62));
  return above <= 0 ? kMostBits : std::min(kMostBits, log2_of(4 * found.rows / above));
}

bool resize_due(int bits, int planned, std::int64_t rows, int total) {
  if (bits > planned) return true;
  if (planned < bits + 2) return false;
  auto expected = static_cast<double>(rows) / std::exp2(total);
  return expected > std::sqrt(static_cast<double>(rows)) || (rows >> bits) > kLargeGroup;
}

bool consented(const Field& field, const Distribution& found) {
  if (!field.consent || field.consent->rows <= 0) return false;
  auto share = [](std::int64_t largest, std::int64_t rows) {
    return static_cast<double>(largest) / static_cast<double>(std::max<std::int64_t>(rows, 1));
  };
  return share(found.largest, found.rows) <=
         1.25 * share(field.consent->largest, field.consent->rows);
}

std::string_view alarm_of(const Field& field, const IndexInfo& index, const Distribution& found,
                          std::int64_t damaged) {
  if (found.duplicates > 0)
    return "values that must be unique are not: change them, or declare another index; until then "
           "this one does not answer";
  if (damaged > 0) return "parts of the index are damaged: `holdfast indexes rebuild`";
  if (index.kind == IndexKind::exact && skewed(found, static_cast<int>(index.bits)) &&
      !consented(field, found))
    return "some values are very common, and who has the database alone can tell which rows share "
           "one: the owner consents with `holdfast indexes consent`, or takes the index out";
  return {};
}

bool fits(const Collection& collection, const Field& field, const IndexInfo& index,
          std::uint32_t key) {
  return index.kind == field.index && index.key == key &&
         index.calling_code == calling_code_of(collection, field);
}

void renew_index(const Collection& collection, Field& field, int bits, std::uint32_t key,
                 std::uint64_t generation) {
  std::erase_if(field.indexes, [](const IndexInfo& index) { return !index.serving; });
  field.indexes.push_back(fresh(collection, field, bits, key, generation));
}

bool settle_indexes(Collection& collection, std::int64_t rows, std::uint32_t key,
                    std::uint64_t generation) {
  bool changed = false;
  auto exact = exact_indexes(collection);
  for (auto& field : collection.fields) {
    if (field.index == IndexKind::none) {
      changed |= !field.indexes.empty();
      field.indexes.clear();
      continue;
    }
    auto fitting = [&](const IndexInfo& index) { return fits(collection, field, index, key); };
    if (std::ranges::any_of(field.indexes, fitting)) {
      changed |= std::erase_if(field.indexes, [&](const IndexInfo& index) {
                   return !index.serving && !fitting(index);
                 }) > 0;
      continue;
    }
    renew_index(collection, field, planned_bits(field, rows, exact), key, generation);
    if (rows == 0) {
      std::erase_if(field.indexes, [](const IndexInfo& index) { return index.serving; });
      field.indexes.back().serving = true;
    }
    changed = true;
  }
  return changed;
}

}  // namespace holdfast::vault
