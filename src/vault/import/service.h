// Imports: a shop's export goes in row by row, in batches of one event each. Running the same file
// again changes nothing, so an interrupted import is simply run again.
#pragma once

#include <deque>
#include <mutex>

#include "base/pool.h"
#include "http/route.h"
#include "vault/context.h"
#include "vault/declarations.h"
#include "vault/import/mapping.h"
#include "vault/import/presets.h"
#include "vault/import/report.h"
#include "vault/import/run.h"

namespace holdfast::vault {

struct CreateImport {
  std::optional<Preset> preset;
  std::optional<std::string> mapping;  // JSON of a Mapping
  std::optional<ImportFormat> format;
  static std::span<const Member> described();
};
struct ImportRequest {
  ImportId import;
  static std::span<const Member> described();
};
struct ListImports {
  static std::span<const Member> described() { return {}; }
};
struct ImportList {
  std::vector<ImportLine> imports;
  static std::span<const Member> described();
};
/// Threads: any io_context thread. Memory: four batches of 2,000 rows, about 25 MB.
class Imports {
 public:
  Imports(Context context, Declarations& declarations, Pool& pool)
      : context_(context), declarations_(declarations), pool_(pool) {}

  /// Reads the body to its end. Collections of a preset that are not declared yet are declared, if
  /// the caller may. Cost: about 20,000 rows of 8 fields/s on two cores; batches shrink to 150 rows
  /// while others commit. Errors: invalid (mapping, header; the field says which), forbidden,
  /// unauthenticated (the key ended meanwhile), stale, locked, unavailable (also when the pool is
  /// full). What went in before an error stays in.
  Task<Result<ImportReport>> create(Caller caller, CreateImport request, http::BodyReader& body);
  /// How far an import is, or how it ended: the last 100 of this process.
  Task<Result<ImportReport>> get(Caller caller, ImportRequest request);
  /// The same hundred, the newest first: those that run, too.
  Task<Result<ImportList>> list(Caller caller, ListImports request);

 private:
  ImportRun::Uses uses();
  void publish(const ImportReport& report);

  Context context_;
  Declarations& declarations_;
  Pool& pool_;
  std::mutex mutex_;
  std::deque<ImportReport> reports_;
};

/// nullptr only to be described.
std::vector<http::Route> import_routes(Imports* imports);

}  // namespace holdfast::vault
