// Streams and the keys that opened them, through all rooms.
#include <algorithm>
#include <functional>
#include <utility>

#include "app/rooms_bench.h"

namespace holdfast::app {
namespace {

/// A reader during whose first piece something happens.
struct Reader final : http::BodyWriter {
  std::function<Task<void>()> meanwhile;
  std::string text;
  mutable int looks_left = 20;  // in place of waiting for ever

  Task<Result<void>> start(std::string_view) override { co_return Result<void>(); }
  Task<Result<void>> write(std::string_view bytes) override {
    text += bytes;
    if (auto once = std::exchange(meanwhile, nullptr)) co_await once();
    co_return Result<void>();
  }
  bool closing() const override { return --looks_left <= 0; }
};

class AppStreams : public AllRooms {
 protected:
  Result<http::Answer> follow(Caller caller, Reader& reader) {
    auto routes = Rooms::rows(&bench_.rooms());
    auto route = std::ranges::find(routes, "journal.events", &http::Route::id);
    http::Call call;
    call.caller = std::move(caller);
    const std::vector<std::pair<std::string, std::string>> after{{"after", "0"}};
    call.parts = {.body = {}, .path = {}, .query = after};
    call.download = &reader;
    (void)bench_.last_entry();  // by now all that was committed has its place in the log
    return bench_.run(route->run(std::move(call)));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, AppStreams, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(AppStreams, of_events_end_with_the_reply_of_revoke) {
  auto made = bench_.make_key("auditor");
  const auto caller = bench_.sign_in(made.api_key);
  Reader reader;
  reader.meanwhile = [this, owner = bench_.owner(), key = made.info.key]() -> Task<void> {
    must(co_await bench_.rooms().admin.revoke_key(owner, {.key = key, .if_match = {}}));
  };

  auto ended = follow(caller, reader);

  EXPECT_EQ(code_of(ended), Code::unauthenticated);
  EXPECT_TRUE(reader.text.contains("api_keys.create"));
  EXPECT_FALSE(reader.text.contains("api_keys.revoke"));
}

TEST_P(AppStreams, of_events_end_when_the_key_expires) {
  const auto caller = bench_.caller("auditor");
  Reader reader;
  reader.meanwhile = [this]() -> Task<void> {
    bench_.clock().set_now(bench_.clock().now() + std::chrono::days(90));
    co_return;
  };

  auto ended = follow(caller, reader);

  EXPECT_EQ(code_of(ended), Code::unauthenticated);
}

TEST_P(AppStreams, of_events_end_when_a_role_loses_the_right) {
  auto put = [this](std::vector<std::string> permissions, std::string if_match) {
    return bench_.rooms().admin.put_role(bench_.owner(), {.role = "watch",
                                                          .doc = {},
                                                          .permissions = std::move(permissions),
                                                          .grants = {},
                                                          .if_match = std::move(if_match)});
  };
  const auto role = must(bench_.run(put({"journal.events"}, {})));
  const auto caller = bench_.caller("watch");
  Reader reader;
  auto less = put({"journal.list"}, std::to_string(role.version));
  reader.meanwhile = [&less]() -> Task<void> { must(co_await std::move(less)); };

  auto ended = follow(caller, reader);

  EXPECT_EQ(code_of(ended), Code::forbidden);
}

}  // namespace
}  // namespace holdfast::app
