#include "db/postgres/shape.h"

#include <limits>
#include <utility>

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

Result<const Shape*> Shapes::of(const Sql& sql) {
  Shape& shape = known_[&sql];
  if (shape.source.data() == sql.text.data() && !sql.text.empty()) return &shape;
  auto translated = translate(Dialect::postgres, sql.text);
  if (!translated) return std::move(translated).error();
  shape = shape_of(sql, std::move(*translated));
  return &shape;
}

}  // namespace holdfast::db::postgres
