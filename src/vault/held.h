// Legal holds, as operations that destroy something ask for them.
#pragma once

#include "vault/context.h"
#include "vault/ports.h"

namespace holdfast::vault {

/// Refuses what would destroy something of a customer under a legal hold, and records that with
/// what would have been touched. Whoever goes on puts Holds::guard into the commit. Errors:
/// conflict (held), unavailable.
Task<Result<void>> not_held(const Context& context, Holds& holds, Caller caller,
                            std::string_view activity, std::string collection, SubjectId subject,
                            journal::Touch touched);

}  // namespace holdfast::vault
