// Card data is off until the owner switches it on for the store, knowing what that means for the
// shop's PCI DSS duty. Switched off, what is held can still be opened and deleted; no new values
// and no new fields are taken.
#pragma once

#include "http/route.h"
#include "vault/context.h"

namespace holdfast::vault {

struct CardsStatusRequest {
  static std::span<const Member> described() { return {}; }
};
struct SwitchCardsOn {
  std::string accept;
  std::optional<std::string> reason;
  static std::span<const Member> described();
};
struct SwitchCardsOff {
  std::optional<std::string> reason;
  static std::span<const Member> described();
};
struct CardsStatus {
  bool on = false;
  std::string consequence;
  std::string advice;
  std::vector<std::string> fields;
  std::optional<EventId> event;
  static std::span<const Member> described();
};

/// Errors: invalid (not accepted, in so many words), conflict (changed meanwhile), locked,
/// unavailable. Switching takes effect on every core before the reply. Threads: any io_context
/// thread.
class Cards {
 public:
  explicit Cards(Context context) : context_(context) {}

  Task<Result<CardsStatus>> status(Caller caller, CardsStatusRequest request);
  /// `accept` must be `SAQ D`. Switching on what is on changes nothing.
  Task<Result<CardsStatus>> switch_on(Caller caller, SwitchCardsOn request);
  Task<Result<CardsStatus>> switch_off(Caller caller, SwitchCardsOff request);

 private:
  Task<Result<CardsStatus>> put(Caller caller, bool on, std::string reason,
                                std::string_view activity);

  Context context_;
};

/// nullptr only to be described.
std::vector<http::Route> card_routes(Cards* cards);

}  // namespace holdfast::vault
