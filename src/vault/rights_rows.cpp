#include "vault/rights_rows.h"

namespace holdfast::vault {
namespace {

constexpr std::uint16_t kEvidence = 3;  // beside the texts of a request, 1 and 2

std::uint64_t stamp(const std::optional<Time>& time) {
  return time ? static_cast<std::uint64_t>(to_ms(*time)) + 1 : 0;
}

std::optional<Time> time_in(const db::Rows::Row& row, std::size_t at) {
  return row.null(at) ? std::nullopt : std::optional(from_ms(row.integer(at)));
}

}  // namespace

Decision decision_from(const db::Rows::Row& row) {
  return {DecisionId::from(row.bytes(0)).value_or(DecisionId{}),
          SubjectId::from(row.bytes(1)).value_or(SubjectId{}),
          from_ms(row.integer(2)),
          std::string(row.text(3)),
          std::string(row.text(4)),
          to_bytes(row.bytes(5))};
}

db::Args decision_row(const Decision& decision) {
  return {to_bytes(decision.id.bytes()),
          to_bytes(decision.subject.bytes()),
          to_ms(decision.at),
          decision.decision,
          decision.purpose,
          decision.evidence.empty() ? db::Value() : db::Value(decision.evidence)};
}

crypto::Digest decision_digest(const crypto::KeySet& keys, const Decision& decision) {
  Bytes input;
  put_part(input, std::string_view("decisions"));
  put_part(input, decision.id.bytes());
  put_part(input, decision.subject.bytes());
  put_u64(input, stamp(decision.at));
  put_part(input, decision.decision);
  put_part(input, decision.purpose);
  put_part(input, decision.evidence);
  return keys.digest.mac(input);
}

Binding evidence_binding(const Decision& decision) {
  return {decision.subject, RecordId{decision.id.uuid}, 0, kEvidence, 0};
}

Demand demand_from(const db::Rows::Row& row) {
  return {DemandId::from(row.bytes(0)).value_or(DemandId{}),
          SubjectId::from(row.bytes(1)).value_or(SubjectId{}),
          std::string(row.text(2)),
          std::string(row.text(3)),
          from_ms(row.integer(4)),
          from_ms(row.integer(5)),
          std::string(row.text(6)),
          row.integer(7) != 0,
          time_in(row, 8),
          time_in(row, 9),
          std::string(row.text(10)),
          row.null(11) ? std::nullopt : EventId::from(row.bytes(11)),
          to_bytes(row.bytes(12)),
          to_bytes(row.bytes(13)),
          row.integer(14)};
}

crypto::Digest demand_digest(const crypto::KeySet& keys, const Demand& demand) {
  Bytes input;
  put_part(input, std::string_view("requests"));
  put_part(input, demand.id.bytes());
  put_part(input, demand.subject.bytes());
  put_part(input, demand.kind);
  put_part(input, demand.state);
  put_u64(input, stamp(demand.received));
  put_u64(input, stamp(demand.due));
  put_part(input, demand.identity);
  put_u8(input, demand.extended ? 1 : 0);
  put_u64(input, stamp(demand.alarmed));
  put_u64(input, stamp(demand.answered));
  put_part(input, demand.outcome);
  put_part(input, demand.event ? demand.event->bytes() : BytesView());
  put_part(input, demand.asked);
  put_part(input, demand.answer);
  put_u64(input, static_cast<std::uint64_t>(demand.version));
  return keys.digest.mac(input);
}

Binding demand_binding(const Demand& demand, std::uint16_t text) {
  return {demand.subject, RecordId{demand.id.uuid}, 0, text, 0};
}

std::span<const db::Sql* const> rights_statements() {
  static constexpr const db::Sql* kAll[] = {&kAddDecision,  &kDecisionsOf, &kDropDecisions,
                                            &kAllDecisions, &kFindDemand,  &kDemandsOf,
                                            &kAllDemands};
  return kAll;
}

}  // namespace holdfast::vault
