// What is asked about locking and unlocking, and the answers: for a server that is open and for one
// that is locked.
#pragma once

#include "base/described.h"
#include "crypto/unlock/record.h"

namespace holdfast::vault {

using crypto::Method;

struct KeysStatusRequest {
  static std::span<const Member> described() { return {}; }
};

/// A set of shares, without what its shares say.
struct ShareSetView {
  std::string set;
  std::int64_t needed = 0;
  std::int64_t total = 0;
  std::optional<Time> made{};
  std::optional<Time> rehearsed{};
  static std::span<const Member> described();
};

/// Something that the owner should see to before it becomes an outage.
struct Alarm {
  std::string alarm;
  std::string text;
  std::optional<Time> due{};
  static std::span<const Member> described();
};

struct KeyView {
  std::string use;
  std::int64_t id = 0;
  Time created{};
  bool active = false;
  static std::span<const Member> described();
};

struct KeysStatus {
  bool locked = false;
  std::optional<std::string> reason{};
  std::optional<Time> locked_at{};
  std::optional<std::string> locked_by{};
  Method method = Method::file;
  std::string protects;
  std::optional<ShareSetView> everyday{};
  std::optional<ShareSetView> recovery{};
  std::vector<std::int64_t> shares_given{};
  std::optional<std::int64_t> generation{};
  std::vector<KeyView> keys{};
  std::vector<Alarm> alarms{};
  static std::span<const Member> described();
};

struct LockRequest {
  std::string reason;
  static std::span<const Member> described();
};
struct LockedNow {
  bool locked = true;
  bool latched = true;
  bool recorded = true;
  Time at{};
  static std::span<const Member> described();
};

struct UnlockRequest {
  std::optional<Secret> share;
  std::optional<Secret> passphrase;
  bool restart = false;
  static std::span<const Member> described();
};
struct UnlockProgress {
  bool locked = true;
  std::int64_t missing = 0;
  std::vector<std::int64_t> shares_given{};
  static std::span<const Member> described();
};

struct NewShare {
  std::int64_t number = 0;
  Secret text;
  static std::span<const Member> described();
};
/// Shares just made: as files on the server, or in this answer and nowhere else.
struct NewShares {
  std::string set;
  std::int64_t needed = 0;
  std::int64_t total = 0;
  std::vector<std::string> files{};
  std::vector<NewShare> shares{};
  static std::span<const Member> described();
};

struct ReshareRequest {
  std::int64_t needed = 2;
  std::int64_t total = 3;
  std::optional<std::int64_t> everyday_needed;
  std::optional<std::int64_t> everyday_total;
  std::optional<Secret> passphrase;
  bool download = false;
  static std::span<const Member> described();
};
struct Reshared {
  NewShares recovery;
  std::optional<NewShares> everyday{};
  std::optional<std::string> replaced{};
  std::int64_t generation = 0;
  EventId event;
  static std::span<const Member> described();
};

struct RehearseRequest {
  std::vector<Secret> shares;
  static std::span<const Member> described();
};
struct Rehearsed {
  std::string set;
  std::vector<std::int64_t> numbers{};
  Time rehearsed{};
  Time next{};
  EventId event;
  static std::span<const Member> described();
};

struct MoveRequest {
  Method to = Method::file;
  std::optional<Secret> passphrase;
  std::optional<std::int64_t> needed;
  std::optional<std::int64_t> total;
  static std::span<const Member> described();
};
struct Moved {
  Method from = Method::file;
  Method to = Method::file;
  std::optional<NewShares> everyday{};
  EventId event;
  static std::span<const Member> described();
};

/// What that method protects against and what not, in a sentence.
std::string_view protection_of(Method method);
ShareSetView view_of(const crypto::ShareSet& set);

}  // namespace holdfast::vault
