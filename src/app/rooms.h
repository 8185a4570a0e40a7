// The rooms of the server, connected to each other: the one place where capabilities meet.
#pragma once

#include <memory>
#include <vector>

#include "access/admin.h"
#include "access/api.h"
#include "access/service.h"
#include "base/clock.h"
#include "base/pool.h"
#include "crypto/key_set.h"
#include "http/route.h"
#include "journal/access_index.h"
#include "journal/log.h"
#include "ledger/api.h"
#include "vault/context.h"
#include "vault/declarations.h"
#include "vault/import/service.h"
#include "vault/keys/unlocking.h"
#include "vault/records/api.h"
#include "vault/state.h"
#include "vault/subjects/service.h"
#include "vault/tokens/service.h"

namespace holdfast::app {

/// Everything that requests are served with. Members refer to those above them.
class Rooms {
 public:
  struct Deps {
    journal::Log& log;
    journal::AccessIndex& index;
    const crypto::HeldKeys& keys;
    const Clock& clock;
    access::Notices& notices;
    Pool& pool;
    crypto::HeldKeys& held;  // the same as keys, to replace
    vault::UnlockHost& unlock_host;
    vault::UnlockPlaces unlock_places;
  };

  explicit Rooms(Deps deps);
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;

  /// The rows of every room; with nullptr only to be described.
  static std::vector<http::Route> rows(Rooms* rooms);
  /// All routes of the server, `more` among them; each decides again, once, when the policy changed
  /// under it.
  std::vector<http::Route> routes(std::vector<http::Route> more);
  /// Who tells of rows for `journal verify --state`.
  std::vector<journal::StateSource*> state() {
    return {&vault_state, &unlock_rows, &access_state_};
  }

 private:
  /// Access control as the vault knows it.
  class Permits final : public vault::Permits {
   public:
    explicit Permits(access::Service& access) : access_(access) {}
    vault::View view(const Caller& caller, const vault::FieldQuestion& question) const override;
    Result<Caller> acting_for(Caller caller, std::string_view person) const override;
    bool may(const Caller& caller, std::string_view operation) const override;
    Task<Result<Caller>> renewed(Caller caller) const override;

   private:
    access::Service& access_;
  };

  /// The vault's schema as access control knows it.
  class Fields final : public access::Fields {
   public:
    explicit Fields(vault::SchemaCache& schemas) : schemas_(schemas) {}
    Task<Result<access::FieldClass>> class_of(std::string collection, std::string field,
                                              MonoTime deadline) override;

   private:
    vault::SchemaCache& schemas_;
  };

  class Accesses final : public vault::Accesses {
   public:
    explicit Accesses(journal::AccessIndex& index) : index_(index) {}
    Task<Result<journal::AccessPage>> accesses(SubjectId subject, std::int64_t before,
                                               std::size_t limit) override;

   private:
    journal::AccessIndex& index_;
  };

  class AccessState final : public journal::StateSource {
   public:
    explicit AccessState(access::Admin& admin) : admin_(admin) {}
    Task<Result<void>> rows(Report report) override;

   private:
    access::Admin& admin_;
  };

  vault::Store store_;

 public:
  access::Cache cache;
  access::Service access;
  access::Admin admin;
  vault::SchemaCache schemas;

 private:
  Permits permits_;
  Fields fields_;
  Accesses accesses_;
  access::Api access_api_;

 public:
  vault::Context context;
  vault::Declarations declarations;
  vault::Records records;
  vault::Opening opening;
  vault::Tokens tokens;
  vault::Subjects subjects;
  vault::Imports imports;
  vault::VaultState vault_state;
  vault::Unlocking unlocking;
  vault::UnlockRows unlock_rows;

 private:
  AccessState access_state_;
  ledger::Service ledger_service_;
  ledger::Api ledger_api_;
};

/// Runs a route's handler; when the policy changed under it, once more under the new one.
void decide_again(http::Route& route, access::Service& access);

}  // namespace holdfast::app
