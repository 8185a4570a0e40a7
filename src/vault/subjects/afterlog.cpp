#include "vault/subjects/afterlog.h"

#include <algorithm>

namespace holdfast::vault {
namespace {

constexpr std::size_t kId = 16;

std::optional<SubjectId> read_id(ByteReader& reader) {
  auto bytes = reader.take(kId);
  return bytes ? SubjectId::from(*bytes) : std::nullopt;
}

std::optional<std::int64_t> read_version(ByteReader& reader) {
  auto version = reader.u64();
  if (!version || *version > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(*version);
}

}  // namespace

Bytes erased_line(const ErasedLine& line) {
  Bytes out = to_bytes(line.subject.bytes());
  put_u64(out, static_cast<std::uint64_t>(line.version));
  for (const auto& group : line.groups) put_part(out, group);
  return out;
}

std::optional<ErasedLine> read_erased_before_0_1(BytesView bytes) {
  // The version came to less than 2^32, and no group's name is empty.
  constexpr std::size_t kHalf = 4;
  ByteReader reader(bytes);
  auto id = reader.take(kId);
  auto first = reader.take(kHalf);
  if (!id || !first) return std::nullopt;
  if (std::ranges::all_of(*first, [](auto byte) { return byte == 0; }))
    return read_erased_line(bytes);
  Bytes versioned = to_bytes(*id);
  put_u64(versioned, 0);
  versioned.insert(versioned.end(), bytes.begin() + kId, bytes.end());
  return read_erased_line(versioned);
}

std::optional<ErasedLine> read_erased_line(BytesView bytes) {
  ByteReader reader(bytes);
  auto id = read_id(reader);
  auto version = read_version(reader);
  if (!id || !version) return std::nullopt;
  ErasedLine out{*id, *version, {}};
  while (!reader.rest().empty()) {
    auto group = reader.part();
    if (!group) return std::nullopt;
    out.groups.emplace_back(as_text(*group));
  }
  return out;
}

Bytes merged_line(SubjectId from, SubjectId into) {
  Bytes out = to_bytes(from.bytes());
  out.insert(out.end(), into.uuid.begin(), into.uuid.end());
  return out;
}

std::optional<MergedLine> read_merged_line(BytesView bytes) {
  ByteReader reader(bytes);
  auto from = read_id(reader);
  auto into = read_id(reader);
  if (!from || !into || !reader.done()) return std::nullopt;
  return MergedLine{*from, *into};
}

Bytes standing_line(const Subject& subject) {
  Bytes out = to_bytes(subject.id.bytes());
  put_u64(out, static_cast<std::uint64_t>(subject.version));
  out.insert(out.end(), subject.standing.begin(), subject.standing.end());
  return out;
}

std::optional<StandingLine> read_standing_line(BytesView bytes) {
  ByteReader reader(bytes);
  auto id = read_id(reader);
  auto version = read_version(reader);
  if (!id || !version) return std::nullopt;
  auto standing = decode_standing(reader.rest());
  if (!standing) return std::nullopt;
  return StandingLine{*id, *version, std::move(*standing)};
}

}  // namespace holdfast::vault
