#include "app/print.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <limits>

#include "app/exit_codes.h"
#include "base/json.h"
#include "base/text.h"

namespace holdfast::app {
namespace {

namespace json = boost::json;

/// What a terminal shows of a value: control characters of stored data must not steer it.
std::string plain(const json::value& value) {
  if (const auto* text = value.if_string()) {
    std::string out;
    for (char c : *text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    return out;
  }
  if (value.is_null()) return "-";
  if (const auto* list = value.if_array()) {
    std::string out;
    for (const auto& one : *list) (out += out.empty() ? "" : ", ") += plain(one);
    return out;
  }
  if (const auto* object = value.if_object()) {
    std::string out;
    for (const auto& [key, one] : *object) {
      if (!out.empty()) out += ", ";
      ((out += key) += ": ") += plain(one);
    }
    return out;
  }
  return json::serialize(value);
}

bool blank(const json::value& value) {
  if (const auto* text = value.if_string()) return text->empty();
  if (const auto* list = value.if_array()) return list->empty();
  if (const auto* object = value.if_object()) return object->empty();
  return value.is_null();
}

/// The columns in which some row has something.
std::vector<std::string> columns_of(const json::array& rows) {
  std::vector<std::string> out;
  for (const auto& row : rows)
    if (const auto* object = row.if_object())
      for (const auto& [key, value] : *object)
        if (!blank(value) && std::ranges::find(out, std::string(key)) == out.end())
          out.emplace_back(key);
  return out;
}

std::size_t terminal_width() {
  struct winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : std::numeric_limits<std::size_t>::max();
}

/// Rows one below the other, whole, each after an empty line.
void blocks(const json::array& rows) {
  for (const auto& row : rows) {
    const auto* object = row.if_object();
    if (!object) continue;
    std::cout << '\n';
    for (const auto& [key, value] : *object)
      if (!blank(value)) std::cout << key << ": " << plain(value) << '\n';
  }
}

/// Rows side by side; in blocks where the terminal is narrower.
void table(const json::array& rows) {
  const auto columns = columns_of(rows);
  std::vector<std::size_t> widths;
  std::size_t whole = 0;
  for (const auto& column : columns) {
    auto width = column.size();
    for (const auto& row : rows)
      if (const auto* object = row.if_object())
        if (const auto* cell = object->if_contains(column))
          width = std::max(width, code_points(plain(*cell)));
    widths.push_back(width);
    whole += width + (whole > 0 ? 2 : 0);
  }
  if (whole > terminal_width()) return blocks(rows);
  auto line = [&](auto cell_of) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      auto text = cell_of(columns[i]);
      std::cout << text;
      if (i + 1 < columns.size())
        std::cout << std::string(widths[i] + 2 - std::min(widths[i], code_points(text)), ' ');
    }
    std::cout << '\n';
  };
  line([](const std::string& column) { return column; });
  for (const auto& row : rows)
    if (const auto* object = row.if_object())
      line([&](const std::string& column) {
        const auto* cell = object->if_contains(column);
        return cell ? plain(*cell) : std::string();
      });
}

/// A list of objects with something in it: what is shown as a table.
const json::array* rows_of(const json::value& value) {
  const auto* list = value.if_array();
  return list && !list->empty() && list->front().is_object() ? list : nullptr;
}

/// The first list member, also when empty: what a pipe gets line by line.
const Member* list_member(const Type* type) {
  if (!type || type->kind != Kind::object) return nullptr;
  for (const auto& member : type->members())
    if (member.type->kind == Kind::list && member.type->element->kind == Kind::object)
      return type->members().size() <= 2 ? &member : nullptr;
  return nullptr;
}

/// Where it is a file: devices and pipes stay as they are.
bool make_private(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return false;
  return !S_ISREG(info.st_mode) || (info.st_mode & 077) == 0 || ::fchmod(fd, 0600) == 0;
}

}  // namespace

void print_answer(const Type* type, std::string_view body, bool as_json) {
  auto parsed = parse_json(body, {.depth = 64, .values = 10'000'000});
  if (as_json || !parsed || !parsed->is_object()) {
    std::cout << body << '\n';
    return;
  }
  const auto& object = parsed->get_object();
  if (!isatty(STDOUT_FILENO)) {
    const auto* member = list_member(type);
    const auto* list = member ? object.if_contains(member->name) : nullptr;
    if (list && list->is_array())
      for (const auto& row : list->get_array()) std::cout << json::serialize(row) << '\n';
    else
      std::cout << body << '\n';
    return;
  }
  for (const auto& [key, value] : object)
    if (!rows_of(value)) std::cout << key << ": " << plain(value) << '\n';
  const auto tables =
      std::ranges::count_if(object, [](const auto& member) { return rows_of(member.value()); });
  for (const auto& [key, value] : object)
    if (const auto* rows = rows_of(value)) {
      if (tables > 1) std::cout << '\n' << key << ":\n";
      table(*rows);
    }
}

