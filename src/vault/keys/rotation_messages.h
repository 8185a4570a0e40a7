// What is asked and answered about rotations.
#pragma once

#include "base/described.h"
#include "vault/rotations.h"

namespace holdfast::vault {

struct RotateKeys {
  KeyKind kind{};
  bool at_once = false;
  static std::span<const Member> described();
};
struct RollEpoch {
  static std::span<const Member> described() { return {}; }
};
struct ProgressRequest {
  std::optional<RotationId> rotation;
  static std::span<const Member> described();
};
struct RotationView {
  RotationId rotation;
  KeyKind kind{};
  std::int64_t from = 0, to = 0;
  RotationPhase phase{};
  bool at_once = false;
  std::string doing;
  std::int64_t looked = 0, moved = 0, total = 0, refused = 0;
  std::vector<std::string> refused_rows;
  std::optional<std::int64_t> rows_per_second;
  std::optional<Time> ready_about;
  Time started{};
  std::optional<Time> moved_at, destroyed_from, finished;
  std::optional<std::string> proof;
  static std::span<const Member> described();
};
struct RotationList {
  std::vector<RotationView> rotations;
  static std::span<const Member> described();
};

RotationView view_of(const Rotation& rotation);

}  // namespace holdfast::vault
