// The rooms of the server, connected to each other: the one place where capabilities meet.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "access/admin.h"
#include "access/api.h"
#include "access/budgets.h"
#include "access/service.h"
#include "base/clock.h"
#include "base/pool.h"
#include "crypto/key_set.h"
#include "http/route.h"
#include "journal/access_index.h"
#include "journal/journal_time.h"
#include "journal/log.h"
#include "ledger/api.h"
#include "vault/admission.h"
#include "vault/canaries/rotation.h"
#include "vault/canaries/service.h"
#include "vault/cards.h"
#include "vault/context.h"
#include "vault/declarations.h"
#include "vault/engagements/rotation.h"
#include "vault/engagements/service.h"
#include "vault/fill/service.h"
#include "vault/import/service.h"
#include "vault/keys/rotation.h"
#include "vault/keys/rotation_journal.h"
#include "vault/keys/rotation_rights.h"
#include "vault/keys/rotation_rows.h"
#include "vault/keys/unlocking.h"
#include "vault/proofs.h"
#include "vault/records/api.h"
#include "vault/reports/service.h"
#include "vault/requests/service.h"
#include "vault/retention/engagements.h"
#include "vault/retention/rotation.h"
#include "vault/retention/service.h"
#include "vault/search/indexes.h"
#include "vault/search/rebuild.h"
#include "vault/search/rotation.h"
#include "vault/search/service.h"
#include "vault/state.h"
#include "vault/subjects/service.h"
#include "vault/tokens/rows.h"
#include "vault/tokens/service.h"

namespace holdfast::app {

/// Everything that requests are served with. Members refer to those above them.
class Rooms {
 public:
  struct Deps {
    journal::Log& log;
    journal::AccessIndex& index;
    crypto::HeldKeys& keys;
    const Clock& clock;
    access::Notices& notices;
    Pool& pool;
    journal::JournalTime& time;
    vault::SweepOptions sweep{};
    vault::Controller controller{};
    /// See vault/keys/rotation.h.
    std::function<Result<crypto::Keyring>(const crypto::Keyring&)> save_keyring;
    std::function<Result<std::int64_t>(Time before)> forget_backups, count_backups;
    vault::RotationSettings rotation;
    vault::Alarms& alarms;
    access::Ceiling ceiling{};
    access::Zone zone;
    std::string node = "node";  // this server in handles of card verification codes
    vault::UnlockHost& unlock_host;
    vault::UnlockPlaces unlock_places;
    std::string calling_code{};  // of phones, where a collection names none
  };

  explicit Rooms(Deps deps);
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;

  /// The rows of every room; with nullptr only to be described.
  static std::vector<http::Route> rows(Rooms* rooms);
  /// All routes of the server, `more` among them; each decides again, once, when the policy changed
  /// under it.
  std::vector<http::Route> routes(std::vector<http::Route> more);
  /// Once a minute until `stop`: closes engagements that are due, forgets charges of the past. What
  /// fails comes again. Ends within 200 ms of `stop`.
  Task<void> tend(const std::atomic<bool>& stop, const Clock& clock);
  /// Who tells of rows for `journal verify --state`.
  std::vector<journal::StateSource*> state() {
    return {&vault_state, &unlock_rows, &access_state_, &hold_state_};
  }

 private:
  /// Access control as the vault and the ledger know it.
  class Permits final : public vault::Permits, public ledger::Permits {
   public:
    Permits(access::Service& access, access::Cache& cache, const Clock& clock, access::Zone zone)
        : access_(access), cache_(cache), clock_(clock), zone_(std::move(zone)) {}
    vault::View view(const Caller& caller, const vault::FieldQuestion& question) const override {
      return decide(caller, question).view;
    }
    vault::Permitted decide(const Caller& caller,
                            const vault::FieldQuestion& question) const override;
    Result<Caller> acting_for(Caller caller, std::string_view person) const override;
    bool may(const Caller& caller, std::string_view operation) const override;
    Task<Result<bool>> same_account(std::string one, std::string other,
                                    MonoTime deadline) const override;
    Task<Result<bool>> known(std::string principal, MonoTime deadline) const override;
    Task<Result<Caller>> renewed(Caller caller) const override;
    Task<Result<void>> still(Caller caller, std::string_view operation) const override;

   private:
    access::Service& access_;
    access::Cache& cache_;
    const Clock& clock_;
    const access::Zone zone_;
  };

  /// Access control's budgets as the vault knows them.
  class Budgets final : public vault::Budgets {
   public:
    explicit Budgets(access::Budgets& budgets) : budgets_(budgets) {}
    bool counts(std::span<const std::uint32_t> terms) const override {
      return budgets_.counts(terms);
    }
    Task<Result<std::optional<std::int64_t>>> room(Caller caller,
                                                   std::vector<std::uint32_t> terms) override {
      return budgets_.room(std::move(caller), std::move(terms));
    }
    Task<Result<Charge>> charge(Caller caller, std::vector<SubjectId> opened,
                                std::vector<SubjectId> beyond,
                                std::vector<std::uint32_t> terms) override;
    std::vector<std::uint32_t> opener_terms(const Caller& caller) const override {
      return budgets_.all_owed(caller);
    }
    Task<Spent> spent(Caller caller, std::size_t opened, std::vector<std::uint32_t> terms,
                      Error error, journal::Event event) override;
    Task<void> settle(Caller caller, std::vector<std::uint32_t> terms, std::vector<Watched> watched,
                      std::vector<std::int64_t> used) override;

