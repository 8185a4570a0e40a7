#include "app/remote.h"

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/toml_text.h"
#include "base/described.h"
#include "base/json.h"
#include "http/client.h"

namespace holdfast::app {
namespace {

constexpr std::size_t kLongestInput = 64u << 20;
constexpr const char* kUsualUrl = "https://127.0.0.1:8443";

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

/// Whether its body may hold what must not be on the command line.
bool takes_hidden(const http::RouteInfo& route) {
  return route.request && std::ranges::any_of(route.request->members(), hidden);
}

std::string flag_name(std::string_view member) {
  std::string out = "--";
  for (char c : member) out += c == '_' ? '-' : c;
  return out;
}

/// An environment variable, or the built-in value.
std::string environment(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return text && *text ? text : otherwise;
}

std::optional<std::string> read_all(std::istream& in) {
  std::string out;
  char buffer[65536];
  while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
    out.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (out.size() > kLongestInput) return std::nullopt;
  }
  return out;
}

/// `-` is standard input, `@FILE` a file; anything else is itself.
Result<std::string> resolve(const std::string& text) {
  if (text == "-") {
    auto read = read_all(std::cin);
    if (!read) return Error(Code::too_large, "standard input is over 64 MiB");
    return std::move(*read);
  }
  if (!text.starts_with('@')) return text;
  std::ifstream in(text.substr(1), std::ios::binary);
  if (!in) return Error(Code::not_found, "the file after @ cannot be opened");
  auto read = read_all(in);
  if (!read) return Error(Code::too_large, "the file after @ is over 64 MiB");
  return std::move(*read);
}

Result<std::string> prompt(std::string_view name) {
  if (!isatty(STDIN_FILENO))
    return Error(Code::invalid, "this value is personal: give it as - (standard input) or @FILE")
        .at(flag_name(name));
  termios old{};
  tcgetattr(STDIN_FILENO, &old);
  auto quiet = old;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  std::cerr << name << ": " << std::flush;
  std::string out;
  std::getline(std::cin, out);
  tcsetattr(STDIN_FILENO, TCSANOW, &old);
  std::cerr << '\n';
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
  auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (text[first] != '{' && text[first] != '[')) return text;
  auto parsed = parse_json(text);
  if (!parsed) return std::move(parsed).error().at(flag_name(member.name));
  return boost::json::serialize(*parsed);
}

Result<std::string> member_json(const Member& member, const std::vector<std::string>& given) {
  const auto& type = inner(*member.type);
  std::vector<std::string> texts;
  for (const auto& one : given) {
    if (hidden(member) && one != "-" && !one.starts_with('@') && one != "?")
      return Error(Code::invalid,
                   "this value is personal and must not be on the command line: give it as -, "
                   "@FILE or ? (to be asked)")
          .at(member.name);
    auto text = one == "?"                           ? prompt(member.name)
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
    out += scalar(*type.element, text);
  }
  return out + ']';
}

/// Path, query and body of a command.
struct Built {
  std::string target;
  std::string body;
};

