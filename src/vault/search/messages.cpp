#include "vault/search/messages.h"

namespace holdfast::vault {
namespace {

constexpr Limits kName{.bytes = 63};
constexpr Limits kValues{.bytes = 65'536, .count = 200};

}  // namespace

std::span<const std::string_view> enum_names(Match) {
  static constexpr std::string_view kNames[] = {"exact", "prefix", "substring"};
  return kNames;
}

std::span<const std::string_view> enum_names(FilterOp) {
  static constexpr std::string_view kNames[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  return kNames;
}

std::span<const std::string_view> enum_names(SortOrder) {
  static constexpr std::string_view kNames[] = {"ascending", "descending"};
  return kNames;
}

std::span<const Member> Filter::described() {
  using F = Filter;
  static constexpr Member kMembers[] = {
      member<&F::field>("field",
                        "A field of class plain (eq, ne), a date, or the record's `created` or "
                        "`updated`.",
                        kName),
      member<&F::op>("op", "The comparison."),
      member<&F::value>("value", "What it is compared with; times in RFC 3339 or as a date (UTC).",
                        {.bytes = 1024}, Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> Sort::described() {
  static constexpr Member kMembers[] = {
      member<&Sort::field>("field", "A field, or the record's `created` or `updated`.", kName),
      member<&Sort::order>("order", "ascending unless said.")};
  return kMembers;
}

std::span<const Member> SearchRecords::described() {
  using R = SearchRecords;
  static constexpr Member kMembers[] = {
      member<&R::collection>("collection", "The collection's name.", kName, Place::path),
      member<&R::q>("q",
                    "Values to find, of fields with an index; a record must match all of them.",
                    {.bytes = 1024, .count = 8}, Place::body, Sensitivity::personal),
      member<&R::text>("text",
                       "What to find in any of `fields`, when it is not known in which: a record "
                       "must have it in one of them, and match all of `q` if that is given too.",
                       {.bytes = 1024}, Place::body, Sensitivity::personal),
      member<&R::fields>("fields", "Fields with an index, to look for `text` in.",
                         {.bytes = 63, .count = 8}),
      member<&R::match>("match",
                        "How to compare, by field: as its index says unless said. A prefix or "
                        "substring index finds whole values too.",
                        {.count = 8}),
      member<&R::filter>("filter", "Narrows what was found; all must hold.", {.count = 8},
                         Place::body, Sensitivity::personal),
      member<&R::sort>("sort",
                       "By a sealed value, while at most 10,000 records may match; by record id "
                       "(oldest first) unless said."),
      member<&R::purpose>("purpose", "A declared purpose, such as `support`.", kName),
      member<&R::limit>("limit", "At most so many; 20 unless said.", {.min = 1, .max = 100}),
      member<&R::after>("after", "`next` of the page before, of the same search.", {.bytes = 800}),
      member<&R::on_behalf_of>("on_behalf_of",
                               "Whom the key acts for, such as `staff:17` or `customer:4711`.",
                               {.bytes = 100}),
      member<&R::engagement>(
          "engagement",
          "The live engagement (`eng_...`) that this is for, where a grant demands one.",
          {.bytes = 30})};
  return kMembers;
}

std::span<const Member> FoundToken::described() {
  static constexpr Member kMembers[] = {
      member<&FoundToken::token>("token", "The token."),
      member<&FoundToken::field>("field", "The field that it stands for.")};
  return kMembers;
}

std::span<const Member> FoundRecord::described() {
  using R = FoundRecord;
  static constexpr Member kMembers[] = {
      member<&R::record>("record", "The record's id."),
      member<&R::subject>("subject", "The customer's id."),
      member<&R::collection>("collection", "The collection's name."),
      member<&R::external_id>("external_id", "The shop's own id of the customer.", {.bytes = 256},
                              Place::body, Sensitivity::personal),
      member<&R::external_id_masked>("external_id_masked",
                                     "True when it is a mask: it is not open to you for this "
                                     "purpose."),
      member<&R::slot>("slot", "The record's name among the customer's."),
      member<&R::version>("version", "Counts the record's changes."),
      member<&R::created>("created", "When it was made."),
      member<&R::updated>("updated", "When it last changed."),
      member<&R::values>("values", "Masked values.", kValues, Place::body, Sensitivity::personal),
      member<&R::hidden>("hidden", "Fields that you may not see even masked."),
      member<&R::tokens>("tokens", "The tokens of its values.")};
  return kMembers;
}

std::span<const Member> FoundRecords::described() {
  using R = FoundRecords;
  static constexpr Member kMembers[] = {
      member<&R::records>("records", "What matched, masked.", {}, Place::body,
                          Sensitivity::personal),
      member<&R::more>("more", "True when there may be more: go on with `next`."),
      member<&R::next>("next", "Give it as `after` for the next page; absent on the last."),
      member<&R::event>("event", "The journal entry that recorded it.")};
  return kMembers;
}

}  // namespace holdfast::vault
