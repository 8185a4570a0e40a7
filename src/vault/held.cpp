#include "vault/held.h"

namespace holdfast::vault {

Task<Result<void>> not_held(const Context& context, Holds& holds, Caller caller,
                            std::string_view activity, std::string collection, SubjectId subject,
                            journal::Touch touched) {
  auto held = co_await holds.held(subject, caller.deadline);
  if (!held) co_return std::move(held).error();
  if (!*held) co_return Result<void>();
  journal::Event refused{.activity = activity,
                         .outcome = journal::Outcome::refused,
                         .reason = "held",
                         .collection = std::move(collection)};
  refused.touches.push_back(std::move(touched));
  auto recorded = co_await context.journal.commit(caller, {}, std::move(refused));
  if (!recorded) co_return std::move(recorded).error();
  co_return Error(Code::conflict,
                  "a legal hold forbids to delete anything of this customer: see `holdfast "
                  "retention holds`");
}

}  // namespace holdfast::vault
