#include "http/problem.h"

#include "base/json.h"

namespace holdfast::http {
namespace {

struct Words {
  int status;
  std::string_view title;
};

Words words_of(Code code) {
  switch (code) {
    case Code::invalid: return {400, "The request is not valid"};
    case Code::too_large: return {413, "Over a limit"};
    case Code::unauthenticated: return {401, "No valid key"};
    case Code::forbidden: return {403, "Not allowed"};
    case Code::not_found: return {404, "Not found"};
    case Code::conflict: return {409, "In conflict with what is there"};
    case Code::gone: return {410, "No longer there"};
    case Code::exhausted: return {429, "A budget or rate is spent"};
    case Code::corrupt: return {500, "Stored data does not authenticate"};
    case Code::locked: return {503, "The server is locked"};
    case Code::unavailable: return {503, "Not available now"};
    case Code::stale: return {503, "Rights changed meanwhile"};
    case Code::internal: return {500, "An error inside the server"};
  }
  return {500, "An error inside the server"};
}

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
  auto words = words_of(error.code);
  return {words.status, code_name(error.code), words.title, error.text, error.field, error.also};
}

Problem problem_of(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return {400, "bad_request", "Not a valid HTTP request", "the request does not follow RFC 9112"};
    case Fault::bad_target:
      return {400, "bad_target", "Not a valid request target",
              "the path or query is not valid, or is written in an ambiguous way"};
    case Fault::bad_host:
      return {400, "bad_host", "Not a valid host", "one valid Host header is needed"};
    case Fault::not_found: return {404, "not_found", "Not found", "there is nothing at this path"};
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
      return {505, "bad_version", "HTTP version not supported", "use HTTP/1.1"};
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
  add(out, "request_id", request_id);
  out += '}';
  return out;
}

std::string_view problem_headers(int status) {
  switch (status) {
    case 401: return "WWW-Authenticate: Bearer\r\n";
    case 429: return "Retry-After: 60\r\n";
    case 503: return "Retry-After: 2\r\n";
    default: return {};
  }
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

}  // namespace holdfast::http
