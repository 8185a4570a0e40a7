#include "app/remote_request.h"

#include <termios.h>
#include <unistd.h>
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <vector>

#include "app/toml_text.h"
#include "base/json.h"
#include "base/text.h"
#include "http/client.h"

namespace holdfast::app {
namespace {

constexpr std::size_t kLongestInput = 64u << 20;

std::optional<std::string> read_all(std::istream& in) {
  std::string out;
  char buffer[65536];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    out.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (out.size() > kLongestInput) return std::nullopt;
  }
  return out;
}

/// Without the mark that editors on Windows write before a text.
std::string without_mark(std::string text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

/// `-` is standard input, `@FILE` a file; anything else is itself.
Result<std::string> resolve(const std::string& text) {
  if (text == "-") {
    auto read = read_all(std::cin);
    if (!read) return Error(Code::too_large, "standard input is over 64 MiB");
    return without_mark(std::move(*read));
  }
  if (!text.starts_with('@')) return text;
  std::error_code none;
  if (std::filesystem::is_directory(text.substr(1), none))
    return Error(Code::invalid, "what is named after @ is a folder and no file");
  std::ifstream in(text.substr(1), std::ios::binary);
  if (!in) return Error(Code::not_found, "the file after @ cannot be opened");
  auto read = read_all(in);
  if (!read) return Error(Code::too_large, "the file after @ is over 64 MiB");
  if (in.bad()) return Error(Code::unavailable, "the file after @ cannot be read");
  return without_mark(std::move(*read));
}

/// `twice`: a slip in it would be found too late.
Result<std::string> prompt(std::string_view name, bool twice = false) {
  if (!isatty(STDIN_FILENO))
    return Error(Code::invalid, "this value is personal: give it as - (standard input) or @FILE")
        .at(flag_name(name));
  termios old{};
  tcgetattr(STDIN_FILENO, &old);
  auto quiet = old;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  std::string out, again;
  auto ask = [&](std::string_view what, std::string& line) {
    std::cerr << what << ": " << std::flush;
    const bool given = bool(std::getline(std::cin, line));
    std::cerr << '\n';
    return given;
  };
  const bool given = ask(name, out) && (!twice || ask("the same again", again));
  tcsetattr(STDIN_FILENO, TCSANOW, &old);
  if (!given)
    return Error(Code::invalid, "nothing was given, and nothing was done").at(flag_name(name));
  if (twice && out != again)
    return Error(Code::invalid, "these were not the same, and nothing was done")
        .at(flag_name(name));
  return out;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

/// One scalar as JSON. What is no number goes as a string, so that the server can name its member.
std::string scalar(const Type& type, const std::string& text) {
  std::int64_t number = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (inner(type).kind == Kind::integer && bad == std::errc() && end == text.data() + text.size())
    return std::to_string(number);
  if (inner(type).kind == Kind::boolean) return text;
  std::string out;
  append_json_string(out, text);
  return out;
}

/// A name without its @ would only be said to be no JSON.
bool names_a_file(const std::string& text) {
  std::error_code none;
  return std::filesystem::is_regular_file(text, none);
}

Error wants_an_at() {
  return {Code::invalid,
          "not valid JSON, but the name of a file: write @ before it, as in @desk.json"};
}

/// A structured member's text, once it is known to be JSON: the server could only say that the
/// body as a whole is none.
Result<std::string> checked_json(const Member& member, std::string text) {
  auto parsed = parse_json(text, {.depth = 64, .values = 10'000'000});
  if (!parsed && names_a_file(text)) return wants_an_at().at(flag_name(member.name));
  if (!parsed) return std::move(parsed).error().at(flag_name(member.name));
  return text;
}

/// A member of the query. JSON goes without the line breaks of a file, which no query may hold.
Result<std::string> query_text(const Member& member, const std::string& given) {
  auto read = resolve(given);
  if (!read) return std::move(read).error().at(flag_name(member.name));
  auto text = trimmed(std::move(*read));
  if (text.ends_with(".json") && names_a_file(text))
    return wants_an_at().at(flag_name(member.name));
  auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (text[first] != '{' && text[first] != '[')) return text;
  auto parsed = parse_json(text);
  if (!parsed) return std::move(parsed).error().at(flag_name(member.name));
  return boost::json::serialize(*parsed);
}

/// A list that is read: JSON, or one on each line.
Result<std::string> list_from(const Member& member, const Type& element, const std::string& given) {
  auto read = resolve(given);
  if (!read) return std::move(read).error().at(flag_name(member.name));
  auto text = trimmed(std::move(*read));
  if (text.starts_with('[')) return checked_json(member, std::move(text));
  std::string out = "[";
  std::istringstream lines(std::move(text));
  for (std::string line; std::getline(lines, line);) {
    auto one = trimmed(std::move(line));
    if (one.empty()) continue;
    if (out.size() > 1) out += ',';
    out += scalar(element, one);
  }
  return out + ']';
}

Result<std::string> member_json(const Member& member, const std::vector<std::string>& given,
                                bool twice) {
  const auto& type = inner(*member.type);
  if (type.kind == Kind::list && !structured(type) && !hidden(member) && given.size() == 1 &&
      (given.front() == "-" || given.front().starts_with('@')))
    return list_from(member, *type.element, given.front());
  std::vector<std::string> texts;
  for (const auto& one : given) {
    if (hidden(member) && one != "-" && !one.starts_with('@') && one != "?")
      return Error(Code::invalid,
                   "this value is personal and must not be on the command line: give it as -, "
                   "@FILE or ? (to be asked)")
          .at(member.name);
    auto text = one == "?"                           ? prompt(member.name, twice)
                : hidden(member) || structured(type) ? resolve(one)
                                                     : Result<std::string>(one);
    if (!text) return std::move(text).error().at(member.name);
    texts.push_back(trimmed(std::move(*text)));
  }
  if (structured(type)) return checked_json(member, std::move(texts.back()));
  if (type.kind != Kind::list) return scalar(type, texts.back());
  std::string out = "[";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    out += scalar(*type.element, hidden(member) ? text : std::string(trim(text)));  // A, B
  }
  return out + ']';
}
/// A request that is being put together.
struct Draft {
  std::string target;
  std::string query;
  std::string members;  // of the body

