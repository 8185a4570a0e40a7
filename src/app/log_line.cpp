#include "app/log_line.h"

#include "base/json.h"

namespace holdfast::app {

std::string said(std::string_view what,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> facts) {
  std::string out = "{\"event\":";
  append_json_string(out, what);
  for (const auto& [key, value] : facts) {
    out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  }
  return out + '}';
}

}  // namespace holdfast::app
