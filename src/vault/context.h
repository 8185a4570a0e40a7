// What every room of the vault works with. Everything here outlives the rooms (see app/wiring).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "crypto/key_set.h"
#include "journal/journal.h"
#include "vault/ports.h"
#include "vault/schema.h"
#include "vault/store.h"

namespace holdfast::vault {

struct Context {
  journal::Journal& journal;
  Store& store;
  SchemaCache& schemas;
  const crypto::HeldKeys& keys;
  const Permits& permits;
  const Clock& clock;
  std::string calling_code{};  // of phones, where a collection names none
};

/// The keys and the schema that one request works under.
struct Working {
  std::shared_ptr<const crypto::KeySet> keys;
  std::shared_ptr<const Schema> schema;
  Time now;
};
/// Errors: locked, corrupt, unavailable.
Task<Result<Working>> begin(const Context& context, const Caller& caller);

/// A reference to a customer as it is written in requests: `sub_...` or `ext:4711`.
struct SubjectRef {
  std::optional<SubjectId> id;
  std::string external;  // without `ext:`; at most 256 bytes
};
/// Errors: invalid.
Result<SubjectRef> parse_subject_ref(std::string_view text);
/// Errors: not_found, gone (erased).
Task<Result<Subject>> find_subject(const Context& context, const crypto::KeySet& keys,
                                   std::string_view ref, MonoTime deadline);

/// `If-Match: "3"` or a version member; nullopt when neither was given. Errors: invalid.
Result<std::optional<std::int64_t>> expected_version(std::string_view if_match,
                                                     std::optional<std::int64_t> version);

/// True when a value is past its keep time: gone for everyone, swept or not.
bool expired(const Field& field, const Record& record, Time now);

/// The highest view a caller has of a field for a purpose: what access control grants, narrowed by
/// the purposes that the field itself names.
View view_of_field(const Context& context, const Caller& caller, std::string_view operation,
                   const Collection& collection, const Field& field, std::string_view purpose);

}  // namespace holdfast::vault