Result<Built> build(const RemoteCommand& command) {
  Built out{std::string(command.route.path), {}};
  std::string query;
  std::string members;
  auto add_member = [&](std::string_view name, const std::string& json) {
    if (!members.empty()) members += ',';
    append_json_string(members, name);
    members += ':';
    members += json;
  };
  if (command.route.request) {
    for (const auto& member : command.route.request->members()) {
      auto given = command.given.find(std::string(member.name));
      auto flag = command.flags.find(std::string(member.name));
      if (flag != command.flags.end() && !flag->second.empty()) {
        const auto& said = flag->second;
        if (member.place == Place::query)
          ((((query += query.empty() ? '?' : '&') += member.name) += '=') += said);
        else
          add_member(member.name, said);
        continue;
      }
      if (given == command.given.end() || given->second.empty()) {
        if (member.place == Place::body && member.required() && command.body.empty() &&
            hidden(member)) {
          auto asked = prompt(member.name);
          if (!asked) return std::move(asked).error();
          auto json = structured(*member.type) ? checked_json(member, std::move(*asked))
                                               : Result<std::string>(scalar(*member.type, *asked));
          if (!json) return std::move(json).error();
          add_member(member.name, *json);
        }
        continue;
      }
      if (member.place == Place::path) {
        auto name = "{" + std::string(member.name) + "}";
        auto at = out.target.find(name);
        if (at != std::string::npos)
          out.target.replace(at, name.size(), http::percent_encoded(given->second.back()));
      } else if (member.place == Place::query) {
        for (const auto& text : given->second) {
          auto value = query_text(member, text);
          if (!value) return std::move(value).error();
          (((query += query.empty() ? '?' : '&') += member.name) += '=') +=
              http::percent_encoded(*value);
        }
      } else {
        auto json = member_json(member, given->second);
        if (!json) return std::move(json).error();
        add_member(member.name, *json);
      }
    }
  }
  out.target += query;
  bool streams = command.route.kind == http::RouteKind::upload ||
                 command.route.kind == http::RouteKind::transform;
  bool has_body = command.route.method != "GET" && !streams && command.route.method != "DELETE";
  if (!command.body.empty()) {
    if (command.body != "-" && !command.body.starts_with('@') && takes_hidden(command.route))
      return Error(Code::invalid,
                   "this body may hold personal values, which must not be on the command line: "
                   "give it as --body @FILE or --body - (standard input)")
          .at("body");
    auto body = resolve(command.body);
    if (body && command.body.starts_with('@') && command.body.ends_with(".toml"))
      body = json_of_toml(*body);
    if (!body) return std::move(body).error().at("body");
    if (names_a_file(*body)) return wants_an_at().at("body");
    if (!members.empty())
      return Error(Code::invalid, "give --body or the members by themselves, not both").at("body");
    out.body = trimmed(std::move(*body));
  } else if (has_body) {
    out.body = '{' + members + '}';
  }
  return out;
}

Result<http::Client> connect() {
  http::ClientOptions options{.url = environment("HOLDFAST_URL", kUsualUrl),
                              .ca_file = environment("HOLDFAST_CA_FILE", ""),
                              .api_key = Secret::copy(environment("HOLDFAST_API_KEY", ""))};
  options.quiet_time = std::chrono::minutes(10);
  if (options.api_key.empty())
    return Error(Code::unauthenticated,
                 "set HOLDFAST_API_KEY to an API key (and HOLDFAST_CA_FILE to DIR/ca.pem)");
  return http::Client::make(std::move(options));
}

/// No answer came. Says who was asked, and what of the environment is missing.
int print_no_answer(const Error& error) {
  if (!error.field.empty() ||
      (error.code != Code::unavailable && error.code != Code::unauthenticated))
    return print_error(error);
  bool usual = environment("HOLDFAST_URL", "").empty();
  std::cerr << "holdfast: " << error.text << " (" << environment("HOLDFAST_URL", kUsualUrl)
            << (usual ? ", since HOLDFAST_URL is not set" : "") << ")\n";
  if (error.code == Code::unauthenticated && environment("HOLDFAST_CA_FILE", "").empty())
    std::cerr << "  HOLDFAST_CA_FILE is not set: set it to the server's DIR/ca.pem, unless its "
                 "certificate is from a public authority\n";
  return exit_for(error.code);
}

bool has_member(const Type* type, std::string_view name) {
  return type && type->kind == Kind::object &&
         std::ranges::find(type->members(), name, &Member::name) != type->members().end();
}

/// A check that was made and found something: `"good": false`, so that a script need not read it.
bool says_not_good(std::string_view body) {
  auto parsed = parse_json(body, {.depth = 64, .values = 10'000'000});
  if (!parsed || !parsed->is_object()) return false;
  const auto* good = parsed->get_object().if_contains("good");
  return good && good->is_bool() && !good->get_bool();
}

int answer(const RemoteCommand& command, const http::ClientResponse& response) {
  if (!response.good()) {
    print_problem(response.body, response.status);
    return exit_for_status(response.status);
  }
  print_answer(command.route.response, response.body, command.json);
  if (!command.json && has_member(command.route.request, "after")) print_more(response.body);
  return says_not_good(response.body) ? kFailed : kDone;
}

