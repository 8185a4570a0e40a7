// Routes of the records: the services' verbs are the handlers.
#pragma once

#include "http/route.h"
#include "vault/records/opening.h"
#include "vault/records/service.h"

namespace holdfast::vault {

/// nullptr only to be described.
std::vector<http::Route> record_routes(Records* records, Opening* opening);

}  // namespace holdfast::vault
