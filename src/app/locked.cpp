#include "app/locked.h"

#include "access/network.h"
#include "app/instance.h"

namespace holdfast::app {
namespace {

Error locked() {
  return Error(Code::locked,
               "the server is locked: `holdfast keys status` says what it takes to unlock it");
}

/// A function, not a lambda: its parameters live in the coroutine frame.
Task<Result<http::Answer>> answer_locked(http::Call) {
  co_return locked();
}

}  // namespace

Task<Result<Caller>> LockedGate::authenticate(http::Credentials credentials) {
  co_return Caller{.principal = "nobody",
                   .request_id = std::move(credentials.request_id),
                   .address = std::move(credentials.address),
                   .deadline = credentials.deadline};
}

Task<Result<void>> LockedGate::allow(const Caller&, std::string_view operation) {
  if (operation == "keys.status" || operation == "keys.unlock") co_return Result<void>();
  co_return locked();
}

Task<Result<vault::KeysStatus>> LockedRoutes::status(Caller, vault::KeysStatusRequest) {
  co_return unlocker_.status();
}

Task<Result<vault::UnlockProgress>> LockedRoutes::unlock(Caller caller,
                                                         vault::UnlockRequest request) {
  if (!over_https_)
    co_return Error(Code::forbidden,
                    "this server is unlocked on its own machine: `holdfast unlock --dir DIR` "
                    "there, or set keys.unlock_over_https = \"yes\"");
  // A person usually holds a whole IPv6 /64.
  auto address = access::parse_address(caller.address);
  auto client = address ? access::text_of(access::neighbourhood(*address)) : std::string();
  co_return co_await unlocker_.attempt(Unlocker::Over::https, std::move(client),
                                       std::move(request));
}

std::vector<http::Route> LockedRoutes::rows() {
  std::vector<http::Route> out;
  for (auto& row : all_rows()) {
    if (row.id == "keys.status")
      row.run =
          http::route<&LockedRoutes::status>(this, row.id, row.method, row.path, row.summary).run;
    else if (row.id == "keys.unlock")
      row.run =
          http::route<&LockedRoutes::unlock>(this, row.id, row.method, row.path, row.summary).run;
    else
      row.run = answer_locked;
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace holdfast::app