/// The file of a command, opened, or standard input.
struct Input {
  std::ifstream file;
  std::istream* in = &std::cin;

  /// Sets the request's source, and its size when that is known.
  bool feed(const std::string& name, http::ClientRequest& request) {
    if (name != "-") {
      file.open(name, std::ios::binary);
      if (!file) {
        std::cerr << "holdfast: the file cannot be opened\n";
        return false;
      }
      struct stat info{};
      if (stat(name.c_str(), &info) == 0 && S_ISREG(info.st_mode))
        request.source_bytes = static_cast<std::uint64_t>(info.st_size);
      in = &file;
    }
    request.source = [from = in](std::span<char> to) -> Result<std::size_t> {
      from->read(to.data(), static_cast<std::streamsize>(to.size()));
      if (from->bad()) return Error(Code::unavailable, "cannot be read").at("file");
      return static_cast<std::size_t>(from->gcount());
    };
    return true;
  }
};

/// Where a command writes what it gets.
struct Output {
  PrivateFile file;
  std::ostream* out = &std::cout;

  bool take(const RemoteCommand& command, http::ClientRequest& request) {
    const auto& name = command.output;
    if (!name.empty() && name != "-" && name != "/dev/stdout") {
      const bool endless = command.route.kind == http::RouteKind::events;
      if (!(endless ? file.open_to_add(name) : file.open(name))) return said();
      out = &file.out;
    }
    request.sink = [to = out](std::string_view bytes) {
      to->write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      to->flush();
      return to->good();
    };
    return true;
  }
  /// Once the answer was good to its end.
  bool keep() { return (out == &file.out ? file.keep() : out->good()) || said(); }
  bool said() const {
    std::cerr << "holdfast: the output cannot be written\n";
    return false;
  }
};

/// Whether an import brought nothing in: it failed, or each of its rows was refused.
bool nothing_went_in(std::string_view body) {
  auto parsed = parse_json(body, {.depth = 64, .values = 10'000'000});
  if (!parsed || !parsed->is_object()) return false;
  const auto& report = parsed->get_object();
  auto number = [&](const char* name) {
    const auto* value = report.if_contains(name);
    return value && value->is_int64() ? value->get_int64() : 0;
  };
  const auto* state = report.if_contains("state");
  if (state && state->is_string() && state->get_string() == "failed") return true;
  return number("rows") > 0 && number("rows") == number("refused");
}

/// Whether FILE or its FILE.part is what the command reads.
bool is_read_too(const RemoteCommand& command, const std::string& written) {
  namespace fs = std::filesystem;
  std::error_code none;
  if (written.empty() || !fs::is_regular_file(command.file, none)) return false;
  auto part = fs::weakly_canonical(written, none);
  part += ".part";
  return fs::equivalent(written, command.file, none) || fs::equivalent(part, command.file, none);
}

int upload(const RemoteCommand& command, http::Client& client, http::ClientRequest request) {
  Input input;
  if (!input.feed(command.file, request)) return kNotFound;
  PrivateFile report;
  if (!command.report.empty() && !report.open(command.report)) {
    std::cerr << "holdfast: --report: the file cannot be written; nothing was sent\n";
    return kFailed;
  }
  request.type = command.file.ends_with(".jsonl") || command.file.ends_with(".ndjson")
                     ? "application/x-ndjson"
                     : "text/csv";
  bool show = isatty(STDERR_FILENO);
  auto total = request.source_bytes;
  if (show)
    request.progress = [total, last = std::uint64_t{0}](std::uint64_t sent) mutable {
      if (sent - last < (1u << 18) && (!total || sent != *total)) return;
      last = sent;
      std::cerr << '\r' << sent / 1024 << " KiB";
      if (total && *total > 0)
        std::cerr << " of " << *total / 1024 << " KiB, " << sent * 100 / *total << " %";
      std::cerr << "   " << std::flush;
    };
  auto response = client.send(request);
  if (show) std::cerr << '\n';
  if (!response) return print_no_answer(response.error());
  int code = answer(command, *response);
  if (!response->good()) return code;
  if (!command.report.empty() && !(write_report(response->body, report.out) && report.keep())) {
    std::cerr << "holdfast: --report: the file could not be written\n";
    code = kFailed;
  }
  if (nothing_went_in(response->body)) {
    std::cerr << "holdfast: nothing of this file went in: see the report\n";
    code = kFailed;
  }
  return code;
}

