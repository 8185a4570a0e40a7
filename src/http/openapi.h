// The OpenAPI 3.1 document, from the routes: nothing in it is stated anywhere else.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "http/route.h"

namespace holdfast::http {

/// The same bytes for the same routes. Throws std::logic_error when two described types share a
/// name, or a path has a `{name}` that its request lacks.
std::string openapi_document(std::span<const Route> routes, std::string_view title,
                             std::string_view version);

}  // namespace holdfast::http
