// Words that people type: the one that was meant by a mistyped one, and how help shows a command.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace holdfast::app {

/// The known word that is at most two letters away (added, dropped or changed); empty: none is.
std::string nearest(std::string_view word, std::span<const std::string> known);

/// `Example, TITLE:` and below it the line to type. Its words in upper case are to be replaced.
std::string example(std::string_view line, std::string_view title = {});

}  // namespace holdfast::app
