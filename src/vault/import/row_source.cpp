#include "vault/import/row_source.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "http/target.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMaxNames = 100;
constexpr std::size_t kMaxSeen = 1000;
constexpr std::size_t kMaxNameShown = 64;

struct Cell {
  std::string_view text;  // empty: absent
  Place place{};
};

/// What a spreadsheet leaves of a long number, as in 4.47E+12 or 4,47E+12.
bool rounded(std::string_view id) {
  auto digits = [&id] {
    const auto end = std::min(id.find_first_not_of("0123456789"), id.size());
    id.remove_prefix(end);
    return end > 0;
  };
  auto one_of = [&id](std::string_view signs) {
    const bool there = !id.empty() && signs.contains(id.front());
    id.remove_prefix(there ? 1 : 0);
    return there;
  };
  if (!digits()) return false;
  if (one_of(".,") && !digits()) return false;
  return one_of("Ee") && one_of("+") && digits() && id.empty();
}

/// A whole number as programs write decimal ones, 4471000000023.0: without the end it is another
/// id.
bool decimal(std::string_view id) {
  const auto mark = id.find_first_of(".,");
  if (mark == 0 || mark == std::string_view::npos) return false;
  const auto end = id.substr(mark + 1);
  return id.find_first_not_of("0123456789") == mark && !end.empty() && end.size() <= 2 &&
         end.find_first_not_of('0') == std::string_view::npos;
}

/// The cells of a CSV row.
struct CsvCells {
  const CsvReader& reader;

  template <class Column>
  Cell operator()(const Column& column) const {
    if (!column.index) return {};
    auto text = reader.fields()[*column.index];
    return {text, text.empty() ? Place{} : reader.place(*column.index)};
  }
};

/// The members of an object; numbers, lists and objects as JSON text.
struct JsonCells {
  const boost::json::object& object;
  Place place;
  std::string& scratch;

  const boost::json::value* value_at(std::string_view path) const {
    const auto* in = &object;
    for (auto dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
      const auto* inner = in->if_contains(path.substr(0, dot));
      if (!inner || !inner->is_object()) return nullptr;
      in = &inner->get_object();
      path.remove_prefix(dot + 1);
    }
    return in->if_contains(path);
  }

  template <class Column>
  Cell operator()(const Column& column) const {
    const auto* value = value_at(column.name);
    if (!value || value->is_null()) return {};
    if (value->is_string()) {
      const auto& text = value->get_string();
      return {{text.data(), text.size()}, place};
    }
    scratch = canonical_json(*value);
    return {scratch, place};
  }
};

/// What a report may show of a column's name.
std::string printable(std::string_view name) {
  std::string out;
  std::size_t points = 0;
  for (char c : trim(name)) {
    if ((c & 0xC0) != 0x80 && ++points > kMaxNameShown) break;
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return has_control(out, false) ? "?" : out;
}

bool is_key(std::string_view text) {
  return text.size() <= kMaxRecordKey && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("._:-").find(c) != std::string_view::npos;
         });
}

std::string_view top(std::string_view path) {
  return path.substr(0, path.find('.'));
}

bool has_column(const std::vector<std::string>& header, std::string_view name) {
  return std::ranges::any_of(header, [&](const auto& each) { return same_column(each, name); });
}

bool fits(const Shape& shape, const std::vector<std::string>& header) {
  return std::ranges::all_of(shape.required,
                             [&](const auto& name) { return has_column(header, name); });
}

/// In terms of the mapping: which of its columns the header lacks.
FieldPath lacking(const Shape& shape, const std::vector<std::string>& header) {
  if (!has_column(header, shape.external_id.front().column)) return FieldPath("external_id");
  for (const auto& rule : shape.rules)
    if (!has_column(header, rule.column)) return FieldPath("fields") / rule.field;
  return FieldPath("key");
}

}  // namespace

RowSource::RowSource(std::vector<Shape> shapes, ImportFormat format, char delimiter)
    : shapes_(std::move(shapes)), expected_("the header has no such column") {
  if (format == ImportFormat::csv)
    csv_.emplace(delimiter);
  else
    json_.emplace();
}

RowSource RowSource::of(Preset preset) {
  RowSource out(shapes_of(preset), format_of(preset), '\0');
  out.expected_ = expected_header(preset);
  return out;
}

Result<RowSource> RowSource::of(const Mapping& mapping, ImportFormat format) {
  auto shape = shape_of(mapping);
  if (!shape) return std::move(shape).error();
  return RowSource({std::move(*shape)}, format, delimiter_of(mapping));
}

void RowSource::feed(std::string_view bytes) {
  if (csv_) csv_->feed(bytes);
  if (json_) json_->feed(bytes);
}

void RowSource::finish() {
  if (csv_) csv_->finish();
  if (json_) json_->finish();
}

