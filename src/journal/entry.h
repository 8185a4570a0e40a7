// The bytes of an entry and of the leaves beside it. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/hash.h"
#include "journal/event.h"

namespace holdfast::journal {

/// C2SP tlog-tiles: an entry's length is written in 16 bits.
inline constexpr std::size_t kLongestEntry = 65'535;

std::span<const std::string_view> enum_names(Outcome);

/// What the journal adds to an event when it is written.
struct Stamp {
  EventId id;
  Time at;
  std::string principal;  // the key
  std::string person;     // keyed pseudonym `per_...` of who the key acted for, or empty
  std::string request_id;
  std::optional<crypto::Digest> context;  // commitment to address, user agent and person
  std::optional<crypto::Digest> note;     // commitment to the free text
};

/// One leaf: salt (16), flags, subject (16 or none), kind, row, digest (32 or none), the digest
/// before it (32 or none).
Bytes encode_leaf(const Touch& touch);
/// The leaves of a batch, length-prefixed, as stored beside the entry.
Bytes join_leaves(std::span<const Bytes> leaves);
Result<std::vector<Bytes>> split_leaves(BytesView stored);
/// `kind` of the result views into the leaf.
Result<Touch> decode_leaf(BytesView leaf);
crypto::Digest leaves_root(std::span<const Bytes> leaves);

/// OCSF API Activity (class 6003) in canonical JSON. With more than one touch the entry holds
/// their count and root; with one, the touch itself.
/// Errors: too_large when it does not fit (an event with too many or long facts is a bug).
Result<std::string> encode_entry(const Event& event, const Stamp& stamp,
                                 const std::optional<crypto::Digest>& root);

/// What is read back from an entry.
struct Entry {
  std::string id, operation, principal, actor, request_id, outcome, reason, purpose, collection;
  Time at{};
  bool opened = false;
  std::vector<std::string> fields;
  std::vector<Touch> touches;  // zero or one; its kind is in kind_text
  std::string kind_text;
  std::int64_t touched = 0;  // how many, also when they are leaves
  std::optional<crypto::Digest> root;
  std::optional<crypto::Digest> context, note;  // commitments to what is in the side table
};
/// Errors: corrupt.
Result<Entry> decode_entry(std::string_view json);

}  // namespace holdfast::journal
