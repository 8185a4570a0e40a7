// The one place where errors become HTTP answers: RFC 9457 problem details with a stable `code`,
// the offending `field` and the `request_id`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::http {

/// What only the protocol can get wrong.
enum class Fault {
  bad_request,
  bad_target,
  bad_host,
  timeout,
  body_too_large,
  target_too_long,
  bad_media_type,
  bad_expectation,
  header_too_large,
  not_found,
  method_not_allowed,
  unknown_coding,
  bad_version,
  overloaded,
};

struct Problem {
  int status;
  std::string_view code, title, detail;
  FieldPath field{};
  std::vector<Error> also{};
  std::optional<Time> free_at{};
};

Problem problem_of(const Error& error);
Problem problem_of(Fault fault);

/// {"type":"urn:holdfast:problem:invalid","title":...,"status":400,"code":"invalid",...}
std::string problem_json(const Problem& problem, std::string_view request_id);

/// The header lines that go with a status, each with its line end: `Retry-After`,
/// `WWW-Authenticate`.
std::string_view problem_headers(int status);
/// The same; a problem that ends at a known time says so in `Retry-After`.
std::string problem_headers(const Problem& problem, Time now);

/// "Not Found"
std::string_view reason_phrase(int status);

}  // namespace holdfast::http
