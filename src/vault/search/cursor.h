// Where a page of a search ended, sealed, so that it says nothing to whoever holds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/caller.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/key_set.h"
#include "vault/search/messages.h"

namespace holdfast::vault {

struct Cursor {
  RecordId record;
  Secret key;  // of the sort; empty without
};

/// Binds a cursor to its search: caller, purpose, values, filters and sort.
crypto::Digest search_fingerprint(const crypto::KeySet& keys, const Caller& caller,
                                  const SearchRecords& request);

/// base64url of the sealed place (KeyUse::cursor).
std::string write_cursor(const crypto::KeySet& keys, const crypto::Digest& search,
                         const Cursor& cursor);
/// Errors: invalid (of another search or caller, damaged, under a key that is gone).
Result<Cursor> read_cursor(const crypto::KeySet& keys, const crypto::Digest& search,
                           std::string_view text);

}  // namespace holdfast::vault
