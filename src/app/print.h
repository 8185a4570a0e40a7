// Answers as people and programs read them: tables on a terminal, JSON lines in a pipe.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/described.h"
#include "base/result.h"

namespace holdfast::app {

/// One JSON object per line in a pipe (the rows of a list by themselves); on a terminal a table of
/// the list (without columns that are empty; rows one below the other where it is too wide), or
/// `name: value` lines. `json`: the answer as it came.
void print_answer(const Type* type, std::string_view body, bool json);
/// On standard error, where the answer says that there is more: `more: --after CURSOR`.
void print_more(std::string_view body);
/// A problem document (RFC 9457) as sentences on standard error.
void print_problem(std::string_view body, int status);
/// An error of this side; gives the exit code.
int print_error(const Error& error);
/// Before a key is printed: makes a file that standard output goes to its owner's alone (0600), as
/// a shell makes it for all to read. Terminals, devices and pipes stay as they are.
/// Errors: unavailable (it is somebody else's file).
Result<void> make_output_private();
/// A file for an answer, for its owner alone (0600). It is written as FILE.part, which takes FILE's
/// place in keep(): until then, and when there is no keep(), FILE stays as it was. Devices and
/// pipes are written as they are.
class PrivateFile {
 public:
  PrivateFile() = default;
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;
  ~PrivateFile();

  /// False: FILE or FILE.part cannot be written.
  bool open(const std::string& file);
  /// For what never ends: adds to FILE itself.
  bool open_to_add(const std::string& file);
  /// Closes it. False: something was not written, and FILE is as it was.
  bool keep();
  /// Whether it is written as FILE.part.
  bool replaces() const { return !part_.empty(); }

  std::ofstream out;

 private:
  std::filesystem::path file_, part_;
};
/// Refused rows of an import report as CSV. False: it could not be written.
bool write_report(std::string_view body, std::ostream& out);

}  // namespace holdfast::app