std::size_t RowSource::held() const {
  return csv_ ? csv_->held() : json_->held();
}

ReadEvent RowSource::next() {
  if (failed_) return ReadEvent::failed;
  auto event = csv_ ? csv_->next() : json_->next();
  if (csv_ && !bound_ && csv_->has_header()) {
    auto bound = bind_header();
    if (bound == ReadEvent::failed) return bound;
  }
  if (json_ && !bound_) bind();
  if (event == ReadEvent::refused || event == ReadEvent::failed)
    refusal_ = csv_ ? csv_->refusal() : json_->refusal();
  failed_ = event == ReadEvent::failed;
  if (event != ReadEvent::row) return event;
  return csv_ ? read_csv() : read_json();
}

// ── columns

/// Finds the shape that the header has, and the place of each of its columns.
ReadEvent RowSource::bind_header() {
  const auto& header = csv_->header();
  auto shape = std::ranges::find_if(shapes_, [&](const auto& each) { return fits(each, header); });
  if (shape == shapes_.end())
    return fail(expected_,
                shapes_.front().name == "mapping" ? lacking(shapes_.front(), header) : FieldPath());
  Shape found = std::move(*shape);
  shapes_ = {std::move(found)};
  bind();

  std::vector<bool> used(header.size());
  bool twice = false;
  auto find = [&](Column& column) {
    if (column.name.empty()) return;
    for (std::size_t i = 0; i < header.size(); ++i) {
      if (!same_column(header[i], column.name)) continue;
      twice |= column.index.has_value();
      column.index = i;
      used[i] = true;
    }
  };
  for (auto* columns : {&ids_, &keys_, &rules_}) std::ranges::for_each(*columns, find);
  find(scope_);
  if (twice) return fail("a column that is read stands twice in the header");
  for (std::size_t i = 0; i < header.size(); ++i)
    if (!used[i]) report(header[i], header[i]);
  return ReadEvent::row;
}

void RowSource::bind() {
  bound_ = true;
  const auto& shape = shapes_.front();
  columns_.shape = shape.name;
  for (const auto& id : shape.external_id) ids_.push_back({id.column});
  for (const auto& record : shape.records) keys_.push_back({record.key_column});
  for (const auto& rule : shape.rules) rules_.push_back({rule.column});
  scope_.name = shape.scope;
}

/// A column that no rule reads.
void RowSource::report(std::string_view name, std::string_view shown) {
  for (const auto& left : shapes_.front().left_out)
    if (same_column(left.column, name)) return columns_.left_out.push_back(left);
  ++columns_.unknown_count;
  if (columns_.unknown.size() < kMaxNames) columns_.unknown.push_back(printable(shown));
}

/// Members that no rule reads, each name once. `list` is empty for the line's own members.
void RowSource::report_members(const boost::json::object& object, std::string_view list) {
  const auto& shape = shapes_.front();
  for (const auto& member : object) {
    if (seen_.size() >= kMaxSeen) return;
    std::string name(list);
    if (!list.empty()) name += '.';
    name.append(member.key().data(), member.key().size());
    if (!seen_.insert(name).second) continue;
    std::string_view own = std::string_view(name).substr(list.empty() ? 0 : list.size() + 1);
    bool known = std::ranges::any_of(shape.records, [&](const auto& record) {
      return (list.empty() && record.list == own) ||
             (record.list == list && record.key_column == own);
    });
    for (const auto& rule : shape.rules)
      known |= shape.records[rule.record].list == list && top(rule.column) == own;
    for (const auto& id : shape.external_id) known |= list.empty() && top(id.column) == own;
    if (!known) report(own, name);
  }
}

// ── rows

ReadEvent RowSource::read_csv() {
  CsvCells cells{*csv_};
  row_ = {};
  row_.place = csv_->place();
  if (!read_id(cells, row_.place)) return ReadEvent::refused;
  const auto& shape = shapes_.front();
  for (std::size_t i = 0; i < shape.records.size(); ++i)
    if (!read_record(i, cells, shape.records[i].key)) return ReadEvent::refused;
  return ReadEvent::row;
}

ReadEvent RowSource::read_json() {
  const auto& object = json_->object();
  std::string scratch;
  JsonCells cells{object, json_->place(), scratch};
  report_members(object, {});
  row_ = {};
  row_.place = json_->place();
  for (const auto& id : ids_)
    if (const auto* value = cells.value_at(id.name); value && !value->is_null() &&
                                                     !value->is_string() && !value->is_int64() &&
                                                     !value->is_uint64()) {
      refuse("a customer id is a text or a whole number: write it in quotes", row_.place);
      return ReadEvent::refused;
    }
  if (!read_id(cells, row_.place)) return ReadEvent::refused;
  const auto& shape = shapes_.front();
  const bool lists =
      std::ranges::any_of(shape.records, [](const auto& record) { return !record.list.empty(); });
  if (!lists &&
      std::ranges::none_of(rules_, [&](const auto& rule) { return cells.value_at(rule.name); })) {
    refuse("none of the mapping's columns is in this line", row_.place);
    return ReadEvent::refused;
  }
  for (std::size_t i = 0; i < shape.records.size(); ++i) {
    bool good = shape.records[i].list.empty() ? read_record(i, cells, shape.records[i].key)
                                              : read_list(i, object);
    if (!good) return ReadEvent::refused;
  }
  return ReadEvent::row;
}

