#include "app/toml_text.h"

#include <toml++/toml.h>
#include <sstream>

namespace holdfast::app {

Result<std::string> json_of_toml(std::string_view text) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error&) {
    return Error(Code::invalid,
                 "this is not valid TOML: often a name stands twice, or a quote is missing");
  }
  std::ostringstream out;
  out << toml::json_formatter{table};
  return out.str();
}

}  // namespace holdfast::app