int download(const RemoteCommand& command, http::Client& client, http::ClientRequest request) {
  Output output;
  if (!output.take(command, request)) return kFailed;
  auto response = client.send(request);
  if (!response) return print_no_answer(response.error());
  if (!response->good()) {
    print_problem(response->body, response->status);
    return exit_for_status(response->status);
  }
  return output.keep() ? kDone : kFailed;
}

/// A stream in, a stream out. What was left as it stood comes in the trailer.
int transform(const RemoteCommand& command, http::Client& client, http::ClientRequest request) {
  Input input;
  Output output;
  if (!input.feed(command.file, request)) return kNotFound;
  if (!output.take(command, request)) return kFailed;
  request.type = "application/octet-stream";
  auto response = client.send(request);
  if (!response) {
    std::cerr << (output.file.replaces()
                      ? "holdfast: the answer is not complete: the file stays as it was\n"
                      : "holdfast: what was written is not complete: do not use it\n");
    return print_no_answer(response.error());
  }
  if (!response->good()) {
    print_problem(response->body, response->status);
    return exit_for_status(response->status);
  }
  if (!output.keep()) return kFailed;
  std::string refused = "0", reasons, report;
  for (const auto& [name, value] : response->trailer) {
    if (name == "Holdfast-Refused") refused = value;
    if (name == "Holdfast-Refused-Reasons") reasons = value;
    if (name == "Holdfast-Report") report = value;
  }
  if (refused == "0") return kDone;
  std::cerr << "holdfast: " << refused << " left as they stand (" << reasons
            << "); each is listed by `holdfast " << command.route.id << "s get " << report << "`\n";
  return kFailed;
}

void add_member(CLI::App& sub, RemoteCommand& command, const Member& member) {
  std::string name(member.name);
  std::string doc(member.doc);
  const auto& type = inner(*member.type);
  if (type.kind == Kind::boolean && member.place != Place::path) {
    auto said = [](const std::string& text) {
      return text == "true" || text == "false" ? std::string() : "write true or false";
    };
    sub.add_flag(flag_name(name), command.flags[name], doc)->check(said, "");
    return;
  }
  auto& values = command.given[name];
  if (member.place == Place::path) {
    sub.add_option(name, values, doc)
        ->required()
        ->expected(1)
        ->allow_extra_args(false)  // the next one is another member's
        ->type_name("");
    return;
  }
  if (type.kind == Kind::enumeration) {
    doc += " One of:";
    for (auto one : type.names()) (doc += ' ') += one;
    doc += '.';
  }
  const bool several = type.kind == Kind::list && !structured(type);
  if (several) doc += " Several: A,B or repeat the option.";
  if (member.required()) doc += " Required.";
  const char* kind = hidden(member)               ? "-|@FILE|?"
                     : structured(type)           ? "JSON|-|@FILE"
                     : type.kind == Kind::integer ? "N"
                                                  : "TEXT";
  auto* option = sub.add_option(flag_name(name), values, doc)->type_name(kind);
  if (several)
    option->delimiter(',')
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
  else
    option->expected(1)->allow_extra_args(false);
}

