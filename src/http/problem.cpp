#include "http/problem.h"

#include <algorithm>
#include <iterator>

#include "base/json.h"

namespace holdfast::http {
namespace {

struct Words {
  int status;
  std::string_view title;
};

/// By code, in the order of the enum.
constexpr Words kWords[] = {{400, "The request is not valid"},
                            {413, "Over a limit"},
                            {401, "No valid key"},
                            {403, "Not allowed"},
                            {404, "Not found"},
                            {409, "In conflict with what is there"},
                            {410, "No longer there"},
                            {429, "A budget or rate is spent"},
                            {500, "Stored data does not authenticate"},
                            {503, "The server is locked"},
                            {503, "Not available now"},
                            {503, "Rights changed meanwhile"},
                            {500, "An error inside the server"}};
static_assert(std::size(kWords) == static_cast<std::size_t>(Code::internal) + 1);

constexpr Words kPhrases[] = {{200, "OK"},
                              {201, "Created"},
                              {202, "Accepted"},
                              {204, "No Content"},
                              {400, "Bad Request"},
                              {401, "Unauthorized"},
                              {403, "Forbidden"},
                              {404, "Not Found"},
                              {405, "Method Not Allowed"},
                              {408, "Request Timeout"},
                              {409, "Conflict"},
                              {410, "Gone"},
                              {413, "Content Too Large"},
                              {414, "URI Too Long"},
                              {415, "Unsupported Media Type"},
                              {417, "Expectation Failed"},
                              {429, "Too Many Requests"},
                              {431, "Request Header Fields Too Large"},
                              {500, "Internal Server Error"},
                              {501, "Not Implemented"},
                              {503, "Service Unavailable"},
                              {505, "HTTP Version Not Supported"}};

void add(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string(out, value);
}

void add_violation(std::string& out, std::string_view code, std::string_view detail,
                   const FieldPath& field) {
  out += out.back() == '[' ? "{\"code\":" : ",{\"code\":";
  append_json_string(out, code);
  if (!field.empty()) add(out, "field", field.text());
  add(out, "detail", detail);
  out += '}';
}

}  // namespace

Problem problem_of(const Error& error) {
  auto words = kWords[static_cast<std::size_t>(error.code)];
  return {words.status, code_name(error.code), words.title, error.text, error.field,
          error.also,   error.free_at};
}

Problem problem_of(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return {400, "bad_request", "Not a valid HTTP request",
              "the request does not follow RFC 9112"};
    case Fault::bad_target:
      return {400, "bad_target", "Not a valid request target",
              "the path or query is not valid, or is written in an ambiguous way"};
    case Fault::bad_host:
      return {400, "bad_host", "Not a valid host", "one valid Host header is needed"};
    case Fault::not_found:
      return {404, "not_found", "Not found", "there is nothing at this path"};
    case Fault::method_not_allowed:
      return {405, "method_not_allowed", "Method not allowed", "see the Allow header"};
    case Fault::timeout:
      return {408, "timeout", "Too slow", "the request did not arrive in time"};
    case Fault::body_too_large:
      return {413, "too_large", "Over a limit", "the body is larger than this operation takes"};
    case Fault::target_too_long:
      return {414, "target_too_long", "Over a limit", "path and query are too long"};
    case Fault::bad_media_type:
      return {415, "bad_media_type", "Media type not supported",
              "send the body as application/json"};
    case Fault::bad_expectation:
      return {417, "bad_expectation", "Expectation not supported", "only 100-continue is known"};
    case Fault::header_too_large:
      return {431, "header_too_large", "Over a limit", "the header fields are too large"};
    case Fault::unknown_coding:
      return {501, "unknown_coding", "Transfer coding not supported", "only chunked is known"};
    case Fault::bad_version:
      return {505, "bad_version", "HTTP version not supported",
              "use HTTP/1.1; a proxy may need to be told to (nginx: proxy_http_version 1.1)"};
    case Fault::overloaded:
      return {503, "exhausted", "Too busy for a large request",
              "other large requests take all room for bodies: try again, or send less at once"};
  }
  return {500, "internal", "An error inside the server", ""};
}

std::string problem_json(const Problem& problem, std::string_view request_id) {
  std::string out = R"({"type":"urn:holdfast:problem:)";
  out += problem.code;
  out += '"';
  add(out, "title", problem.title);
  out += ",\"status\":" + std::to_string(problem.status);
  add(out, "detail", problem.detail);
  add(out, "code", problem.code);
  if (!problem.field.empty()) add(out, "field", problem.field.text());
  if (!problem.also.empty()) {
    out += ",\"errors\":[";
    add_violation(out, problem.code, problem.detail, problem.field);
    for (const auto& error : problem.also)
      add_violation(out, code_name(error.code), error.text, error.field);
    out += ']';
  }
  if (problem.free_at) add(out, "free_at", rfc3339(*problem.free_at));
  add(out, "request_id", request_id);
  out += '}';
  return out;
}

std::string_view problem_headers(int status) {
  switch (status) {
    case 401:
      return "WWW-Authenticate: Bearer\r\n";
    case 429:
      return "Retry-After: 60\r\n";
    case 503:
      return "Retry-After: 2\r\n";
    default:
      return {};
  }
}

std::string problem_headers(const Problem& problem, Time now) {
  if (!problem.free_at) return std::string(problem_headers(problem.status));
  const auto left = std::chrono::ceil<std::chrono::seconds>(*problem.free_at - now).count();
  const auto seconds = std::to_string(std::max<std::int64_t>(left, 1));
  // draft-ietf-httpapi-ratelimit-headers: nothing remains, and when some will again.
  return "Retry-After: " + seconds + "\r\nRateLimit: \"budget\";r=0;t=" + seconds + "\r\n";
}

std::string_view reason_phrase(int status) {
  for (const auto& row : kPhrases)
    if (row.status == status) return row.title;
  return "Unknown";
}

}  // namespace holdfast::http
