// A line of the server's own log: an event and its facts, as one JSON object.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::app {

/// Facts are counts, ids and literals, never personal data.
std::string said(std::string_view what,
                 std::initializer_list<std::pair<std::string_view, std::string_view>> facts);

}  // namespace holdfast::app