bool RowSource::read_list(std::size_t record, const boost::json::object& object) {
  const auto& shape = shapes_.front().records[record];
  const auto* list = object.if_contains(shape.list);
  if (!list || list->is_null()) return true;
  if (!list->is_array()) return refuse("not a list", row_.place, shape.list);
  std::string scratch;
  std::size_t count = 0;
  for (const auto& item : list->get_array()) {
    if (!item.is_object()) return refuse("not a list of objects", row_.place, shape.list);
    report_members(item.get_object(), shape.list);
    JsonCells cells{item.get_object(), row_.place, scratch};
    if (!read_record(record, cells, std::to_string(++count))) return false;
  }
  return true;
}

template <class Cells>
bool RowSource::read_id(const Cells& cells, Place place) {
  const auto& shape = shapes_.front();
  for (std::size_t i = 0; i < ids_.size() && row_.external_id.empty(); ++i) {
    auto cell = cells(ids_[i]);
    if (cell.text.empty()) continue;
    place = cell.place;
    row_.external_id = cleaned(cell.text, shape.external_id[i].clean).value_or("");
  }
  if (row_.external_id.empty()) return refuse("no customer id in this row", place);
  if (rounded(row_.external_id))
    return refuse(
        "a spreadsheet has rounded this customer id (as in 4.47E+12): several customers would be "
        "one; export again and do not open the file with a spreadsheet",
        place);
  if (decimal(row_.external_id))
    return refuse(
        "a customer id written as a decimal number (as in 4471.0): without its end it would be "
        "another customer; have the id column written as text",
        place);
  if (!shape.scope.empty()) {
    auto scope = std::string(trim(cells(scope_).text));
    if (!scope.empty()) row_.external_id.insert(0, scope + ':');
  }
  if (row_.external_id.size() > kMaxExternalId)
    return refuse("a customer id longer than 256 bytes", place);
  if (has_control(row_.external_id, false))
    return refuse("a customer id with control characters", place);
  if (!http::unambiguous("ext:" + row_.external_id))
    return refuse(
        "a customer id that no address could name: a backslash, `%` before two hexadecimal digits, "
        "or `.` or `..` between slashes",
        place);
  return true;
}

/// `key` is for a record that has no key of its own.
template <class Cells>
bool RowSource::read_record(std::size_t record, const Cells& cells, std::string key) {
  const auto& shape = shapes_.front();
  ImportRecord out{.collection = shape.records[record].collection};
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto& rule = shape.rules[i];
    if (rule.record != record) continue;
    auto cell = cells(rules_[i]);
    if (cell.text.empty()) continue;
    auto text = cleaned(cell.text, rule.clean);
    if (!text) return refuse("neither yes nor no", cell.place, rule.field);
    if (text->empty()) continue;
    auto same = [&](const auto& value) { return value.first == rule.field; };
    if (std::ranges::any_of(out.values, same)) continue;
    out.values.emplace_back(rule.field, std::move(*text));
    out.places.push_back(cell.place);
  }
  if (out.values.empty()) return true;

  auto cell = keys_[record].name.empty() ? Cell{} : cells(keys_[record]);
  auto own = cleaned(cell.text, Clean::apostrophe).value_or("");
  if (own.empty() && key.empty() && !keys_[record].name.empty())
    return refuse("no key in this row: it would replace another record of the customer", row_.place,
                  keys_[record].name);
  out.key = own.empty() ? std::move(key) : std::move(own);
  if (!is_key(out.key))
    return refuse("a record's key is at most 64 letters, digits and . _ : -", cell.place);
  row_.records.push_back(std::move(out));
  return true;
}

// ── what does not go in

bool RowSource::refuse(Literal reason, Place place, std::string_view field) {
  refusal_ = {.place = place, .last_line = place.line, .reason = reason.text};
  if (!field.empty()) refusal_.field = FieldPath(field);
  return false;
}

ReadEvent RowSource::fail(Literal reason, FieldPath field) {
  refusal_ = {.place = {1, 1}, .last_line = 1, .reason = reason.text, .field = std::move(field)};
  failed_ = true;
  return ReadEvent::failed;
}

}  // namespace holdfast::vault