   private:
    access::Budgets& budgets_;
  };

  /// The vault's schema as access control knows it.
  class Fields final : public access::Fields {
   public:
    explicit Fields(vault::SchemaCache& schemas) : schemas_(schemas) {}
    Task<Result<access::FieldClass>> class_of(std::string collection, std::string field,
                                              MonoTime deadline) override;
    Task<Result<void>> purpose(std::string name, MonoTime deadline) override;

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

  /// When the keys that erased data was under are gone.
  class Epochs final : public vault::Epochs {
   public:
    /// Asked when all rooms are there.
    explicit Epochs(vault::Rotations& rotations) : rotations_(rotations) {}
    Task<Result<vault::KeyEnd>> epoch_end(Time at, MonoTime deadline) override {
      return end(vault::KeyKind::epoch, at, deadline);
    }
    Task<Result<vault::KeyEnd>> index_end(Time at, MonoTime deadline) override;

   private:
    Task<Result<vault::KeyEnd>> end(vault::KeyKind kind, Time at, MonoTime deadline);

    vault::Rotations& rotations_;
  };

  class AccessState final : public journal::StateSource {
   public:
    explicit AccessState(access::Admin& admin) : admin_(admin) {}
    Task<Result<void>> rows(Report report) override;
    Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                  Report report) override;

   private:
    access::Admin& admin_;
  };

  /// Access control's rows, moved to another key.
  class AccessRows final : public vault::KeyedRows {
   public:
    explicit AccessRows(access::Admin& admin) : admin_(admin) {}
    std::string_view name() const override { return "access"; }
    bool takes_part(vault::KeyKind kind, vault::Pass pass) const override {
      return kind == vault::KeyKind::authority && pass == vault::Pass::move;
    }
    Task<Result<vault::MovedRows>> move(vault::MoveJob job, vault::Pass pass, Bytes after,
                                        std::int64_t limit) override;
    Task<Result<std::int64_t>> left(vault::MoveJob job, vault::Pass pass) override;

   private:
    access::Admin& admin_;
  };

  vault::Store store_;

 public:
  access::Cache cache;
  access::Service access;
  access::Admin admin;
  access::Budgets budgets;
  vault::SchemaCache schemas;
  vault::CanaryCache canaries_known;

 private:
  Budgets vault_budgets_;
  Permits permits_;
  Fields fields_;
  Accesses accesses_;
  vault::LogProofs proofs_;
  Epochs epochs_;
  access::Api access_api_;
  vault::OldAnswers old_answers_;
  vault::OldSides old_sides_;

 public:
  vault::Context context;
  vault::LegalHolds holds;
  vault::Admission admission;
  vault::Declarations declarations;
  vault::Cards cards;
  vault::Records records;
  vault::Opening opening;
  vault::Search search;
  vault::Indexes indexes;
  vault::Rebuild rebuild;
  vault::Tokens tokens;
  vault::Fills fills;
  vault::Engagements engagements;
  vault::Subjects subjects;
  vault::Requests requests;
  vault::Imports imports;
  vault::Canaries canaries;
  vault::VaultState vault_state;
  vault::Unlocking unlocking;
  vault::UnlockRows unlock_rows;

 private:
  vault::ClosedEngagements closings_;
  vault::PastEngagements past_engagements_;

 public:
  vault::Sweep sweep;
  vault::Retention retention;
  vault::Reports reports;

 private:
  vault::HoldState hold_state_;
  AccessState access_state_;
  AccessRows access_rows_;
  vault::TimeRow time_row_;
  vault::HoldRows hold_rows_;
  vault::RenewedKeys renewed_keys_;
  vault::SealedValues sealed_values_;
  vault::WrappedKeys wrapped_keys_;
  vault::IndexTerms index_terms_;
  vault::ExternalTerms external_terms_;
  vault::DeclaredRows declared_rows_;
  vault::EngagementRows engagement_rows_;
  vault::EngagementKindRows engagement_kind_rows_;
  vault::CanaryRows canary_rows_;
  vault::SubjectMacs subject_macs_;
  vault::TokenRows token_rows_;
  vault::SideRows side_rows_;
  vault::LogKeys log_keys_;
  vault::RestatedRows restated_rows_;

 public:
  vault::Rotations rotations;

 private:
  ledger::Service ledger_service_;
  ledger::Api ledger_api_;
};

/// Runs a route's handler, and again under the new policy when it changed meanwhile, up to four
/// times. What began to answer is not run again, nor may be what reads a body piece by piece.
void decide_again(http::Route& route, access::Service& access);

}  // namespace holdfast::app
