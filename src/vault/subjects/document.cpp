#include "vault/subjects/document.h"

#include <initializer_list>

#include "base/json.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kStyle =
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1em 0}"
    "th,td{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}th{background:#f2f2f2}";

/// Grows without leaving copies behind.
void add(std::string& out, std::string_view text) {
  reserve_wiping(out, text.size());
  out += text;
}

std::string_view name_of(auto value) {
  return enum_names(value)[static_cast<std::size_t>(value)];
}

std::string_view replacement(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    case '`':
      return "&#96;";
    default:
      break;
  }
  auto byte = static_cast<unsigned char>(c);
  bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
  return control ? "\xEF\xBF\xBD" : std::string_view();
}

// ── JSON

class JsonDocument final : public Document {
 public:
  std::string_view type() const override { return "application/json"; }

  std::string begin(const DocumentHead& head) override {
    std::string out = R"({"format":"holdfast-export-1")";
    member(out, "made", rfc3339(head.made));
    member(out, "subject", head.subject.text());
    member(out, "created", rfc3339(head.created));
    list(out, "external_ids", head.external_ids,
         [&](const Secret& id) { text(out, id.expose_text()); });
    if (head.standing.restricted) {
      add(out, R"(,"restricted":)");
      auto view = view_of(*head.standing.restricted);
      write_described(type_of<RestrictionView>(), &view, out);
    }
    list(out, "decided", views_of(head.standing),
         [&](const PurposeView& view) { write_described(type_of<PurposeView>(), &view, out); });
    list(out, "purposes", head.purposes, [&](const Purpose& purpose) {
      add(out, R"({"purpose":)");
      text(out, purpose.name);
      member(out, "legal_basis", name_of(purpose.legal_basis));
      member(out, "doc", purpose.doc);
      add(out, "}");
    });
    add(out, R"(,"records":[)");
    return out;
  }

  std::string record(const DocumentRecord& record) override {
    auto out = next("records");
    add(out, R"({"record":)");
    text(out, record.record.text());
    member(out, "collection", record.collection);
    if (!record.meaning.empty()) member(out, "meaning", record.meaning);
    if (record.slot) member(out, "slot", *record.slot);
    member(out, "created", rfc3339(record.created));
    member(out, "updated", rfc3339(record.updated));
    list(out, "values", record.values, [&](const DocumentValue& value) { put(out, value); });
    add(out, "}");
    return out;
  }

  std::string decision(const DecisionView& decision) override {
    auto out = next("decisions");
    write_described(type_of<DecisionView>(), &decision, out);
    return out;
  }

  std::string request(const Demand& demand) override {
    auto out = next("requests");
    add(out, R"({"request":)");
    text(out, demand.id.text());
    member(out, "kind", demand.kind);
    member(out, "state", demand.state);
    member(out, "received", rfc3339(demand.received));
    member(out, "due", rfc3339(demand.due));
    if (demand.answered) member(out, "answered", rfc3339(*demand.answered));
    if (!demand.outcome.empty()) member(out, "outcome", demand.outcome);
    add(out, "}");
    return out;
  }

  std::string engagement(const DocumentEngagement& engagement) override {
    auto out = next("engagements");
    add(out, R"({"engagement":)");
    text(out, engagement.engagement.text());
    member(out, "kind", engagement.kind);
    member(out, "opened", rfc3339(engagement.opened));
    member(out, "until", rfc3339(engagement.until));
    if (engagement.reference) member(out, "reference", engagement.reference->expose_text());
    add(out, "}");
    return out;
  }

  std::string access(const AccessNote& access) override {
    auto out = next("accesses");
    write_described(type_of<AccessNote>(), &access, out);
    return out;
  }

  std::string end() override {
    auto out = upto("");
    add(out, "}\n");
    return out;
  }

 private:
  static constexpr std::string_view kLists[] = {"records", "decisions", "requests", "engagements",
                                                "accesses"};

