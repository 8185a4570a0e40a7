#include "journal/access_rows.h"

#include <algorithm>

#include "journal/entry.h"
#include "journal/scan.h"

namespace holdfast::journal {
namespace {

void put(std::uint8_t* to, std::int64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) to[i] = static_cast<std::uint8_t>(value);
}

std::int64_t get(const std::uint8_t* from) {
  std::uint64_t out = 0;
  for (int i = 0; i < 8; ++i) out = out << 8 | from[i];
  return static_cast<std::int64_t>(out);
}

Error damaged() {
  return {Code::corrupt,
          "an entry of the journal is damaged; `holdfast journal verify` says which"};
}

/// Who is behind an entry: the person and, when it acted for one, the key.
struct Actors {
  std::array<ActorName, 2> names;
  std::size_t count = 0;

  explicit Actors(const EntryView& entry) {
    names[count++] = actor_name(entry.actor);
    if (entry.principal != entry.actor) names[count++] = actor_name(entry.principal);
  }
};

void add_touch(AccessRows& out, const Actors& actors, const SubjectId& subject, std::int64_t seq,
               bool opened) {
  out.subjects.push_back({subject, seq, opened});
  if (!opened) return;
  for (std::size_t i = 0; i < actors.count; ++i)
    join(out.actors[actors.names[i]], subject, {seq, seq, 1});
}

}  // namespace

SubjectKey subject_key(const SubjectId& subject, std::int64_t seq) {
  SubjectKey out;
  std::ranges::copy(subject.uuid, out.begin());
  put(out.data() + 16, seq);
  return out;
}

ActorName actor_name(std::string_view actor) {
  auto hash = crypto::sha256(as_bytes(actor));
  ActorName out;
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

ActorKey actor_key(const ActorName& actor, const SubjectId& subject) {
  ActorKey out;
  std::ranges::copy(actor, out.begin());
  std::ranges::copy(subject.uuid, out.begin() + 16);
  return out;
}

SubjectRow subject_row(BytesView row) {
  return {*SubjectId::from(row.first(16)), get(row.data() + 16), row[24] != 0};
}

Seen seen_in(BytesView row) {
  return {get(row.data() + 32), get(row.data() + 40), get(row.data() + 48)};
}

void put_row(Bytes& out, const SubjectRow& row) {
  auto key = subject_key(row.subject, row.seq);
  out.insert(out.end(), key.begin(), key.end());
  out.push_back(row.opened);
}

void put_row(Bytes& out, const ActorKey& key, const Seen& seen) {
  out.insert(out.end(), key.begin(), key.end());
  std::array<std::uint8_t, 24> numbers;
  put(numbers.data(), seen.first);
  put(numbers.data() + 8, seen.last);
  put(numbers.data() + 16, seen.count);
  out.insert(out.end(), numbers.begin(), numbers.end());
}

Seen joined(const Seen& a, const Seen& b) {
  return {std::min(a.first, b.first), std::max(a.last, b.last), a.count + b.count};
}

void join(SeenSubjects& into, const SubjectId& subject, const Seen& seen) {
  auto [at, fresh] = into.try_emplace(subject, seen);
  if (!fresh) at->second = joined(at->second, seen);
}

void AccessRows::add(AccessRows other) {
  subjects.insert(subjects.end(), other.subjects.begin(), other.subjects.end());
  for (const auto& [actor, subjects_seen] : other.actors) {
    auto& mine = actors[actor];
    for (const auto& [subject, seen] : subjects_seen) join(mine, subject, seen);
  }
}

Bytes AccessRows::sorted_subjects() const {
  auto order = subjects;
  std::ranges::sort(order, [](const SubjectRow& a, const SubjectRow& b) {
    return std::tie(a.subject, a.seq) < std::tie(b.subject, b.seq);
  });
  Bytes out;
  out.reserve(order.size() * kSubjectRow);
  for (const auto& row : order) put_row(out, row);
  return out;
}

Bytes AccessRows::sorted_actors() const {
  std::vector<std::pair<ActorName, const SeenSubjects*>> order;
  for (const auto& [actor, seen] : actors) order.emplace_back(actor, &seen);
  std::ranges::sort(order);
  Bytes out;
  for (const auto& [actor, seen] : order) {
    auto rows = sorted_actor(actor, *seen);
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

Bytes sorted_actor(const ActorName& actor, const SeenSubjects& seen) {
  std::vector<std::pair<SubjectId, Seen>> order(seen.begin(), seen.end());
  std::ranges::sort(order, {}, &std::pair<SubjectId, Seen>::first);
  Bytes out;
  out.reserve(order.size() * kActorRow);
  for (const auto& [subject, row] : order) put_row(out, actor_key(actor, subject), row);
  return out;
}

bool wants_leaves(std::string_view entry) {
  return entry.contains(R"("root":")");
}

Result<AccessRows> access_rows(std::span<const EntryWithLeaves> entries) {
  AccessRows out;
  for (const auto& [stored, leaves] : entries) {
    // A quick look first: most entries of some stores touch nobody.
    if (!wants_leaves(stored.entry) && !stored.entry.contains(R"("subject":")")) continue;
    auto entry = scan_entry(stored.entry);
    if (!entry) return damaged();
    if (entry->root.empty() && entry->subject.empty()) continue;
    Actors actors(*entry);
    if (entry->root.empty()) {
      auto subject = SubjectId::parse(entry->subject);
      if (!subject) return damaged();
      add_touch(out, actors, *subject, stored.seq, entry->opened);
      continue;
    }
    // The tree vouches for the entry, and only its root for the leaves beside it.
    if (static_cast<std::int64_t>(leaves.size()) != entry->touched ||
        base64url(leaves_root(leaves)) != entry->root)
      return damaged();
    std::vector<std::pair<SubjectId, bool>> subjects;  // whether nothing of theirs was opened
    for (const auto& leaf : leaves) {
      auto touch = decode_leaf(leaf);
      if (!touch) return damaged();
      if (touch->subject) subjects.emplace_back(*touch->subject, touch->unopened || !entry->opened);
    }
    std::ranges::sort(subjects);
    auto twice = std::ranges::unique(subjects, {}, &std::pair<SubjectId, bool>::first);
    subjects.erase(twice.begin(), twice.end());  // the opened one of each stands first
    for (const auto& [subject, unopened] : subjects)
      add_touch(out, actors, subject, stored.seq, !unopened);
  }
  return out;
}

}  // namespace holdfast::journal
