#include "vault/keys/rotation_messages.h"

namespace holdfast::vault {
namespace {

/// What a person is told of a phase.
std::string_view doing_of(RotationPhase phase) {
  switch (phase) {
    case RotationPhase::adding:
      return "putting the new key into the keyring";
    case RotationPhase::settling:
    case RotationPhase::renewed:
    case RotationPhase::clearing:
      return "waiting for requests that began before";
    case RotationPhase::renewing:
      return "making new keys for customers";
    case RotationPhase::moving:
      return "moving rows to the new key";
    case RotationPhase::checking:
    case RotationPhase::rechecking:
      return "counting what is left under the old key";
    case RotationPhase::switching:
      return "finding rows by the new key";
    case RotationPhase::cleaning:
      return "removing what is under the old key";
    case RotationPhase::waiting:
      return "nothing is under the old key; it waits for the backups that need it";
    case RotationPhase::destroying:
      return "destroying the old key";
    case RotationPhase::done:
      return "done: the old key is destroyed";
    case RotationPhase::stopped:
      return "stopped: rows do not open; the old key stays until they are put right";
  }
  return "";
}

}  // namespace

RotationView view_of(const Rotation& r) {
  return {.rotation = r.id,
          .kind = r.kind,
          .from = r.from,
          .to = r.to,
          .phase = r.phase,
          .at_once = r.at_once,
          .doing = std::string(doing_of(r.phase)),
          .looked = r.looked,
          .moved = r.moved,
          .total = r.total,
          .refused = r.refused,
          .refused_rows = r.refused_rows,
          .rows_per_second = {},
          .ready_about = {},
          .started = r.started,
          .moved_at = r.all_moved,
          .destroyed_from = r.due,
          .finished = r.finished,
          .proof = r.proof.empty() ? std::nullopt : std::optional(r.proof)};
}

std::span<const Member> RotateKeys::described() {
  using R = RotateKeys;
  static constexpr Member kMembers[] = {
      member<&R::kind>("kind", "Which key. See docs/rotation.md for what each of them is for."),
      member<&R::at_once>("at_once",
                          "Destroy the old key as soon as nothing is under it, without waiting for "
                          "the backups of keys that are kept: after a theft. Old keys of this kind "
                          "that wait from earlier rotations go, too.")};
  return kMembers;
}

std::span<const Member> ProgressRequest::described() {
  static constexpr Member kMembers[] = {member<&ProgressRequest::rotation>(
      "rotation", "Only this one. Without it: the last hundred.", {}, Place::query)};
  return kMembers;
}

std::span<const Member> RotationView::described() {
  using R = RotationView;
  static constexpr Member kMembers[] = {
      member<&R::rotation>("rotation", "Its id."),
      member<&R::kind>("kind", "Which key."),
      member<&R::from>("from", "Number of the old key; of subject keys, of the rotation before."),
      member<&R::to>("to", "Number of the new key."),
      member<&R::phase>("phase", "Where it stands."),
      member<&R::at_once>("at_once", "Whether the old key does not wait for backups."),
      member<&R::doing>("doing", "The phase in words."),
      member<&R::looked>("looked", "Rows read in this phase."),
      member<&R::moved>("moved", "Rows written under the new key so far, in all phases."),
      member<&R::total>("total", "Rows this phase reads, about, as counted when it began."),
      member<&R::refused>("refused", "Rows that do not open."),
      member<&R::refused_rows>("refused_rows", "The first hundred of them.", {.count = 100}),
      member<&R::rows_per_second>("rows_per_second", "How fast rows are read at present."),
      member<&R::ready_about>("ready_about", "When this phase will be over at that speed."),
      member<&R::started>("started", "When it was asked for."),
      member<&R::moved_at>("moved_at", "Since when nothing is under the old key."),
      member<&R::destroyed_from>("destroyed_from", "From when on the old key is destroyed."),
      member<&R::finished>("finished", "When the old key was destroyed."),
      member<&R::proof>("proof",
                        "The journal entry that says that nothing was left, or that the key was "
                        "destroyed. `holdfast journal proof` signs it.")};
  return kMembers;
}

std::span<const Member> RotationList::described() {
  static constexpr Member kMembers[] = {
      member<&RotationList::rotations>("rotations", "Oldest first.", {.count = 100})};
  return kMembers;
}

}  // namespace holdfast::vault