  static void text(std::string& out, std::string_view value) { append_json_string(out, value); }
  static void member(std::string& out, std::string_view name, std::string_view value) {
    add(out, ",");
    append_json_string(out, name);
    add(out, ":");
    append_json_string(out, value);
  }
  template <class Items, class Each>
  static void list(std::string& out, std::string_view name, const Items& items, Each each) {
    add(out, ",");
    append_json_string(out, name);
    add(out, ":[");
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) add(out, ",");
      each(item);
    }
    add(out, "]");
  }
  static void put(std::string& out, const DocumentValue& value) {
    add(out, R"({"field":)");
    text(out, value.field);
    member(out, "class", name_of(value.field_class));
    list(out, "purposes", value.purposes, [&](const std::string& name) { text(out, name); });
    member(out, "keep_group", value.keep_group);
    if (value.kept_until) member(out, "kept_until", rfc3339(*value.kept_until));
    member(out, "shown", name_of(value.shown));
    if (value.shown == Shown::clear || value.shown == Shown::masked) {
      add(out, R"(,"value":)");
      if (value.json && value.shown == Shown::clear)
        add(out, value.value.expose_text());
      else
        text(out, value.value.expose_text());
    }
    add(out, "}");
  }

  /// Closes the lists before this one; all of them for no name.
  std::string upto(std::string_view name) {
    std::string out;
    while (kLists[at_] != name) {
      add(out, "]");
      if (++at_ == std::size(kLists)) break;
      add(out, ",");
      append_json_string(out, kLists[at_]);
      add(out, ":[");
      first_ = true;
    }
    return out;
  }
  std::string next(std::string_view name) {
    auto out = upto(name);
    if (!std::exchange(first_, false)) add(out, ",");
    return out;
  }

  std::size_t at_ = 0;
  bool first_ = true;
};

// ── HTML

class HtmlDocument final : public Document {
 public:
  std::string_view type() const override { return "text/html; charset=utf-8"; }

  std::string begin(const DocumentHead& head) override {
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; form-action 'none'; base-uri 'none'\">"
        "<meta name=\"referrer\" content=\"no-referrer\">"
        "<title>Your data</title><style>";
    add(out, kStyle);
    add(out, "</style></head><body>\n<h1>Your data</h1>\n");
    table(out, {"What", "Content"});
    row(out, {"Made", rfc3339(head.made)});
    row(out, {"Customer", head.subject.text()});
    row(out, {"Known since", rfc3339(head.created)});
    for (const auto& id : head.external_ids) row(out, {"Number in the shop", id.expose_text()});
    if (head.standing.restricted)
      row(out, {"Processing is restricted since", rfc3339(head.standing.restricted->since)});
    add(out, "</table>\n<h2>What your data is used for</h2>\n");
    table(out, {"Purpose", "What it is", "Legal basis (GDPR art. 6)", "What you decided"});
    for (const auto& purpose : head.purposes)
      row(out, {purpose.name, purpose.doc, words(name_of(purpose.legal_basis)),
                said_of(head.standing, purpose.name)});
    add(out, "</table>\n<h2>What is held of you</h2>\n");
    return out;
  }

  std::string record(const DocumentRecord& record) override {
    std::string out = "<h3>";
    append_html(out, record.collection);
    if (record.slot) {
      add(out, " / ");
      append_html(out, *record.slot);
    }
    add(out, "</h3>\n<p>");
    append_html(out, record.meaning);
    add(out, record.meaning.empty() ? "Added " : " Added ");
    append_html(out, rfc3339(record.created));
    add(out, ", last changed ");
    append_html(out, rfc3339(record.updated));
    add(out, ".</p>\n");
    table(out, {"Field", "Value", "Class", "Used for", "Kept"});
    for (const auto& value : record.values) put(out, value);
    add(out, "</table>\n");
    return out;
  }

  std::string decision(const DecisionView& decision) override {
    auto out = section(1, "What you decided", {"When", "What", "Purpose", "Evidence"});
    row(out, {rfc3339(decision.at), words(decision.decided), decision.purpose.value_or(""),
              decision.evidence ? decision.evidence->expose_text() : std::string_view()});
    return out;
  }

  std::string request(const Demand& demand) override {
    auto out = section(2, "What you asked for", {"Received", "What", "Due", "Answer"});
    auto answer = demand.answered ? rfc3339(*demand.answered) + ", " + demand.outcome
                                  : std::string("not answered yet");
    row(out, {rfc3339(demand.received), demand.kind, rfc3339(demand.due), answer});
    return out;
  }

