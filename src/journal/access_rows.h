// The rows of the index of who saw whom: fixed width, compared as bytes, so that runs of them can
// be sorted, searched and merged without knowing more. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "crypto/hash.h"
#include "journal/log.h"

namespace holdfast::journal {

/// The number is in scratch.
enum class RowKind : std::uint8_t { subject = 1, actor = 2 };

/// subject (16) | seq (8) | 1 when the event opened sealed values (1): sorted by the first 24.
inline constexpr std::size_t kSubjectRow = 25, kSubjectKey = 24;
/// actor (16) | subject (16) | first seq (8) | last seq (8) | count (8): sorted by the first 32,
/// and rows that are equal in them are one.
inline constexpr std::size_t kActorRow = 56, kActorKey = 32;

using SubjectKey = std::array<std::uint8_t, kSubjectKey>;
using ActorKey = std::array<std::uint8_t, kActorKey>;
using ActorName = std::array<std::uint8_t, 16>;

constexpr std::size_t row_bytes(RowKind kind) {
  return kind == RowKind::subject ? kSubjectRow : kActorRow;
}
constexpr std::size_t key_bytes(RowKind kind) {
  return kind == RowKind::subject ? kSubjectKey : kActorKey;
}

SubjectKey subject_key(const SubjectId& subject, std::int64_t seq);
/// SHA-256 of the actor's text, cut off.
ActorName actor_name(std::string_view actor);
ActorKey actor_key(const ActorName& actor, const SubjectId& subject);

struct SubjectRow {
  SubjectId subject;
  std::int64_t seq;
  bool opened;
};
/// What one actor saw of one subject.
struct Seen {
  std::int64_t first, last, count;
};
using SeenSubjects = std::unordered_map<SubjectId, Seen>;

SubjectRow subject_row(BytesView row);
Seen seen_in(BytesView row);
void put_row(Bytes& out, const SubjectRow& row);
void put_row(Bytes& out, const ActorKey& key, const Seen& seen);
/// Makes one of two rows of the same actor and subject.
Seen joined(const Seen& a, const Seen& b);
void join(SeenSubjects& into, const SubjectId& subject, const Seen& seen);

struct ActorNameHash {
  std::size_t operator()(const ActorName& name) const {
    std::size_t out;  // of a hash any part will do
    std::memcpy(&out, name.data(), sizeof out);
    return out;
  }
};

/// The rows of some consecutive entries.
struct AccessRows {
  std::vector<SubjectRow> subjects;
  std::unordered_map<ActorName, SeenSubjects, ActorNameHash> actors;

  std::size_t size() const { return subjects.size(); }
  void add(AccessRows other);
  /// As they go into a run.
  Bytes sorted_subjects() const;
  Bytes sorted_actors() const;
};
/// One actor's part of such rows.
Bytes sorted_actor(const ActorName& actor, const SeenSubjects& seen);

/// An entry with the leaves beside it, when it is a batch.
struct EntryWithLeaves {
  Stored stored;
  std::vector<Bytes> leaves;
};
/// Whether the entry may have leaves, which must then be read too.
bool wants_leaves(std::string_view entry);
/// A row per entry and subject. Entries are taken as they are, leaves only when they are those of
/// the entry's root. Cost: about 1 µs an entry, and two SHA-256 a leaf. Errors: corrupt.
Result<AccessRows> access_rows(std::span<const EntryWithLeaves> entries);

}  // namespace holdfast::journal
