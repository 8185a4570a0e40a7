// What the operations on requests take and give, each member described once.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/described.h"
#include "vault/rights_rows.h"

namespace holdfast::vault {

/// What is asked for: GDPR art. 15, 16, 17, 18, 21, 20.
enum class DemandKind : std::uint8_t { access, rectify, erase, restrict, object, port };
std::span<const std::string_view> enum_names(DemandKind);
enum class DemandState : std::uint8_t { open, answered };
std::span<const std::string_view> enum_names(DemandState);
/// How it was made sure that the customer asks (art. 12(6)).
enum class IdentityCheck : std::uint8_t {
  unchecked,
  account_login,
  known_contact,
  document,
  in_person
};
std::span<const std::string_view> enum_names(IdentityCheck);
enum class DemandOutcome : std::uint8_t { granted, granted_in_part, refused, withdrawn };
std::span<const std::string_view> enum_names(DemandOutcome);

struct OpenRequest {
  std::string subject;
  DemandKind kind = DemandKind::access;
  std::optional<Time> received;
  std::optional<IdentityCheck> identity;
  std::optional<Secret> text;
  std::optional<std::string> on_behalf_of;
  std::string idempotency_key;  // from the header
  static std::span<const Member> described();
};
struct RequestView {
  DemandId request;
  SubjectId subject;
  DemandKind kind = DemandKind::access;
  DemandState state = DemandState::open;
  Time received{};
  Time due{};
  bool overdue = false;
  IdentityCheck identity = IdentityCheck::unchecked;
  bool extended = false;
  std::optional<Time> answered;
  std::optional<DemandOutcome> outcome;
  std::optional<EventId> event;
  std::optional<Secret> text;
  std::optional<Secret> answer;
  std::int64_t version = 1;
  static std::span<const Member> described();
};
struct ListRequests {
  std::optional<DemandState> state;
  std::optional<std::string> subject;
  std::optional<std::int64_t> limit;
  std::optional<std::string> after;
  static std::span<const Member> described();
};
struct RequestPage {
  std::vector<RequestView> requests;
  std::int64_t overdue = 0;
  std::optional<std::string> next;
  static std::span<const Member> described();
};
struct GetRequest {
  DemandId request;
  static std::span<const Member> described();
};
struct UpdateRequest {
  DemandId request;
  std::optional<IdentityCheck> identity;
  bool extend = false;
  std::optional<std::string> reason;
  std::string if_match;  // from the header
  static std::span<const Member> described();
};
struct AnswerRequest {
  DemandId request;
  DemandOutcome outcome = DemandOutcome::granted;
  std::optional<EventId> event;
  std::optional<Secret> text;
  static std::span<const Member> described();
};

}  // namespace holdfast::vault