  std::string engagement(const DocumentEngagement& engagement) override {
    auto out = section(3, "Why your data could be looked at", {"From", "Until", "What", "Number"});
    row(out, {rfc3339(engagement.opened), rfc3339(engagement.until), engagement.kind,
              engagement.reference ? engagement.reference->expose_text() : std::string_view()});
    return out;
  }

  std::string access(const AccessNote& access) override {
    auto out = section(4, "Who opened your data",
                       {"When", "Who (under a pseudonym)", "What for", "Fields", "Operation"});
    std::string fields;
    for (const auto& field : access.fields) (fields += fields.empty() ? "" : ", ") += field;
    row(out, {rfc3339(access.at), access.actor, access.purpose, fields, access.operation});
    return out;
  }

  std::string end() override {
    std::string out = at_ > 0 ? "</table>\n" : "";
    add(out, "</body></html>\n");
    return out;
  }

 private:
  static std::string words(std::string_view name) {
    std::string out(name);
    for (auto& c : out)
      if (c == '_') c = ' ';
    return out;
  }
  static std::string said_of(const Standing& standing, std::string_view purpose) {
    const auto* decided = standing.find(purpose);
    if (!decided) return "";
    if (decided->objected) return "you objected on " + rfc3339(decided->objected_at);
    if (decided->consent == Consent::none) return "";
    return (decided->consent == Consent::given ? "you agreed on " : "you withdrew on ") +
           rfc3339(decided->consent_at);
  }
  static void table(std::string& out, std::initializer_list<std::string_view> heads) {
    add(out, "<table><tr>");
    for (auto head : heads) {
      add(out, "<th>");
      append_html(out, head);
      add(out, "</th>");
    }
    add(out, "</tr>\n");
  }
  static void row(std::string& out, std::initializer_list<std::string_view> cells) {
    add(out, "<tr>");
    for (auto cell : cells) {
      add(out, "<td>");
      append_html(out, cell);
      add(out, "</td>");
    }
    add(out, "</tr>\n");
  }
  static void put(std::string& out, const DocumentValue& value) {
    std::string purposes;
    for (const auto& name : value.purposes) (purposes += purposes.empty() ? "" : ", ") += name;
    if (purposes.empty()) purposes = "every purpose above";
    auto kept = value.kept_until ? "until " + rfc3339(*value.kept_until)
                                 : "until it is erased (group " + value.keep_group + ")";
    std::string_view shown = value.value.expose_text();
    if (value.shown == Shown::withheld) shown = "(held, but not shown here: ask for it)";
    if (value.shown == Shown::erased) shown = "(erased)";
    if (value.shown == Shown::damaged) shown = "(held, but damaged)";
    row(out, {value.field, shown, name_of(value.field_class), purposes, kept});
  }
  /// Opens the section when it is met first, and closes the one before.
  std::string section(int at, std::string_view title,
                      std::initializer_list<std::string_view> heads) {
    std::string out;
    if (at_ == at) return out;
    if (at_ > 0) add(out, "</table>\n");
    at_ = at;
    add(out, "<h2>");
    append_html(out, title);
    add(out, "</h2>\n");
    table(out, heads);
    return out;
  }

  int at_ = 0;
};

}  // namespace

std::span<const std::string_view> enum_names(Shown) {
  static constexpr std::string_view kNames[] = {"clear", "masked", "withheld", "erased", "damaged"};
  return kNames;
}

std::unique_ptr<Document> make_document(ExportFormat format) {
  if (format == ExportFormat::html) return std::make_unique<HtmlDocument>();
  return std::make_unique<JsonDocument>();
}

void append_html(std::string& out, std::string_view text) {
  if (!valid_utf8(text)) return add(out, "\xEF\xBF\xBD");
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto instead = replacement(text[i]);
    if (instead.empty()) continue;
    add(out, text.substr(from, i - from));
    add(out, instead);
    from = i + 1;
  }
  add(out, text.substr(from));
}

}  // namespace holdfast::vault
