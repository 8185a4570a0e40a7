// What the engagements' operations take and give, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vault/engagement.h"

namespace holdfast::vault {

struct OpenEngagement {
  std::string subject;
  std::string kind;
  std::string reference;
  std::optional<std::string> assignee;
  std::optional<std::string> life;
  std::optional<std::string> on_behalf_of;
  std::string idempotency_key;  // from the header
  static std::span<const Member> described();
};

struct EngagementView {
  EngagementId engagement;
  SubjectId subject;
  std::string kind;
  bool live = false;
  Time opened{}, closes{};
  std::optional<Time> closed;
  std::string opener;
  std::optional<std::string> opener_person;
  std::optional<std::string> reference, assignee;
  std::int64_t version = 1;
  static std::span<const Member> described();
};

struct CloseEngagement {
  EngagementId engagement;
  std::optional<std::string> reason;
  static std::span<const Member> described();
};

struct ListEngagements {
  std::optional<std::string> subject;
  std::optional<bool> live;
  std::optional<EngagementId> after;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};

struct FindEngagements {
  std::string kind;
  std::string reference;
  static std::span<const Member> described();
};

struct EngagementPage {
  std::vector<EngagementView> engagements;
  std::int64_t damaged = 0;
  std::optional<std::string> next;
  static std::span<const Member> described();
};

struct KindRef {
  std::string kind;
  static std::span<const Member> described();
};

struct ListKinds {
  static std::span<const Member> described() { return {}; }
};

struct KindList {
  std::vector<EngagementKind> kinds;
  static std::span<const Member> described();
};

struct DeletedKind {
  bool deleted = true;
  EventId event;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
