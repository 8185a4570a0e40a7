#include "db/postgres/shape.h"

#include <limits>
#include <utility>
#include <vector>

#include "db/sql.h"

namespace holdfast::db::postgres {
namespace {

/// `values` with one row in brackets, then nothing but perhaps `returning`.
bool has_one_row(std::string_view text) {
  std::size_t at = text.find("values");
  if (at == text.npos || text.find("select") != text.npos || text.find("conflict") != text.npos)
    return false;
  int depth = 0;
  int groups = 0;
  for (char c : text.substr(at)) {
    if (c == '(' && depth++ == 0) ++groups;
    if (c == ')') --depth;
  }
  std::size_t end = text.rfind(')');
  std::string_view rest = text.substr(end + 1);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size()));
  return groups == 1 && depth == 0 && (rest.empty() || rest.starts_with("returning"));
}

/// Where the values are `$1`, `null` and the like in one pair of brackets, and nothing comes back.
std::optional<Spread> spread_of(std::string_view text) {
  constexpr std::string_view kBetween = ") values (";  // `values` alone stands in names of tables
  const auto at = text.find(kBetween);
  if (!text.starts_with("insert") || at == text.npos || text.find("select") != text.npos ||
      text.find("returning") != text.npos || text.find("do update") != text.npos)
    return std::nullopt;
  const auto begin = at + kBetween.size();
  const auto end = text.find(')', begin);
  if (end == text.npos) return std::nullopt;
  const auto head = text.substr(0, at + 1), values = text.substr(begin, end - begin),
             tail = text.substr(end + 1);
  if (values.contains('(') || !values.contains('$') || head.contains('$') || tail.contains('$'))
    return std::nullopt;
  return Spread{std::string(head) + ' ', std::string(values), std::string(tail)};
}

std::string verdict(std::size_t parameters) {
  std::string low = std::to_string(parameters + 1);
  std::string high = std::to_string(parameters + 2);
  return "case when count(*) between $" + low + " and $" + high +
         " then count(*) else holdfast_unexpected() end";
}

Shape shape_of(const Sql& sql, Translated translated) {
  const std::string& text = translated.text;
  Shape shape{.source = sql.text,
              .parameters = translated.parameters,
              .reads = text.starts_with("select"),
              .returning = translated.returning,
              .one_row_insert = text.starts_with("insert") && has_one_row(text),
              .insert = text.starts_with("insert") && text.find("do update") == text.npos};
  shape.spread = spread_of(text);
  if (shape.spread)
    shape.texts[static_cast<int>(Mode::spread)] =
        text_of(*shape.spread, std::vector<std::size_t>(translated.parameters, 1));
  std::string got = verdict(translated.parameters);
  shape.texts[static_cast<int>(Mode::counted)] =
      "with holdfast_w as (" + text + " returning 1) select " + got + " from holdfast_w";
  shape.texts[static_cast<int>(Mode::rows)] =
      "with holdfast_w as materialized (" + text + ") select n.got, w.* from (select " + got +
      " as got from holdfast_w) n left join holdfast_w w on true";
  shape.texts[static_cast<int>(Mode::guard)] =
      "select w.* from (select 1) one left join lateral (select true as found, s.* from (" + text +
      ") s) w on true where coalesce(w.found, holdfast_unexpected() is null)";
  shape.texts[static_cast<int>(Mode::plain)] = std::move(translated.text);
  return shape;
}

}  // namespace

Mode Shape::mode(const Expect& expect) const {
  bool at_least_one = expect.kind == Expect::Kind::exactly ? expect.rows == 1 : expect.rows >= 1;
  if (expect.kind == Expect::Kind::guard) return Mode::guard;
  if (expect.kind == Expect::Kind::any || (one_row_insert && at_least_one)) return Mode::plain;
  return returning ? Mode::rows : Mode::counted;
}

Bounds bounds_of(const Expect& expect) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  switch (expect.kind) {
    case Expect::Kind::any:
      return {0, kMost};
    case Expect::Kind::exactly:
      return {expect.rows, expect.rows};
    case Expect::Kind::at_most:
      return {0, expect.rows};
    case Expect::Kind::guard:
      return {1, kMost};
  }
  return {};
}

std::string text_of(const Spread& spread, std::span<const std::size_t> kinds) {
  std::string out = spread.head + "select ";
  const std::string_view values = spread.values;
  for (std::size_t i = 0; i < values.size();) {
    if (values[i] != '$') {
      out += values[i++];
      continue;
    }
    std::size_t number = 0;
    while (++i < values.size() && values[i] >= '0' && values[i] <= '9')
      number = number * 10 + static_cast<std::size_t>(values[i] - '0');
    out += kinds[number - 1] == 0 ? "null" : "holdfast_u.p" + std::to_string(number);
  }
  std::string arrays, names;
  for (std::size_t i = 1; i <= kinds.size(); ++i) {
    const std::string_view comma = i > 1 ? ", " : "";
    (arrays += comma) += '$' + std::to_string(i);
    (names += comma) += 'p' + std::to_string(i);
  }
  return out + " from unnest(" + arrays + ") as holdfast_u(" + names + ')' + spread.tail;
}

Result<const Shape*> Shapes::of(const Sql& sql) {
  Shape& shape = known_[&sql];
  if (shape.source.data() == sql.text.data() && !sql.text.empty()) return &shape;
  auto translated = translate(Dialect::postgres, sql.text);
  if (!translated) return std::move(translated).error();
  shape = shape_of(sql, std::move(*translated));
  return &shape;
}

}  // namespace holdfast::db::postgres
