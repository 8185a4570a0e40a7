// TOML where the API takes JSON: a schema with comments is easier to keep in a file.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::app {

/// The same document as JSON; dates and times become texts. Errors: invalid (not TOML).
Result<std::string> json_of_toml(std::string_view text);

}  // namespace holdfast::app
