#include "vault/import/service.h"

namespace holdfast::vault {

std::span<const std::string_view> enum_names(ImportState) {
  static constexpr std::string_view kNames[] = {"running", "done", "failed"};
  return kNames;
}

std::span<const Member> CreateImport::described() {
  using C = CreateImport;
  static constexpr Member kMembers[] = {
      member<&C::preset>("preset", "Whose export the file is.", {}, holdfast::Place::query),
      member<&C::mapping>("mapping", "Or a mapping of one's own, as JSON: see docs/import.md.",
                          {.bytes = 7000}, holdfast::Place::query),
      member<&C::format>("format", "Of a file with a mapping; csv unless said.", {},
                         holdfast::Place::query)};
  return kMembers;
}

std::span<const Member> ImportRequest::described() {
  static constexpr Member kMembers[] = {
      member<&ImportRequest::import>("import", "The import.", {}, holdfast::Place::path)};
  return kMembers;
}

std::span<const Member> ImportList::described() {
  static constexpr Member kMembers[] = {
      member<&ImportList::imports>("imports", "Newest first.", {.count = 100})};
  return kMembers;
}

std::span<const Member> RefusedRow::described() {
  using R = RefusedRow;
  static constexpr Member kMembers[] = {
      member<&R::line>("line", "Where the row or value begins, counted from 1."),
      member<&R::column>("column", "In bytes of that line, counted from 1."),
      member<&R::field>("field", "The field, where one is at fault."),
      member<&R::reason>("reason", "Why it did not go in.")};
  return kMembers;
}

std::span<const Member> LeftOutColumn::described() {
  using L = LeftOutColumn;
  static constexpr Member kMembers[] = {member<&L::column>("column", "The column."),
                                        member<&L::reason>("reason", "Why it is not stored.")};
  return kMembers;
}

std::span<const Member> ImportReport::described() {
  using I = ImportReport;
  static constexpr Member kMembers[] = {
      member<&I::import>("import", "The import's id."),
      member<&I::state>("state", "How far it is."),
      member<&I::shape>("shape", "What the file was found to be."),
      member<&I::bytes>("bytes", "Read so far."),
      member<&I::rows>("rows", "Rows read, refused ones too."),
      member<&I::customers>("customers", "New customers."),
      member<&I::created>("created", "New records."),
      member<&I::updated>("updated", "Records that changed."),
      member<&I::unchanged>("unchanged", "Records that were there already, the same."),
      member<&I::refused>("refused", "Rows that did not go in."),
      member<&I::refusals>("refusals", "The first 10,000 of them, with place and reason."),
      member<&I::unknown_columns>("unknown_columns", "Columns that no field takes; left out."),
      member<&I::left_out>("left_out", "Known columns that are not stored, and why."),
      member<&I::failure>("failure",
                          "Why the import as a whole ended early; empty when it did not.")};
  return kMembers;
}

std::span<const Member> ImportLine::described() {
  using I = ImportLine;
  static constexpr Member kMembers[] = {
      member<&I::import>("import", "The import's id."),
      member<&I::started>("started", "When its file began to come in."),
      member<&I::state>("state", "How far it is."),
      member<&I::bytes>("bytes", "Read so far."),
      member<&I::rows>("rows", "Rows read, refused ones too."),
      member<&I::refused>("refused", "Rows that did not go in.")};
  return kMembers;
}

}  // namespace holdfast::vault
