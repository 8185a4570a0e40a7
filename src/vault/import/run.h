// One import on its way: the file is read, its rows are checked and sealed in batches ahead of the
// database, and the batches are written one after another.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/later.h"
#include "base/pool.h"
#include "http/route.h"
#include "vault/context.h"
#include "vault/import/batch.h"
#include "vault/import/row_source.h"

namespace holdfast::vault {

/// Parsing, checking and sealing run on the pool. Serves one import. Memory: four batches.
class ImportRun {
 public:
  /// `publish` gets the report whenever a batch is in, on the caller's core.
  using Publish = std::function<void(const ImportReport&)>;
  struct Uses {
    const Context& context;
    Pool& pool;
    Publish publish;
  };

  ImportRun(Uses uses, Caller caller, Working work, RowSource source)
      : uses_(std::move(uses)),
        context_(uses_.context),
        caller_(std::move(caller)),
        work_(std::move(work)),
        source_(std::move(source)) {
    report_.import = ImportId::make(work_.now);
  }

  /// Reads the body to its end. Errors: see Imports::create.
  Task<Result<ImportReport>> run(http::BodyReader& body);

 private:
  enum class Step { more, end, failed };
  static constexpr std::size_t kFirstBatch = 500;  // shows soon that it goes on

  Result<Step> parse(std::string_view chunk, bool end);
  void check_row(ImportRow& row);
  void refuse(Place place, std::string_view reason, const FieldPath& field);
  void unstage();
  Task<Result<void>> flush(bool all);
  Task<Result<void>> may_compare_unique(const Working& work, const std::vector<CheckedRow>& rows);
  Task<Result<SealedRows>> prepare(Working work, const std::vector<CheckedRow>& rows);
  Task<Result<void>> write(Working work, std::vector<CheckedRow> rows, SealedRows sealed);
  Task<Result<void>> landed();
  Task<Result<void>> pass_on(std::size_t most);
  Task<Result<bool>> caught_up(std::vector<CheckedRow>& rows);

  Uses uses_;
  const Context& context_;
  Caller caller_;
  Working work_;
  std::optional<Working> renewed_;  // what a batch was decided under again, when the policy changed
  RowSource source_;
  ImportReport report_;  // only the caller's core touches it
  struct {
    std::int64_t rows = 0, refused = 0;
    std::vector<RefusedRow> refusals;
  } staged_;  // what the pool found since unstage()
  std::deque<CheckedRow> ready_;
  std::unique_ptr<std::vector<CheckedRow>> next_;  // taken out of them, and not yet being sealed
  std::size_t batch_ = kFirstBatch;                // rows of the next
  struct Batch {
    std::unique_ptr<std::vector<CheckedRow>> rows;  // where the sealing finds them
    std::set<std::string> customers;                // external ids
    Later<Result<SealedRows>> sealed;
  };
  std::deque<Batch> sealing_;
  std::optional<Later<Result<void>>> writing_;
  std::set<std::string> writing_customers_;
  std::string failure_;
};

}  // namespace holdfast::vault
