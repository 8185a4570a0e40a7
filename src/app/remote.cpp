#include "app/remote.h"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/remote_request.h"
#include "base/json.h"
#include "http/client.h"

namespace holdfast::app {
namespace {

/// An environment variable, or the built-in value.
std::string environment(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return text && *text ? text : otherwise;
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
      std::error_code none;
      if (std::filesystem::is_directory(name, none)) {
        std::cerr << "holdfast: this is a folder and no file: " << name << '\n';
        return false;
      }
      file.open(name, std::ios::binary);
      if (!file) {
        std::cerr << "holdfast: the file cannot be opened: " << name << '\n';
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
  std::string path = "standard output";
  std::ostream* out = &std::cout;

  bool take(const RemoteCommand& command, http::ClientRequest& request) {
    const auto& name = command.output;
    if (!name.empty() && name != "-" && name != "/dev/stdout") {
      const bool endless = command.route.kind == http::RouteKind::events;
      path = name;
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
    std::cerr << "holdfast: the output cannot be written: " << path << '\n';
    return false;
  }
};

/// Whether an import brought nothing in: it failed, or what was refused is all there was.
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
  return number("refused") > 0 &&
         number("customers") + number("created") + number("updated") + number("unchanged") == 0;
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
  if (command.report == "-") {
    std::cerr << "holdfast: --report takes the name of a file\n";
    return kUsage;
  }
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
    std::cerr << "holdfast: nothing of this file went in: the answer says why, line by line\n";
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
  if (!output.keep()) return kFailed;
  if (command.route.kind != http::RouteKind::events) return kDone;
  std::cerr << "holdfast: the server ended the stream: go on with --after and the last `id`\n";
  return kUnavailable;
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
}  // namespace

int run_remote(const RemoteCommand& command) {
  if (is_read_too(command, command.output) || is_read_too(command, command.report))
    return print_error(
        Error(Code::invalid, "--output and --report take another file than the one that is read"));
  auto built = request_of(command);
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
