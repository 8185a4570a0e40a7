// Answers as people and programs read them: tables on a terminal, JSON lines in a pipe.
#pragma once

#include <string>
#include <string_view>

#include "base/described.h"
#include "base/result.h"

namespace holdfast::app {

/// One JSON object per line in a pipe (the rows of a list by themselves); on a terminal a table of
/// the list, or `name: value` lines. `json`: the answer as it came.
void print_answer(const Type* type, std::string_view body, bool json);
/// A problem document (RFC 9457) as sentences on standard error.
void print_problem(std::string_view body, int status);
/// An error of this side; gives the exit code.
int print_error(const Error& error);
/// Refused rows of an import report as CSV.
void write_report(std::string_view body, const std::string& file);

}  // namespace holdfast::app
