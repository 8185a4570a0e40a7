// What every room of the vault works with. Everything here outlives the rooms (see app/wiring).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "crypto/key_set.h"
#include "journal/journal.h"
#include "vault/ports.h"
#include "vault/schema.h"
#include "vault/store.h"
#include "vault/tries_under_way.h"

namespace holdfast::vault {

struct Engaged;  // engagement.h

struct Context {
  journal::Journal& journal;
  Store& store;
  SchemaCache& schemas;
  const crypto::HeldKeys& keys;
  const Permits& permits;
  const Clock& clock;
  std::string calling_code{};  // of phones, where a collection names none
  // Shared, because every room has a copy of this.
  std::shared_ptr<TriesUnderWay> tries = std::make_shared<TriesUnderWay>();
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
/// The customer whom a reference names, in a row that Holdfast wrote: of one that was merged away,
/// the one that it went into. Cost: one read, two for an alias.
/// Errors: corrupt (the row was changed past the server), unavailable.
Task<Result<std::optional<Subject>>> subject_of(const Context& context, const crypto::KeySet& keys,
                                                SubjectRef ref, MonoTime deadline);
/// The same of many external ids by their terms (at most 20,000); those of nobody are left out.
/// Gives way every 256 rows.
Task<Result<std::map<Bytes, Subject>>> subjects_of(const Context& context,
                                                   const crypto::KeySet& keys,
                                                   std::vector<Bytes> terms, MonoTime deadline);
/// The same of many ids (at most 20,000), by the id that was asked for.
Task<Result<std::map<SubjectId, Subject>>> subjects_of(const Context& context,
                                                       const crypto::KeySet& keys,
                                                       std::vector<SubjectId> ids,
                                                       MonoTime deadline);
/// As subject_of. Errors: not_found, invalid, corrupt, unavailable.
Task<Result<Subject>> find_subject(const Context& context, const crypto::KeySet& keys,
                                   std::string_view ref, MonoTime deadline);

/// `If-Match: "3"` or a version member; nullopt when neither was given. Errors: invalid.
Result<std::optional<std::int64_t>> expected_version(std::string_view if_match,
                                                     std::optional<std::int64_t> version);

/// A customer's own data under self_service, and what they decide about it: whose it is when
/// `customer:` is behind the call, nobody (an id of no customer) when the shop does not know them,
/// nothing when no customer is. Errors: corrupt, unavailable.
Task<Result<std::optional<SubjectId>>> own_subject(const Context& context,
                                                   const crypto::KeySet& keys, Caller caller);

/// The caller with `on_behalf_of` set. A customer behind the call is held to themselves: for
/// anybody else it is forbidden, and recorded under `activity`, a literal. Errors also: invalid.
Task<Result<Caller>> acting_for_own(const Context& context, const crypto::KeySet& keys,
                                    Caller caller, std::string_view activity, SubjectId subject,
                                    std::optional<std::string> on_behalf_of);
/// Records that something about a customer was refused, and gives the error.
Task<Error> refused_for(const Context& context, Caller caller, std::string_view activity,
                        SubjectId subject, Error error);

/// Nothing while the customer's data may be changed. Errors: conflict while restricted (art. 18);
/// corrupt.
Result<void> changeable(const crypto::KeySet& keys, const Subject& subject);

/// True when a value is past its keep time: gone for everyone, swept or not. Never of one that
/// counts from the end of an engagement: that goes with the sweep.
bool expired(const Field& field, const Record& record, Time now);

/// The highest view a caller has of a field for a purpose: what access control grants, narrowed by
/// the purposes that the field itself names.
View view_of_field(const Context& context, const Caller& caller, std::string_view operation,
                   const Collection& collection, const Field& field, std::string_view purpose);
/// The same with what showing it brings with it. `engaged` may be nullptr.
Permitted permitted_field(const Context& context, const Caller& caller, std::string_view operation,
                          const Collection& collection, const Field& field,
                          std::string_view purpose, const Engaged* engaged);

}  // namespace holdfast::vault