/// `record` as RECORD: a word to put something in place of.
std::string placeholder(std::string_view member) {
  std::string out;
  for (char c : member) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string examples_of(const http::RouteInfo& route, const std::string& command) {
  std::string out;
  for (const auto& example : route.examples) {
    (out += out.empty() ? "Example, " : "\nExample, ") += example.title;
    out += ":\n  echo '";
    for (char c : example.body) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    ((out += "' | holdfast ") += command) += " --body -\n";
  }
  return out;
}

CLI::App* find_command(CLI::App& app, const std::string& name) {
  for (auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    if (sub->get_name() == name) return sub;
  return nullptr;
}

}  // namespace

void add_remote_commands(CLI::App& app, std::vector<std::unique_ptr<RemoteCommand>>& commands,
                         RemoteCommand*& chosen) {
  for (auto& owned : commands) {
    auto& command = *owned;
    std::string_view id = command.route.id;
    auto dot = id.find('.');
    CLI::App* at = &app;
    if (dot != std::string_view::npos) {
      std::string group(id.substr(0, dot));
      std::ranges::replace(group, '_', '-');
      at = find_command(app, group);
      if (!at) at = app.add_subcommand(group, "Operations on " + group)->require_subcommand(1);
    }
    std::string verb(dot == std::string_view::npos ? id : id.substr(dot + 1));
    std::ranges::replace(verb, '_', '-');
    auto* sub = find_command(*at, verb);
    if (!sub) sub = at->add_subcommand(verb, std::string(command.route.summary));
    std::string path;
    if (command.route.request)
      for (const auto& member : command.route.request->members()) {
        if (member.place == Place::path) (path += ' ') += placeholder(member.name);
        add_member(*sub, command, member);
      }
    if (command.route.kind == http::RouteKind::upload) {
      sub->add_option("file", command.file, "The file; - for standard input.")
          ->required()
          ->type_name("FILE");
      sub->add_option("--report", command.report, "List refused rows in this file (CSV).")
          ->type_name("FILE");
    } else if (command.route.kind == http::RouteKind::transform) {
      command.file = "-";
      sub->add_option("file", command.file, "The file; - or nothing for standard input.")
          ->type_name("FILE");
      sub->add_option("--output", command.output, "Write to this file.")->type_name("FILE");
    } else if (command.route.kind != http::RouteKind::json) {
      sub->add_option("--output", command.output,
                      command.route.kind == http::RouteKind::events ? "Add to this file."
                                                                    : "Write to this file.")
          ->type_name("FILE");
    } else {
      if (command.route.idempotency_key)
        sub->add_option("--idempotency-key", command.idempotency_key, "Makes it safe to repeat.");
      if (command.route.if_match)
        sub->add_option("--if-match", command.if_match, "Only if it still has this version.");
      sub->add_flag("--json", command.json, "JSON also on a terminal.");
    }
    const bool takes_json = command.route.kind != http::RouteKind::upload &&
                            command.route.kind != http::RouteKind::transform &&
                            command.route.method != "GET" && command.route.method != "DELETE";
    if (takes_json)
      sub->add_option("--body", command.body,
                      "The whole request as JSON, or a file of TOML, instead of single members.")
          ->type_name(takes_hidden(command.route) ? "-|@FILE|@FILE.toml"
                                                  : "JSON|-|@FILE|@FILE.toml");
    std::string name(id);
    std::ranges::replace(name, '.', ' ');
    std::ranges::replace(name, '_', '-');
    sub->footer(examples_of(command.route, name + path));
    sub->final_callback([&chosen, &command] { chosen = &command; });
    if (id == "backups.create")  // what everybody types
      app.add_subcommand("backup", "The same as `holdfast backups create`")
          ->final_callback([&chosen, &command] { chosen = &command; });
  }
}

int run_remote(const RemoteCommand& command) {
  if (is_read_too(command, command.output) || is_read_too(command, command.report))
    return print_error(
        Error(Code::invalid, "--output and --report take another file than the one that is read"));
  auto built = build(command);
  if (!built) return print_error(built.error());
  auto client = connect();
  if (!client) return print_error(client.error());
  http::ClientRequest request{.method = std::string(command.route.method),
                              .target = built->target,
                              .body = std::move(built->body)};
  if (!command.idempotency_key.empty())
    request.headers.emplace_back("Idempotency-Key", command.idempotency_key);
  if (!command.if_match.empty())
    request.headers.emplace_back("If-Match", '"' + command.if_match + '"');
  switch (command.route.kind) {
    case http::RouteKind::upload:
      return upload(command, *client, std::move(request));
    case http::RouteKind::transform:
      return transform(command, *client, std::move(request));
    case http::RouteKind::download:
    case http::RouteKind::events:
      return download(command, *client, std::move(request));
    case http::RouteKind::json:
      break;
  }
  auto response = client->send(request);
  wipe(request.body);
  if (!response) return print_no_answer(response.error());
  return answer(command, *response);
}

}  // namespace holdfast::app