void print_more(std::string_view body) {
  auto parsed = parse_json(body, {.depth = 64, .values = 10'000'000});
  if (!parsed || !parsed->is_object()) return;
  const auto* next = parsed->get_object().if_contains("next");
  if (!next || next->is_null() || plain(*next).empty()) return;
  std::cerr << "more: --after " << plain(*next) << '\n';
}

void print_problem(std::string_view body, int status) {
  auto parsed = parse_json(body);
  if (!parsed || !parsed->is_object()) {
    std::cerr << "holdfast: the server answered " << status << '\n';
    return;
  }
  const auto& object = parsed->get_object();
  auto text = [&](const json::object& from, const char* key) {
    const auto* value = from.if_contains(key);
    return value && value->is_string() ? plain(*value) : std::string();
  };
  auto field = text(object, "field");
  std::cerr << "holdfast: " << (field.empty() ? "" : field + ": ") << text(object, "detail") << " ("
            << text(object, "code") << ", " << text(object, "request_id") << ")\n";
  if (auto free_at = text(object, "free_at"); !free_at.empty())
    std::cerr << "  free again at " << free_at << '\n';
  if (const auto* errors = object.if_contains("errors");
      errors && errors->is_array() && errors->get_array().size() > 1)
    for (const auto& one : errors->get_array())
      if (const auto* row = one.if_object())
        std::cerr << "  " << text(*row, "field") << ": " << text(*row, "detail") << '\n';
}

int print_error(const Error& error) {
  std::cerr << "holdfast: " << (error.field.empty() ? "" : error.field.text() + ": ") << error.text
            << '\n';
  for (const auto& one : error.also)
    std::cerr << "  " << (one.field.empty() ? "" : one.field.text() + ": ") << one.text << '\n';
  return exit_for(error.code);
}

Result<void> make_output_private() {
  if (make_private(STDOUT_FILENO)) return {};
  return Error(Code::unavailable,
               "a key would be printed into a file that others can read and whose mode cannot be "
               "changed: let standard output go elsewhere");
}

bool PrivateFile::open(const std::string& file) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const auto there = fs::status(file, failed);
  if (fs::exists(there) && !fs::is_regular_file(there)) {
    out.open(file, std::ios::binary);
    return out.is_open();
  }
  file_ = file;
  if (fs::exists(there)) {
    file_ = fs::canonical(file, failed);  // a link stays one
    if (failed || ::access(file_.c_str(), W_OK) != 0) return false;
  }
  auto part = file_;
  part += ".part";
  // One that a killed command left may be open to others, or be a link.
  ::unlink(part.c_str());
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  ::close(fd);
  part_ = std::move(part);
  out.open(part_, std::ios::binary);
  return out.is_open();
}

bool PrivateFile::open_to_add(const std::string& file) {
  std::error_code none;
  if (std::filesystem::exists(file, none) && !std::filesystem::is_regular_file(file, none))
    return open(file);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  // One that was there may have been open to others.
  const bool good = make_private(fd);
  ::close(fd);
  if (good) out.open(file, std::ios::binary | std::ios::app);
  return good && out.is_open();
}

bool PrivateFile::keep() {
  out.close();
  if (!out) return false;
  if (part_.empty()) return true;
  std::error_code failed;
  std::filesystem::rename(part_, file_, failed);
  if (failed) return false;
  part_.clear();
  return true;
}

PrivateFile::~PrivateFile() {
  std::error_code ignored;
  if (!part_.empty()) std::filesystem::remove(part_, ignored);
}

bool write_report(std::string_view body, std::ostream& out) {
  auto parsed = parse_json(body, {.depth = 64, .values = 10'000'000});
  if (!parsed || !parsed->is_object()) return false;
  out << "line,column,field,reason\n";
  const auto* rows = parsed->get_object().if_contains("refusals");
  if (rows && rows->is_array())
    for (const auto& row : rows->get_array()) {
      const auto& one = row.as_object();
      out << one.at("line").as_int64() << ',' << one.at("column").as_int64() << ','
          << plain(one.at("field")) << ",\"" << plain(one.at("reason")) << "\"\n";
    }
  auto listed = rows && rows->is_array() ? static_cast<std::int64_t>(rows->get_array().size()) : 0;
  const auto* refused = parsed->get_object().if_contains("refused");
  if (refused && refused->is_int64() && refused->get_int64() > listed)
    out << ",,,\"and " << refused->get_int64() - listed
        << " more, which are not listed: mend these, and run the file again\"\n";
  out.flush();
  return out.good();
}

}  // namespace holdfast::app
