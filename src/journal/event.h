// What is recorded. An entry is an OCSF event (schema 1.3) in canonical JSON (RFC 8785), at most
// 65,535 bytes, and holds no personal data: ids, names of fields and purposes, outcomes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/caller.h"
#include "base/id.h"
#include "crypto/hash.h"

namespace holdfast::journal {

enum class Outcome : std::uint8_t { success, refused, failed };

/// What an event did to one row, or which row of whom it opened.
struct Touch {
  /// Whose data; unset for rows of nobody (collections, keys).
  std::optional<SubjectId> subject{};
  /// The table's short name and the row's key: ("records", id bytes), ("collections", name).
  std::string_view kind{};
  Bytes row{};
  /// Keyed digest of the row as this event left it; all zero when the event removed it; unset
  /// when the row was only looked at. `journal verify --state` compares the last one with the row.
  std::optional<crypto::Digest> left{};
  /// Set by rotations, which write a row anew without meaning to change it: the digest of the row
  /// as it was found. Where that is not what the event before left, somebody had changed the row,
  /// and `journal verify --state` still says so.
  std::optional<crypto::Digest> was{};
  /// Of several rows in an event that opened something: nothing of this one was opened. It is
  /// nobody's access.
  bool unopened = false;
};

struct Event {
  /// The operation: "records.reveal". A literal.
  std::string_view activity;
  Outcome outcome = Outcome::success;
  /// Literal code of a refusal or failure, such as "forbidden".
  std::string_view reason{};
  /// Whether sealed values were opened: who saw whom is derived from these.
  bool opened = false;
  /// Somebody must look at this now: severity critical.
  bool alarm = false;
  std::string purpose{};
  std::string collection{};
  std::vector<std::string> fields{};
  /// One goes into the entry itself; of several the entry holds the count and the Merkle root over
  /// their salted leaves, which are stored beside it in the same commit.
  std::vector<Touch> touches{};
  /// Further plain facts: counts, versions, names of things that are nobody's. Keys are literals.
  std::vector<std::pair<std::string_view, std::variant<std::int64_t, std::string>>> facts{};
  /// Free text a person wrote (a reason): personal, goes sealed into the side table; the entry
  /// holds a salted commitment to it.
  std::string note{};
};

/// What a commit gives back.
struct Receipt {
  EventId event;
  Time at;
};

}  // namespace holdfast::journal
