// What a start does again of what the afterlog names, before anything is served.
#pragma once

#include <spdlog/fwd.h>

#include "app/rooms.h"
#include "base/result.h"
#include "base/task.h"
#include "journal/log.h"

namespace holdfast::app {

struct Replay {
  journal::Log& log;
  Rooms& rooms;
  spdlog::logger& logger;
  bool older;     // the database is one of before: restored, or accepted as rolled back
  bool restored;  // out of a backup
};

struct Replayed {
  bool lost = false;         // the afterlog was not there, or not whole
  std::int64_t again = 0;    // things that it names and that were done once more
  std::int64_t by_loss = 0;  // API keys revoked and roles suspended since it was lost once
};

/// Ends keys, suspends narrowed roles, holds, erases, merges and decides where the database has
/// not; what it did stands in the log. Without the afterlog every API key is revoked and every own
/// role suspended. Everything in `at` outlives the task. Errors: those of the rooms; an error
/// means: do not serve.
Task<Result<Replayed>> replay_afterlog(Replay at);

}  // namespace holdfast::app
