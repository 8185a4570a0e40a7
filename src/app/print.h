// Answers as people and programs read them: tables on a terminal, JSON lines in a pipe.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "base/described.h"
#include "base/result.h"

namespace holdfast::app {

/// One JSON object per line in a pipe (the rows of a list by themselves); on a terminal a table of
/// the list, or `name: value` lines. `json`: the answer as it came.
void print_answer(const Type* type, std::string_view body, bool json);
/// On standard error, where the answer says that there is more: `more: --after CURSOR`.
void print_more(std::string_view body);
/// A problem document (RFC 9457) as sentences on standard error.
void print_problem(std::string_view body, int status);
/// An error of this side; gives the exit code.
int print_error(const Error& error);
/// Opens a file for answers, empty and for its owner alone (0600). Devices and pipes stay as they
/// are. False: it cannot be written.
bool open_private(std::ofstream& out, const std::string& file);
/// Refused rows of an import report as CSV. False: it could not be written.
bool write_report(std::string_view body, std::ostream& out);

}  // namespace holdfast::app
