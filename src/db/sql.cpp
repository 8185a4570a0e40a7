#include "db/sql.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/text.h"

namespace holdfast::db {
namespace {

constexpr std::size_t kLongestList = 20'000;

struct Placeholder {
  std::string_view written, sqlite, postgres;
};
constexpr auto kPlaceholders = std::to_array<Placeholder>({
    {"int", "integer", "bigint"},
    {"text", "text", "text collate \"C\""},
    {"json", "text", "text"},
    {"bytes", "blob", "bytea"},
    {"strict", "strict", ""},
    {"strict, without rowid", "strict, without rowid", ""},
    {"for update", "", "for update"},
    {"for share", "", "for share"},
});

bool word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

/// Where the literal, quoted name or comment that begins at `from` ends; `from` when none begins
/// there, npos when it does not end.
std::size_t quoted_end(std::string_view text, std::size_t from) {
  std::string_view rest = text.substr(from);
  if (rest.starts_with("--")) return std::min(text.find('\n', from), text.size());
  if (rest.starts_with("/*")) {
    std::size_t end = text.find("*/", from + 2);
    return end == text.npos ? end : end + 2;
  }
  if (rest.front() != '\'' && rest.front() != '"') return from;
  std::size_t end = text.find(rest.front(), from + 1);
  return end == text.npos ? end : end + 1;
}

class Translator {
 public:
  Translator(Dialect dialect, std::string_view text)
      : sqlite_(dialect == Dialect::sqlite), text_(text) {}

  Result<Translated> run() {
    while (at_ < text_.size()) {
      std::size_t end = quoted_end(text_, at_);
      if (end == text_.npos) return Error(Code::internal, "a literal in a statement does not end");
      if (end != at_) {
        copy(end);
      } else if (auto stepped = step(); !stepped) {
        return std::move(stepped).error();
      }
    }
    return std::move(out_);
  }

 private:
  void copy(std::size_t end) {
    out_.text += text_.substr(at_, end - at_);
    at_ = end;
  }

  Result<void> step() {
    std::string_view rest = text_.substr(at_);
    if (rest.starts_with("::") || rest.front() == '?')
      return Error(Code::internal, "a statement uses what only one database has (:: or ?)");
    if (rest.front() == '$') return parameter();
    if (rest.starts_with("{{")) return placeholder();
    std::size_t end = at_;
    while (end < text_.size() && word(text_[end])) ++end;
    if (text_.substr(at_, end - at_) == "returning") out_.returning = true;
    copy(std::max(end, at_ + 1));
    return {};
  }

  Result<void> parameter() {
    std::size_t number = 0;
    std::size_t end = at_ + 1;
    while (end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end])) &&
           number < 1000)
      number = number * 10 + static_cast<std::size_t>(text_[end++] - '0');
    if (number == 0 || number > 1000)
      return Error(Code::internal, "a parameter is not $1 to $1000");
    out_.parameters = std::max(out_.parameters, number);
    (out_.text += sqlite_ ? '?' : '$') += std::to_string(number);
    at_ = end;
    return {};
  }

  Result<void> placeholder() {
    std::size_t end = text_.find("}}", at_);
    if (end == text_.npos) return Error(Code::internal, "a {{ in a statement does not end");
    std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    if (name.starts_with("in $")) return list(end + 2);
    auto found = std::ranges::find(kPlaceholders, name, &Placeholder::written);
    if (found == kPlaceholders.end())
      return Error(Code::internal, "a statement holds an unknown {{...}}");
    out_.text += sqlite_ ? found->sqlite : found->postgres;
    at_ = end + 2;
    return {};
  }

  Result<void> list(std::size_t end) {
    out_.text += sqlite_ ? "in (select value from holdfast_list(" : "= any(";
    at_ += std::string_view("{{in ").size();
    auto numbered = parameter();
    if (numbered && at_ + 2 != end) return Error(Code::internal, "a list is written {{in $1}}");
    out_.text += sqlite_ ? "))" : ")";
    at_ = end;
    return numbered;
  }

  bool sqlite_;
  std::string_view text_;
  std::size_t at_ = 0;
  Translated out_;
};

Result<void> check_text(std::string_view text) {
  if (text.find('\0') != text.npos || !valid_utf8(text))
    return Error(Code::invalid, "text must be UTF-8 without zero bytes");
  return {};
}

Result<void> check_list(const List& list) {
  if (list.cells.size() > kLongestList)
    return Error(Code::too_large, "a list may hold at most 20,000 values");
  for (const Cell& cell : list.cells) {
    if (cell.index() != list.cells.front().index())
      return Error(Code::internal, "a list must hold values of one type");
    if (auto* text = std::get_if<std::string>(&cell))
      if (auto checked = check_text(*text); !checked) return checked;
  }
  return {};
}

}  // namespace

Result<Translated> translate(Dialect dialect, std::string_view text) {
  return Translator(dialect, text).run();
}

std::vector<std::string_view> split_script(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t from = 0;
  auto add = [&](std::size_t end) {
    std::string_view statement = text.substr(from, end - from);
    from = end;
    if (statement.find_first_not_of(" \t\r\n;") != statement.npos) out.push_back(statement);
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(quoted_end(text, at), text.size());
    if (end != at) {
      at = end;
      continue;
    }
    ++at;
    bool line_ends = at == text.size() || text[at] == '\n' || text.substr(at).starts_with("\r\n");
    if (text[at - 1] == ';' && line_ends) add(at);
  }
  add(text.size());
  return out;
}

Result<void> check_args(const Args& args, std::size_t parameters) {
  if (args.size() != parameters)
    return Error(Code::internal, "a statement has another number of arguments than parameters");
  for (const Value& value : args) {
    Result<void> checked;
    if (auto* text = std::get_if<std::string>(&value)) checked = check_text(*text);
    if (auto* list = std::get_if<List>(&value)) checked = check_list(*list);
    if (!checked) return checked;
  }
  return {};
}

}  // namespace holdfast::db
