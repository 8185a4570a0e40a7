// Changes who may do what: API keys and own roles. Each change is one commit with its event and a
// new policy generation, and holds on every core before it returns. Nobody can give away more than
// they have. Lifetime: everything in Deps outlives the Admin.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/cache.h"
#include "access/messages.h"
#include "access/service.h"
#include "journal/noted.h"

namespace holdfast::access {

/// Kinds of the afterlog's lines: a key that was revoked, one that ends since it was rotated, a
/// role that lost something.
inline constexpr std::string_view kKeyRevoked = "api_key.revoked", kKeyEnds = "api_key.ends",
                                  kRoleNarrowed = "role.narrowed";

/// Errors of all verbs besides their own: unauthenticated (the caller's key has ended meanwhile),
/// corrupt (the manifest does not authenticate: `holdfast access recover`), locked, unavailable;
/// conflict when If-Match names another version.
class Admin {
 public:
  struct Deps {
    Cache& cache;
    Service& service;
    journal::Journal& journal;
    const crypto::HeldKeys& keys;
    const Clock& clock;
  };

  explicit Admin(Deps deps) : deps_(deps) {}

  /// The operation ids that this server has, so that a permission that is none is refused. Once,
  /// before serving.
  void know_operations(std::vector<std::string> operations) { operations_ = std::move(operations); }
  /// True of all while none were told.
  bool knows_operation(std::string_view operation) const;

  /// Errors: invalid, not_found (a role), forbidden (more than the caller has; recorded), conflict
  /// (this Idempotency-Key made a key before, whose secret cannot be shown again).
  Task<Result<NewKey>> create_key(Caller caller, CreateKey spec);
  /// A new key with the same rights; the old one ends after the overlap, also after a restore. Only
  /// the owner role gives it a longer life than the old one had.
  /// Errors: as create_key; not_found; conflict (already ended).
  Task<Result<NewKey>> rotate_key(Caller caller, RotateKey request);
  /// Also written to the afterlog, so that a restore does not bring it back. Revoking a revoked key
  /// changes nothing. Errors: not_found; conflict (the last live key of the owner role).
  Task<Result<ApiKey>> revoke_key(Caller caller, RevokeKey request);

  /// Makes or replaces an own role; replacing needs If-Match. What takes something away from a role
  /// is also written to the afterlog, so that a restore does not bring it back.
  /// Errors: invalid, forbidden (more than the caller has; recorded), conflict (built in).
  Task<Result<Role>> put_role(Caller caller, PutRole spec);
  /// Errors: not_found; conflict (built in, or held by live keys, which `also` names).
  Task<Result<Deleted>> delete_role(Caller caller, RoleRef request);

  /// For `holdfast init` and `holdfast access recover`, run by whoever holds the keyring: a key of
  /// the owner role for 7 days. A manifest that is lost or damaged is begun anew; what it listed
  /// gives nothing until it is made again. `activity` is a literal.
  Task<Result<Secret>> bootstrap_owner_key(std::string_view activity);
  /// For `restore`: revokes these keys (`key_...`, from the afterlog), and all that were made by
  /// `unknown`, up to when lines of the afterlog are lost. Gives how many were live.
  Task<Result<std::int64_t>> revoke_after_restore(std::vector<std::string> named,
                                                  std::optional<Time> unknown);

  /// For `restore`: keys that were rotated after the backup was made, by the afterlog's lines, end
  /// when they were to end. Gives how many had more time left.
  Task<Result<std::int64_t>> end_rotated(std::vector<Bytes> lines);

  /// For `restore`: own roles that lost something after the backup was made, by the afterlog's
  /// lines, give nothing until they are put again; so do all that were last put by `unknown`. They
  /// still show what they were. Gives how many.
  Task<Result<std::int64_t>> suspend_roles(std::vector<Bytes> lines, std::optional<Time> unknown);

  /// For `journal verify --state`: each row with the digest that the last event about it must have
  /// left; then what does not authenticate.
  using StateSink =
      std::function<void(std::string_view kind, BytesView row, const crypto::Digest& digest)>;
  Task<Result<std::vector<Finding>>> check_state(StateSink sink);
  /// The rows alone, with the digests that `keys` make.
  Task<Result<void>> tell_state(std::shared_ptr<const crypto::KeySet> keys, StateSink sink);
  /// Writes every row and the manifest anew under the active authority and digest keys, in one
  /// commit. For a rotation. Gives how many rows there are, and how many were not.
  struct Remade {
    std::int64_t rows = 0, remade = 0;
    std::vector<Finding> findings;  // rows that do not count; they stay as they are
  };
  Task<Result<Remade>> remake();
  /// Rows that are under another authority key than the active one.
  Task<Result<std::int64_t>> under_older_keys();

 private:
  /// What a verb decides under.
  struct Stand {
    Caller caller;
    std::shared_ptr<const Snapshot> snapshot;
    std::shared_ptr<const crypto::KeySet> keys;
    const Principal* self = nullptr;  // in the snapshot; nullptr for the server's own work
    Time now{};
  };

  template <class Out, class In>
  Task<Result<Out>> twice(Task<Result<Out>> (Admin::*once)(Caller, In), Caller caller, In in);
  Task<Result<NewKey>> create_once(Caller caller, CreateKey spec);
  Task<Result<NewKey>> rotate_once(Caller caller, RotateKey request);
  Task<Result<ApiKey>> revoke_once(Caller caller, RevokeKey request);
  Task<Result<Role>> put_role_once(Caller caller, PutRole spec);
  Task<Result<Deleted>> delete_role_once(Caller caller, RoleRef request);

  Task<Result<Stand>> stand(Caller caller);
  Task<Result<Stand>> stand_alone();
  /// Whether a key with these rights could do nothing that the caller's key cannot.
  Task<Result<void>> within_own(Stand at, std::string_view operation, ApiKey key,
                                std::shared_ptr<const Rights> theirs);
  Task<Result<void>> holders_within_own(Stand at, Role role);
  Result<NewKey> draft(Edit& edit, const Stand& at, ApiKey key, std::string request) const;
  /// What a restore must not undo: a line of the afterlog.
  Task<Result<void>> commit(Stand at, Edit::Done edit, journal::Event event, bool force = false,
                            std::optional<journal::Line> line = {});

  const Deps deps_;
  std::vector<std::string> operations_;
};

}  // namespace holdfast::access
