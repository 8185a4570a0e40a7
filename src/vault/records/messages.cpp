#include "vault/records/messages.h"

namespace holdfast::vault {
namespace {

constexpr Limits kName{.bytes = 63};
constexpr Limits kRef{.bytes = 260};
constexpr Limits kVersion{.min = 1};
constexpr Limits kValues{.bytes = 65'536, .count = 200};
constexpr std::string_view kSubjectDoc =
    "The customer: `sub_...`, or `ext:` and the shop's own id; a new one is made for an id not "
    "seen before.";
constexpr std::string_view kBehalfDoc =
    "Whom the key acts for, such as `staff:17` or `customer:4711`.";
constexpr std::string_view kEngagementDoc =
    "The live engagement (`eng_...`) that this is for, where a grant demands one.";
constexpr std::string_view kPurposeDoc = "A declared purpose, such as `support`.";
constexpr std::string_view kFieldsDoc = "Names of the fields to open.";

}  // namespace

std::span<const Member> NewRecord::described() {
  using R = NewRecord;
  static constexpr Member kMembers[] = {
      member<&R::subject>("subject", kSubjectDoc, kRef),
      member<&R::slot>("slot", "A name that is unique among the customer's records here.", kName),
      member<&R::values>("values", "Field names and values.", kValues, Place::body,
                         Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> CreateRecords::described() {
  using R = CreateRecords;
  static constexpr Member kMembers[] = {
      member<&R::collection>("collection", "The collection's name.", kName, Place::path),
      member<&R::subject>("subject", kSubjectDoc, kRef),
      member<&R::slot>("slot", "A name that is unique among the customer's records here.", kName),
      member<&R::values>("values", "Field names and values.", kValues, Place::body,
                         Sensitivity::personal),
      member<&R::records>("records", "Several records at once, instead of `subject` and `values`.",
                          {.count = 1000}, Place::body, Sensitivity::personal),
      member<&R::upsert>("upsert",
                         "Change the record in the slot (`main` unless said) if it exists.")};
  return kMembers;
}

std::span<const Member> CreatedRecord::described() {
  using R = CreatedRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::version>("version", "Counts the record's changes."),
      member<&R::created>("created", "False when an existing record was changed.")};
  return kMembers;
}

std::span<const Member> CreatedRecords::described() {
  static constexpr Member kMembers[] = {
      member<&CreatedRecords::records>("records", "In the order of the request.")};
  return kMembers;
}

std::span<const Member> RecordRequest::described() {
  static constexpr Member kMembers[] = {
      member<&RecordRequest::record>("record", "The record.", {}, Place::path)};
  return kMembers;
}

std::span<const Member> MaskedRecord::described() {
  using R = MaskedRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::collection>("collection", "The collection's name."),
      member<&R::slot>("slot", "The record's name among the customer's."),
      member<&R::version>("version", "Counts the record's changes."),
      member<&R::created>("created", "When it was made."),
      member<&R::updated>("updated", "When it last changed."),
      member<&R::values>("values", "Masked values.", kValues, Place::body, Sensitivity::personal),
      member<&R::hidden>("hidden", "Fields that you may not see even masked."),
      member<&R::restricted>("restricted",
                             "Whether the customer's data is restricted: then no masks either.")};
  return kMembers;
}

std::span<const Member> ListRecords::described() {
  using R = ListRecords;
  static constexpr Member kMembers[] = {
      member<&R::collection>("collection", "The collection's name.", kName, Place::path),
      member<&R::subject>("subject", "Only this customer's, as `sub_...`.", {.bytes = 30},
                          Place::query),
      member<&R::limit>("limit", "At most so many; 50 unless said.", {.min = 1, .max = 500},
                        Place::query),
      member<&R::after>("after", "`next` of the page before.", {.bytes = 64}, Place::query)};
  return kMembers;
}

std::span<const Member> RecordPage::described() {
  using R = RecordPage;
  static constexpr Member kMembers[] = {
      member<&R::records>("records", "Oldest first.", {}, Place::body, Sensitivity::personal),
      member<&R::next>("next", "Give it as `after` for the next page; absent on the last.")};
  return kMembers;
}

std::span<const Member> UpdateRecord::described() {
  using R = UpdateRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record.", {}, Place::path),
      member<&R::values>("values", "Values to set; null takes a field out; others stay.", kValues,
                         Place::body, Sensitivity::personal),
      member<&R::version>("version", "Only if the record still has this version (or If-Match).",
                          kVersion)};
  return kMembers;
}

std::span<const Member> DeleteRecord::described() {
  static constexpr Member kMembers[] = {
      member<&DeleteRecord::record>("record", "The record.", {}, Place::path)};
  return kMembers;
}

std::span<const Member> DeletedRows::described() {
  using R = DeletedRows;
  static constexpr Member kMembers[] = {
      member<&R::deleted>("deleted", "How many."),
      member<&R::event>("event", "The journal entry that proves it.")};
  return kMembers;
}

std::span<const Member> FieldRefusal::described() {
  using R = FieldRefusal;
  static constexpr Member kMembers[] = {
      member<&R::field>("field", "The field."),
      member<&R::reason>("reason",
                         "`forbidden`, `unknown_field`, `expired`, `erased` or `corrupt`.")};
  return kMembers;
}

std::span<const Member> RevealRecord::described() {
  using R = RevealRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record to open.", {}, Place::path),
      member<&R::fields>("fields", kFieldsDoc, {.bytes = 63, .count = 64}),
      member<&R::purpose>("purpose", kPurposeDoc, kName),
      member<&R::on_behalf_of>("on_behalf_of", kBehalfDoc, {.bytes = 100}),
      member<&R::engagement>("engagement", kEngagementDoc, {.bytes = 30})};
  return kMembers;
}

std::span<const Member> RevealRecords::described() {
  using R = RevealRecords;
  static constexpr Member kMembers[] = {
      member<&R::records>("records", "The records to open.", {.count = 1000}),
      member<&R::fields>("fields", kFieldsDoc, {.bytes = 63, .count = 64}),
      member<&R::purpose>("purpose", kPurposeDoc, kName),
      member<&R::on_behalf_of>("on_behalf_of", kBehalfDoc, {.bytes = 100}),
      member<&R::engagement>("engagement", kEngagementDoc, {.bytes = 30})};
  return kMembers;
}

std::span<const Member> RevealedRecord::described() {
  using R = RevealedRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::values>("values", "The values; those named in `masked` are masks.", kValues,
                         Place::body, Sensitivity::personal),
      member<&R::masked>("masked", "Fields that are not open to you for this purpose: masks."),
      member<&R::refused>("refused", "Fields that were not shown, and why."),
      member<&R::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

std::span<const Member> OpenedRecord::described() {
  using R = OpenedRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::values>("values", "The values; those named in `masked` are masks.", kValues,
                         Place::body, Sensitivity::personal),
      member<&R::masked>("masked", "Fields that are not open to you for this purpose: masks."),
      member<&R::refused>("refused", "Fields that were not shown, and why.")};
  return kMembers;
}

std::span<const Member> RevealedRecords::described() {
  using R = RevealedRecords;
  static constexpr Member kMembers[] = {
      member<&R::records>("records", "In the order of the request.", {}, Place::body,
                          Sensitivity::personal),
      member<&R::missing>("missing", "Records that do not exist."),
      member<&R::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

std::span<const Member> VerifyValue::described() {
  using R = VerifyValue;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record.", {}, Place::path),
      member<&R::field>("field", "The field to compare.", kName),
      member<&R::value>("value", "The value that the customer gave.", {.bytes = 1024}, Place::body,
                        Sensitivity::secret),
      member<&R::purpose>("purpose", kPurposeDoc, kName),
      member<&R::on_behalf_of>("on_behalf_of", kBehalfDoc, {.bytes = 100}),
      member<&R::engagement>("engagement", kEngagementDoc, {.bytes = 30})};
  return kMembers;
}

std::span<const Member> Verified::described() {
  using R = Verified;
  static constexpr Member kMembers[] = {
      member<&R::matches>("matches", "Whether it is the stored value, compared as an index would."),
      member<&R::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

}  // namespace holdfast::vault
