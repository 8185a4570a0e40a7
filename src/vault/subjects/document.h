// A customer's data as one document (GDPR art. 15 and 20): JSON for machines, or one HTML file to
// read, without scripts, links or anything loaded from elsewhere. Pure: pieces of text in, in
// order: begin, records, decisions, requests, engagements, accesses, end. Everything that comes
// from data is escaped.
//
// The pieces hold personal data: whoever takes one wipes it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vault/subjects/messages.h"

namespace holdfast::vault {

/// What is said of the customer and of the purposes that the shop declared.
struct DocumentHead {
  Time made{};
  SubjectId subject;
  Time created{};
  std::vector<Secret> external_ids;
  Standing standing;
  std::vector<Purpose> purposes;
};

enum class Shown : std::uint8_t { clear, masked, withheld, erased, damaged };
std::span<const std::string_view> enum_names(Shown);

struct DocumentValue {
  std::string field;
  FieldClass field_class = FieldClass::personal;
  std::vector<std::string> purposes;  // empty: every declared one
  std::string keep_group;
  std::optional<Time> kept_until;  // absent: as long as its keep group
  Shown shown = Shown::clear;
  Secret value;  // empty where nothing is shown
  bool json = false;
};

struct DocumentRecord {
  RecordId record;
  std::string collection, meaning;
  std::optional<std::string> slot;
  Time created{}, updated{};
  std::vector<DocumentValue> values;
};

struct DocumentEngagement {
  EngagementId engagement;
  std::string kind;
  Time opened{}, until{};           // closed, or closes
  std::optional<Secret> reference;  // absent where it is not shown
};

class Document {
 public:
  virtual ~Document() = default;
  /// A media type.
  virtual std::string_view type() const = 0;
  virtual std::string begin(const DocumentHead& head) = 0;
  virtual std::string record(const DocumentRecord& record) = 0;
  virtual std::string decision(const DecisionView& decision) = 0;
  virtual std::string request(const Demand& demand) = 0;
  virtual std::string engagement(const DocumentEngagement& engagement) = 0;
  virtual std::string access(const AccessNote& access) = 0;
  virtual std::string end() = 0;
};

std::unique_ptr<Document> make_document(ExportFormat format);

/// Text as HTML content: `& < > " '` and the backtick as entities; control characters, which no
/// browser should see, as U+FFFD; line breaks stay. Bytes that are not UTF-8 become U+FFFD too.
void append_html(std::string& out, std::string_view text);

}  // namespace holdfast::vault
