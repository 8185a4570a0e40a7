// Ready-made imports: which columns of a shop's export go into which fields, and the collections
// that hold them. The columns stand in docs/import.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vault/import/shape.h"
#include "vault/types.h"

namespace holdfast::vault {

enum class Preset : std::uint8_t { shopify, magento, woocommerce, vendure, medusa };
std::span<const std::string_view> enum_names(Preset);

enum class ImportFormat : std::uint8_t { csv, json_lines };
std::span<const std::string_view> enum_names(ImportFormat);

ImportFormat format_of(Preset preset);

/// The files that the preset reads; which one it is tells the header.
std::vector<Shape> shapes_of(Preset preset);

/// What to tell someone whose file has none of these shapes: the header that was expected.
Literal expected_header(Preset preset);

/// The collections that the preset fills, with exactly the fields that it can fill, ready for
/// declare(): `customers` and `addresses`.
std::vector<CollectionSpec> collections_of(Preset preset);

}  // namespace holdfast::vault
