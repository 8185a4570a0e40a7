#include "app/words.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::app {
namespace {

constexpr std::size_t kNear = 2;

/// How many letters to add, drop or change (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t before = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      auto changed = before + (a[i] != b[j]);
      before = row[j + 1];
      row[j + 1] = std::min({changed, before + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> known) {
  std::string best;
  std::size_t least = kNear + 1;
  for (const auto& one : known)
    if (auto far = distance(word, one); far < least) {
      least = far;
      best = one;
    }
  return best;
}

std::string example(std::string_view line, std::string_view title) {
  std::string out = "Example";
  if (!title.empty()) (out += ", ") += title;
  ((out += ":\n  ") += line) += '\n';
  return out;
}

}  // namespace holdfast::app
