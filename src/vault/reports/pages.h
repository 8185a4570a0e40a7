// Reports as text for people: HTML and CSV. Pure.
#pragma once

#include <string>

#include "vault/reports/messages.h"

namespace holdfast::vault {

/// A page of its own, without scripts or anything from elsewhere.
std::string art30_html(const Art30Record& record);
/// RFC 4180, a row for each field. Cells that a spreadsheet would take for a formula get a `'`.
std::string data_map_csv(const DataMap& map);

}  // namespace holdfast::vault