  void ask(std::string_view name, std::string_view text) {
    (((query += query.empty() ? '?' : '&') += name) += '=') += text;
  }
  void add(std::string_view name, std::string_view json) {
    if (!members.empty()) members += ',';
    append_json_string(members, name);
    (members += ':') += json;
  }
};

/// A personal member that the request needs and nobody gave.
Result<void> add_asked(Draft& draft, const Member& member) {
  auto asked = prompt(member.name);
  if (!asked) return std::move(asked).error();
  auto json = structured(*member.type) ? checked_json(member, std::move(*asked))
                                       : Result<std::string>(scalar(*member.type, *asked));
  if (!json) return std::move(json).error();
  draft.add(member.name, *json);
  return {};
}

Result<void> add_given(Draft& draft, const Member& member, const std::vector<std::string>& given,
                       bool twice) {
  if (member.place == Place::path) {
    if (given.back().empty())
      return Error(Code::invalid, "it is empty: is the variable set that it came from?")
          .at(member.name);
    auto name = "{" + std::string(member.name) + "}";
    auto at = draft.target.find(name);
    if (at != std::string::npos)
      draft.target.replace(at, name.size(), http::percent_encoded(given.back()));
  } else if (member.place == Place::query) {
    for (const auto& text : given) {
      auto value = query_text(member, text);
      if (!value) return std::move(value).error();
      draft.ask(member.name, http::percent_encoded(*value));
    }
  } else {
    auto json = member_json(member, given, twice);
    if (!json) return std::move(json).error();
    draft.add(member.name, *json);
  }
  return {};
}

Result<void> add(Draft& draft, const RemoteCommand& command, const Member& member) {
  const std::string name(member.name);
  if (auto flag = command.flags.find(name); flag != command.flags.end() && !flag->second.empty()) {
    if (member.place == Place::query)
      draft.ask(name, flag->second);
    else
      draft.add(name, flag->second);
    return {};
  }
  if (auto given = command.given.find(name); given != command.given.end() && !given->second.empty())
    return add_given(draft, member, given->second, command.route.id == "keys.move");
  const bool needed = member.place == Place::body && member.required() && command.body.empty();
  return needed && hidden(member) ? add_asked(draft, member) : Result<void>();
}

/// What --body names.
Result<std::string> whole_body(const RemoteCommand& command) {
  if (command.body != "-" && !command.body.starts_with('@') && takes_hidden(command.route))
    return Error(Code::invalid,
                 "this body may hold personal values, which must not be on the command line: "
                 "give it as --body @FILE or --body - (standard input)");
  auto body = resolve(command.body);
  if (body && body->find_first_not_of(" \t\r\n") == std::string::npos)
    return Error(Code::invalid,
                 "it is empty: did the command or file before it give nothing? A request without "
                 "anything in it is {}");
  if (body && command.body.starts_with('@') && command.body.ends_with(".toml"))
    body = json_of_toml(*body);
  if (!body) return body;
  if (names_a_file(*body)) return wants_an_at();
  return trimmed(std::move(*body));
}

}  // namespace

const Type& inner(const Type& type) {
  const Type* at = &type;
  while (at->kind == Kind::optional) at = at->element;
  return *at;
}

bool structured(const Type& type) {
  const auto& in = inner(type);
  switch (in.kind) {
    case Kind::object:
    case Kind::values:
    case Kind::dict:
    case Kind::json:
      return true;
    case Kind::list:
      return structured(*in.element);
    default:
      return false;
  }
}

bool hidden(const Member& member) {
  return member.sensitivity != Sensitivity::plain || inner(*member.type).kind == Kind::secret;
}

bool takes_hidden(const http::RouteInfo& route) {
  return route.request && std::ranges::any_of(route.request->members(), hidden);
}

std::string flag_name(std::string_view member) {
  std::string out = "--";
  for (char c : member) out += c == '_' ? '-' : c;
  return out;
}
Result<RemoteRequest> request_of(const RemoteCommand& command) {
  const auto& route = command.route;
  Draft draft{.target = std::string(route.path), .query = {}, .members = {}};
  if (route.request)
    for (const auto& member : route.request->members())
      if (auto added = add(draft, command, member); !added) return std::move(added).error();
  RemoteRequest out{.target = std::move(draft.target) + draft.query, .body = {}};
  if (!command.body.empty()) {
    auto body = whole_body(command);
    if (!body) return std::move(body).error().at("body");
    if (!draft.members.empty())
      return Error(Code::invalid, "give --body or the members by themselves, not both").at("body");
    out.body = std::move(*body);
    return out;
  }
  const bool streams =
      route.kind == http::RouteKind::upload || route.kind == http::RouteKind::transform;
  if (route.method != "GET" && route.method != "DELETE" && !streams)
    out.body = '{' + draft.members + '}';
  return out;
}

}  // namespace holdfast::app
