// What the command says to the shell.
#pragma once

#include "base/result.h"

namespace holdfast::app {

enum Exit : int {
  kDone = 0,
  kFailed = 1,       // anything not named below
  kUsage = 2,        // the words of the command are off
  kRefused = 3,      // 401, 403: not signed in, or not allowed
  kNotFound = 4,     // 404, 410
  kConflict = 5,     // 409: exists already, or changed meanwhile
  kUnavailable = 6,  // no connection, 429, 503: try again later
};

inline Exit exit_for(Code code) {
  switch (code) {
    case Code::unauthenticated:
    case Code::forbidden:
      return kRefused;
    case Code::not_found:
    case Code::gone:
      return kNotFound;
    case Code::conflict:
      return kConflict;
    case Code::exhausted:
    case Code::locked:
    case Code::unavailable:
      return kUnavailable;
    default:
      return kFailed;
  }
}

inline Exit exit_for_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return kRefused;
    case 404:
    case 410:
      return kNotFound;
    case 409:
    case 412:
      return kConflict;
    case 423:
    case 429:
    case 503:
      return kUnavailable;
    default:
      return status >= 200 && status < 300 ? kDone : kFailed;
  }
}

}  // namespace holdfast::app
