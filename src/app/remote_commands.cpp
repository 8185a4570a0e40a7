#include "app/remote_commands.h"

#include <algorithm>

#include "app/remote_request.h"
#include "app/words.h"

namespace holdfast::app {
namespace {

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

/// Its body is a file, not JSON.
bool reads_file(const http::RouteInfo& route) {
  return route.kind == http::RouteKind::upload || route.kind == http::RouteKind::transform;
}

/// What stands behind a command whose members are typed one by one.
std::string typed(const http::RouteInfo& route) {
  std::string out;
  if (!route.example_options.empty()) {
    (out += ' ') += route.example_options;
  } else if (route.request) {
    for (const auto& member : route.request->members()) {
      const bool needed = member.required() || member.type->kind == Kind::list;
      if (!needed || member.place == Place::path) continue;
      ((out += ' ') += flag_name(member.name)) += ' ';
      out += hidden(member) || structured(*member.type) ? "@FILE"
             : member.type->kind == Kind::integer       ? "N"
                                                        : placeholder(member.name);
    }
  }
  if (reads_file(route)) out += " FILE";
  if (route.kind == http::RouteKind::download) out += " --output FILE";
  return out;
}

std::string examples_of(const http::RouteInfo& route, const std::string& command) {
  if (route.examples.empty()) return example("holdfast " + command + typed(route));
  std::string out;
  for (const auto& [title, body] : route.examples) {
    std::string line = "echo '";
    for (char c : body) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    ((line += "' | holdfast ") += command) += " --body -";
    (out += out.empty() ? "" : "\n") += example(line, title);
  }
  return out;
}

void add_json(CLI::App& sub, RemoteCommand& command) {
  sub.add_flag("--json", command.json, "JSON also on a terminal.");
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
      add_json(*sub, command);
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
      add_json(*sub, command);
    }
    const bool takes_json = !reads_file(command.route) && command.route.method != "GET" &&
                            command.route.method != "DELETE";
    if (takes_json)
      sub->add_option("--body", command.body,
                      "The whole request as JSON, or a file of TOML, instead of single members.")
          ->check([](const std::string& body) {
            return body.empty() ? "it is empty: is the variable set that it came from?" : "";
          })
          ->type_name(takes_hidden(command.route) ? "-|@FILE|@FILE.toml"
                                                  : "JSON|-|@FILE|@FILE.toml");
    std::string name(id);
    std::ranges::replace(name, '.', ' ');
    std::ranges::replace(name, '_', '-');
    sub->footer(examples_of(command.route, name + path));
    sub->final_callback([&chosen, &command] { chosen = &command; });
    if (id == "backups.create")  // what everybody types
      app.add_subcommand("backup", "The same as `holdfast backups create`")
          ->footer(example("holdfast backup"))
          ->final_callback([&chosen, &command] { chosen = &command; });
  }
}
}  // namespace holdfast::app
