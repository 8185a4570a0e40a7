// Customers' rights as rotations see them: the MACs of their rows, and the texts beside records.
#pragma once

#include <map>
#include <vector>

#include "vault/context.h"
#include "vault/rights_rows.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// MACs of customers' rows, for the authority key. A row that Holdfast did not write gets none.
class SubjectMacs final : public KeyedRows {
 public:
  explicit SubjectMacs(Context context) : context_(context) {}
  std::string_view name() const override { return "customers"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;
  Task<Result<std::int64_t>> total(MoveJob job) override;

 private:
  Context context_;
};

/// What is sealed under a customer's keys outside of records: evidence of decisions (account) and
/// the texts of requests (@requests).
struct RightsTexts {
  std::vector<Decision> decisions;
  std::vector<Demand> demands;
};
/// Of all these customers; rows without a text are left out. Errors: unavailable.
Task<Result<RightsTexts>> rights_texts(db::Reader& reader, std::vector<SubjectId> whose);
/// Adds to `out` what seals them under the newest keys. `keys` has those of all of them.
void reseal_texts(const MoveJob& job, std::map<SubjectId, SubjectKeys>& keys, RightsTexts texts,
                  MovedRows& out);
/// Texts that are not under the newest key.
std::int64_t texts_under_older(const std::map<SubjectId, SubjectKeys>& keys,
                               const RightsTexts& texts);

std::span<const db::Sql* const> rotation_rights_statements();

}  // namespace holdfast::vault
