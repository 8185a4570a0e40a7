// keys.lock, reshare, rehearse, move and what a start finishes of them, on both databases.
#include "vault/keys/unlocking.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <fstream>
#include <thread>

#include "crypto/aead.h"
#include "crypto/private_file.h"
#include "crypto/unlock/file.h"
#include "support/hsm.h"
#include "vault/keys/rotation.h"
#include "vault/keys/rotation_journal.h"
#include "vault/keys/share_files.h"
#include "vault/vault_bench.h"

namespace {

/// A disk that does not make this folder durable, so many times, while `when` says so.
struct BadFolder {
  std::filesystem::path folder;
  std::atomic<int> times;
  std::function<bool()> when;
  bool is(int fd) const {
    struct stat a{}, b{};
    return ::fstat(fd, &a) == 0 && ::stat(folder.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
  }
};
std::atomic<BadFolder*> bad_folder = nullptr;

}  // namespace

/// In place of the C library's, for this whole program.
extern "C" int fsync(int fd) {
  auto* bad = bad_folder.load();
  if (bad && bad->is(fd) && bad->when() && bad->times.fetch_sub(1) > 0) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace holdfast::vault {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWords = "correct horse battery staple";
constexpr crypto::PassphraseCost kCheap{65'536, 3};
constexpr Millis kDay{86'400'000};

class FakeHost final : public UnlockHost {
 public:
  int forgotten = 0, locked_times = 0;
  std::optional<CertificateDates> dates{};
  std::int64_t ending = 0;

  void forget_keys() override { ++forgotten; }
  void locked(bool) override { ++locked_times; }
  [[noreturn]] void abandon() override { std::abort(); }
  std::optional<CertificateDates> certificate() override { return dates; }
  Task<std::int64_t> api_keys_ending(Millis) override { co_return ending; }
};

/// A store of method `file` on the bench's database.
class KeysBench {
 public:
  explicit KeysBench(db::Database::Kind kind) : bench(kind) {
    auto root = Secret::random(crypto::kKeyBytes);
    auto ring = must(crypto::Keyring::open(bench.keys().get()->ring.sealed(root), root));
    recovery = crypto::split(root, ring.store_id(), 2, 3);
    must(crypto::write_key_file(places.files.key_file, ring.store_id(), root));
    auto record = must(crypto::make_record(places.files, ring.store_id(), root,
                                           {.recovery = crypto::set_of(recovery[0])}));
    must(crypto::stage_record(places.files, record, root, {}));
    must(crypto::put_staged_record(places.files));
    must(crypto::write_keyring(places.files.keyring, ring, root));
    hold(std::move(ring), std::move(root));
    start();
    must(bench.run(unlocking->resume({})));
  }

  void hold(crypto::Keyring ring, Secret root) {
    bench.keys().set(std::make_shared<const crypto::KeySet>(std::move(ring), std::move(root)));
  }
  void start() {
    schemas = std::make_unique<SchemaCache>(bench.journal(), bench.keys());
    unlocking =
        std::make_unique<Unlocking>(Unlocking::Deps{context(), bench.keys(), pool, host, places});
  }
  Context context() {
    return {bench.journal(), bench.store(), *schemas, bench.keys(), bench.permits(), bench.clock()};
  }
  /// What a process that was killed finds when it starts again.
  Result<void> restart(const crypto::Means& means = {}) {
    auto opened = crypto::open_store(places.files, means);
    if (!opened) return std::move(opened).error();
    must(crypto::finish_staged(places.files, *opened));
    hold(std::move(opened->ring), std::move(opened->root));
    if (auto old = bench.run(refuse_older_keyring(bench.log().reader(), *bench.keys().get())); !old)
      return old;
    bench.reopen();
    start();
    return bench.run(unlocking->resume({}));
  }
  /// The next commit goes through, those after it fail: as when the process is killed between.
  void break_after_one_commit() {
    bench.journal().before_commit = [this]() -> Task<void> {
      bench.journal().fail = true;
      co_return;
    };
  }

  std::vector<Secret> texts(const std::vector<crypto::Share>& shares,
                            std::initializer_list<std::size_t> which) {
    std::vector<Secret> out;
    for (auto i : which) out.push_back(std::move(text_of(shares[i]).text));
    return out;
  }
  static crypto::Means words(std::string_view text = kWords) {
    crypto::Means out;
    out.passphrase = must(crypto::passphrase_from(text));
    return out;
  }
  static crypto::Means from_files(const NewShares& set, std::size_t count) {
    crypto::Means out;
    for (std::size_t i = 0; i < count; ++i) {
      std::ifstream in(set.files.at(i));
      std::string text(std::istreambuf_iterator<char>(in), {});
      out.shares.push_back(must(crypto::parse_share(text)));
    }
    return out;
  }
  crypto::Means recovered(std::initializer_list<std::size_t> which) {
    crypto::Means out;
    for (auto i : which) out.shares.push_back(copy_of(recovery[i]));
    return out;
  }
  UnlockState state() {
    return must(bench.run(read_state(bench.log().reader(), *bench.keys().get(), MonoTime::max())))
        .state.value();
  }
  KeysStatus status() { return must(bench.run(unlocking->status({}, {}))); }
  std::vector<std::string> alarms() {
    std::vector<std::string> out;
    for (const auto& alarm : must(bench.run(unlocking->look()))) out.push_back(alarm.alarm);
    return out;
  }
  bool clean() {
    VaultState rows(context());
    UnlockRows own(bench.log().reader(), bench.keys());
    return must(bench.run(journal::check_state(bench.log(), {&rows, &own}))).good();
  }
  Result<Moved> move_to_passphrase() {
    return bench.run(
        unlocking->move({}, {.to = Method::passphrase, .passphrase = Secret::copy(kWords)}));
  }
  std::string fact(const journal::Event& event, std::string_view name) {
    for (const auto& [key, value] : event.facts)
      if (key == name && std::holds_alternative<std::string>(value))
        return std::get<std::string>(value);
    return "-";
  }
  const journal::Event& last() { return bench.journal().events.back(); }

  VaultBench bench;
  test::TempDir dir;
  UnlockPlaces places{.files = {dir / "unlock", dir / "keyring", dir / "keys/root.key", {}},
                      .keyring_copy = dir / "backup/keyring",
                      .copied = dir / "keyring.copied",
                      .latch = dir / "locked",
                      .shares = dir / "shares",
                      .cost = kCheap};
  FakeHost host;
  Pool pool{2, 16};
  std::vector<crypto::Share> recovery;
  std::unique_ptr<SchemaCache> schemas;
  std::unique_ptr<Unlocking> unlocking;
};

class Keys : public testing::TestWithParam<db::Database::Kind> {
 protected:
  KeysBench keys_{GetParam()};
  VaultBench& bench_ = keys_.bench;
};
INSTANTIATE_TEST_SUITE_P(Databases, Keys, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

// ── generations

TEST_P(Keys, a_first_start_records_the_generation_and_a_second_one_nothing) {
  auto first = keys_.last();

  must(keys_.restart());

  EXPECT_EQ(first.activity, "keys.generation");
  EXPECT_TRUE(bench_.journal().events.empty());
  EXPECT_EQ(keys_.state().generation, 1);
  EXPECT_TRUE(keys_.clean());
}

TEST_P(Keys, a_newer_keyring_is_taken_over_and_an_older_one_refused) {
  auto held = bench_.keys().get();
  auto old = held->ring.sealed(held->root);
  auto next = held->ring.with_new(crypto::KeyUse::epoch, bench_.clock().now());
  must(crypto::write_keyring(keys_.places.files.keyring, next, held->root));
  held.reset();

  must(keys_.restart());
  EXPECT_EQ(keys_.state().generation, 2);
  ASSERT_TRUE(crypto::replace_private(keys_.places.files.keyring, old));
  auto refused = keys_.restart();

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_NE(refused.error().text.find("older"), std::string_view::npos);
}

TEST_P(Keys, a_server_with_a_stale_keyring_stops_serving) {
  auto held = bench_.keys().get();
  auto old = held->ring.sealed(held->root);
  auto next = held->ring.with_new(crypto::KeyUse::epoch, bench_.clock().now());
  must(crypto::write_keyring(keys_.places.files.keyring, next, held->root));
  auto stale = must(crypto::Keyring::open(old, held->root));
  auto root = held->root.clone();
  held.reset();
  must(keys_.restart());

  keys_.hold(must(crypto::Keyring::open(old, root)), root.clone());
  must(bench_.run(keys_.unlocking->look()));  // the file is newer: taken over
  EXPECT_EQ(bench_.keys().get()->ring.generation(), 2u);
  ASSERT_TRUE(crypto::replace_private(keys_.places.files.keyring, old));
  keys_.hold(std::move(stale), std::move(root));
  auto looked = bench_.run(keys_.unlocking->look());

  ASSERT_FALSE(looked);
  EXPECT_EQ(bench_.keys().get(), nullptr);
  EXPECT_TRUE(keys_.unlocking->stale());
  EXPECT_EQ(keys_.host.forgotten, 1);
}

TEST_P(Keys, a_row_that_somebody_changed_is_reported_and_recorded) {
  bench_.raw().run("update vault_keyring set generation = 0");
  EXPECT_FALSE(keys_.clean());

  must(keys_.restart());

  EXPECT_EQ(keys_.last().outcome, journal::Outcome::failed);
  EXPECT_EQ(keys_.last().reason, "row_changed");
  auto alarms = keys_.alarms();
  EXPECT_NE(std::ranges::find(alarms, "keyring_row"), alarms.end());
  EXPECT_EQ(keys_.state().generation, 1);
}

TEST_P(Keys, who_unlocked_is_recorded) {
  must(bench_.run(keys_.unlocking->resume(
      UnlockedBy{.over = "socket", .shares = {1, 3}, .failed = 2, .locked_by = "key_x"})));

  EXPECT_EQ(keys_.last().activity, "keys.unlock");
  EXPECT_EQ(keys_.fact(keys_.last(), "shares"), "1,3");
  EXPECT_EQ(keys_.fact(keys_.last(), "locked_by"), "key_x");
}

// ── lock

TEST_P(Keys, a_lock_drops_the_keys_latches_and_is_recorded) {
  auto locked = must(bench_.run(
      keys_.unlocking->lock(Caller{.principal = "key_watch"}, {.reason = "stolen laptop"})));

  EXPECT_TRUE(locked.locked && locked.latched && locked.recorded);
  EXPECT_EQ(bench_.keys().get(), nullptr);
  EXPECT_EQ(keys_.host.forgotten, 2) << "at once, and when nobody holds any more";
  EXPECT_EQ(keys_.host.locked_times, 1);
  EXPECT_EQ(keys_.last().activity, "keys.lock");
  EXPECT_EQ(keys_.last().note, "stolen laptop");
  auto latch = crypto::read_private(keys_.places.latch, 4096);
  ASSERT_TRUE(latch);
  EXPECT_NE(latch->expose_text().find("by: key_watch"), std::string_view::npos);
}

TEST_P(Keys, a_latch_stays_until_the_unlocking_is_recorded) {
  ASSERT_TRUE(crypto::replace_private(keys_.places.latch, as_bytes("x\n")));
  bench_.journal().fail = true;
  auto unrecorded = bench_.run(keys_.unlocking->resume(UnlockedBy{.over = "socket"}));
  bool still = std::filesystem::exists(keys_.places.latch);
  bench_.journal().fail = false;

  must(bench_.run(keys_.unlocking->resume(UnlockedBy{.over = "socket"})));

  EXPECT_FALSE(unrecorded);
  EXPECT_TRUE(still) << "a crash here leaves the store locked";
  EXPECT_FALSE(std::filesystem::exists(keys_.places.latch));
  EXPECT_EQ(keys_.last().activity, "keys.unlock");
}

TEST_P(Keys, a_lock_answers_only_when_no_request_holds_a_key) {
  auto held = bench_.keys().get();
  std::atomic<bool> let_go = false;
  std::jthread request([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    let_go = true;
    held.reset();
  });

  must(bench_.run(keys_.unlocking->lock({}, {})));

  EXPECT_TRUE(let_go);
}

TEST_P(Keys, a_lock_does_not_wait_for_a_journal_that_is_away) {
  bench_.journal().fail = true;

  auto locked = must(bench_.run(keys_.unlocking->lock({}, {})));

  EXPECT_FALSE(locked.recorded);
  EXPECT_TRUE(locked.latched);
  EXPECT_EQ(bench_.keys().get(), nullptr);
}

TEST_P(Keys, a_lock_whose_latch_cannot_be_written_locks_and_says_so) {
  std::ofstream(keys_.dir / "file") << "x";
  keys_.places.latch = keys_.dir / "file/locked";
  keys_.start();

  auto locked = must(bench_.run(keys_.unlocking->lock({}, {})));

  EXPECT_FALSE(locked.latched);
  EXPECT_EQ(bench_.keys().get(), nullptr);
}

// ── rotations meanwhile

/// Rotations whose generations go into the file that unlocking works on.
class KeysRotating : public Keys {
 protected:
  /// Bound to a log that is open.
  struct Rows {
    VaultState state;
    UnlockRows unlock;
    RestatedRows restated;
    Rows(Context context, journal::Log& log, const crypto::HeldKeys& keys)
        : state(context), unlock(log.reader(), keys), restated(log, {&state, &unlock}) {}
  };
  std::unique_ptr<Rows> rows_;
  std::function<void()> after_save_ = [] {};
  std::unique_ptr<Rotations> rotations_;

  Result<crypto::Keyring> save(const crypto::Keyring& ring) {
    auto held = bench_.keys().get();
    auto copied = keys_.unlocking->keep_copy(ring, held->root);
    if (!copied) return copied;
    auto wrote = crypto::write_keyring(keys_.places.files.keyring, *copied, held->root);
    held.reset();
    after_save_();
    if (!wrote) return std::move(wrote).error();
    return copied;
  }
  void begin() {
    rows_ = std::make_unique<Rows>(keys_.context(), bench_.log(), bench_.keys());
    rotations_ = std::make_unique<Rotations>(
        Rotations::Deps{.context = keys_.context(),
                        .held = bench_.keys(),
                        .save = [this](const crypto::Keyring& ring) { return save(ring); },
                        .time = [this] { return Result<Time>(bench_.clock().now()); },
                        .forget_backups = [](Time) { return Result<std::int64_t>(0); },
                        .count_backups = [](Time) { return Result<std::int64_t>(0); },
                        .rows = {&rows_->restated},
                        .settings = {.epoch = {}}});
    must(bench_.run(rotations_->prepare()));
  }
  void rotate(KeyKind kind) {
    begin();
    must(bench_.run(rotations_->rotate({}, {kind, true})));
  }
  void finish() {
    for (int i = 0; i < 100; ++i)
      if (must(bench_.run(rotations_->step())) == Rotations::Pace::idle) return;
    FAIL() << "the rotation does not end";
  }
  std::vector<std::uint32_t> on_disk(crypto::KeyUse use, const crypto::Means& means = {}) {
    return must(crypto::open_store(keys_.places.files, means)).ring.ids(use);
  }
  void restart() {
    rotations_.reset();
    rows_.reset();
    must(keys_.restart());
    begin();
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, KeysRotating, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(KeysRotating, a_reshare_in_the_middle_of_a_rotation_leaves_both_whole) {
  rotate(KeyKind::digest);
  must(bench_.run(rotations_->step()));

  auto reshared = must(bench_.run(keys_.unlocking->reshare({}, {})));
  finish();

  EXPECT_EQ(on_disk(crypto::KeyUse::digest), (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(on_disk(crypto::KeyUse::digest, keys_.from_files(reshared.recovery, 2)),
            (std::vector<std::uint32_t>{2}));
  EXPECT_FALSE(crypto::open_store(keys_.places.files, keys_.recovered({0, 1})));
  EXPECT_TRUE(keys_.clean());
  restart();
  EXPECT_TRUE(keys_.clean());
}

TEST_P(KeysRotating, a_rotation_waits_while_somebody_changes_the_keyring) {
  rotate(KeyKind::cursor);
  {
    const crypto::KeyringTurn turn(bench_.keys());

    EXPECT_EQ(must(bench_.run(rotations_->step())), Rotations::Pace::soon);
    EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{1}));
  }
  finish();

  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{2}));
}

TEST_P(KeysRotating, a_generation_of_a_rotation_is_neither_stale_nor_foreign) {
  rotate(KeyKind::cursor);
  finish();

  auto alarms = keys_.alarms();

  EXPECT_NE(bench_.keys().get(), nullptr);
  EXPECT_FALSE(keys_.unlocking->stale());
  EXPECT_EQ(std::ranges::find(alarms, "keyring_file"), alarms.end());
  EXPECT_EQ(keys_.state().generation, 3);  // a key came and one went
  EXPECT_TRUE(keys_.clean());
  restart();
  EXPECT_EQ(keys_.state().generation, 3);
}

TEST_P(KeysRotating, a_lock_in_the_middle_of_a_rotation_destroys_nothing_and_it_goes_on_later) {
  rotate(KeyKind::cursor);
  must(bench_.run(rotations_->step()));

  must(bench_.run(keys_.unlocking->lock({}, {})));
  auto stepped = must(bench_.run(rotations_->step()));

  EXPECT_EQ(stepped, Rotations::Pace::idle);
  EXPECT_EQ(bench_.keys().get(), nullptr);
  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{2, 1}));
  restart();
  finish();
  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{2}));
  EXPECT_TRUE(keys_.clean());
}

TEST_P(KeysRotating, a_lock_between_a_new_key_and_its_use_is_not_undone) {
  rotate(KeyKind::cursor);
  after_save_ = [this] { bench_.keys().set({}); };

  auto stepped = bench_.run(rotations_->step());

  ASSERT_FALSE(stepped);
  EXPECT_EQ(stepped.error().code, Code::locked);
  EXPECT_EQ(bench_.keys().get(), nullptr);
  after_save_ = [] {};
  restart();
  finish();
  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{2}));
  EXPECT_TRUE(keys_.clean());
}

TEST_P(KeysRotating, a_lock_waits_for_requests_with_keys_from_before_a_rotation) {
  auto before = bench_.keys().get();
  rotate(KeyKind::cursor);
  must(bench_.run(rotations_->step()));
  std::atomic<bool> let_go = false;
  std::jthread request([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    let_go = true;
    before.reset();
  });

  must(bench_.run(keys_.unlocking->lock({}, {})));

  EXPECT_TRUE(let_go);
}

TEST_P(KeysRotating, a_reshare_keeps_how_rows_are_found_meanwhile) {
  auto held = bench_.keys().get();
  auto ring = held->ring.with_new(crypto::KeyUse::external, bench_.clock().now());
  must(crypto::write_keyring(keys_.places.files.keyring, ring, held->root));
  crypto::FindingPlan plan = {{crypto::KeyUse::external, {.by = 1, .also = 2}}};
  bench_.keys().set(
      std::make_shared<const crypto::KeySet>(std::move(ring), held->root.clone(), plan));
  held.reset();

  must(bench_.run(keys_.unlocking->reshare({}, {})));

  auto fresh = bench_.keys().get();
  EXPECT_EQ(fresh->ring.generation(), 3u);
  EXPECT_EQ(fresh->external_id, 1u);
  ASSERT_TRUE(fresh->external_also);
  EXPECT_EQ(fresh->external_also->id, 2u);
}

// ── rehearsals

TEST_P(Keys, a_rehearsal_without_shares_is_refused_and_recorded) {
  for (int moves = 0; moves < 2; ++moves) {
    EXPECT_EQ(code_of(bench_.run(keys_.unlocking->rehearse({}, {}))), Code::invalid);
    EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
  }
}

TEST_P(Keys, a_rehearsal_is_dated_and_stops_the_alarm) {
  bench_.clock().advance(181 * kDay);
  auto before = keys_.alarms();

  auto done = must(
      bench_.run(keys_.unlocking->rehearse({}, {.shares = keys_.texts(keys_.recovery, {0, 2})})));

  EXPECT_NE(std::ranges::find(before, "rehearsal_due"), before.end());
  EXPECT_EQ(done.numbers, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(done.next, bench_.clock().now() + 180 * kDay);
  EXPECT_EQ(keys_.status().recovery->rehearsed, bench_.clock().now());
  auto after = keys_.alarms();
  EXPECT_EQ(std::ranges::find(after, "rehearsal_due"), after.end());
  EXPECT_TRUE(keys_.clean());
}

TEST_P(Keys, a_rehearsal_with_wrong_shares_is_refused_and_recorded) {
  auto old = crypto::split(bench_.keys().get()->root, bench_.keys().get()->ring.store_id(), 2, 3);
  auto foreign = crypto::split(Secret::random(32), Bytes(16, 9), 2, 3);
  auto mixed = keys_.texts(keys_.recovery, {0});
  mixed.push_back(std::move(text_of(old[1]).text));

  for (auto shares : {0, 1, 2, 3}) {
    auto given = shares == 0   ? keys_.texts(keys_.recovery, {0})
                 : shares == 1 ? keys_.texts(old, {0, 1})
                 : shares == 2 ? keys_.texts(foreign, {0, 1})
                               : std::move(mixed);
    auto done = bench_.run(keys_.unlocking->rehearse({}, {.shares = std::move(given)}));

    ASSERT_FALSE(done) << shares;
    EXPECT_EQ(done.error().code, Code::invalid) << shares;
    EXPECT_EQ(keys_.last().activity, "keys.rehearse");
    EXPECT_EQ(keys_.last().outcome, journal::Outcome::refused);
  }
  EXPECT_FALSE(keys_.status().recovery->rehearsed);
}

// ── moves

TEST_P(Keys, a_move_to_a_passphrase_takes_the_key_file_away) {
  auto moved = must(keys_.move_to_passphrase());

  EXPECT_EQ(moved.from, Method::file);
  EXPECT_FALSE(fs::exists(keys_.places.files.key_file));
  EXPECT_FALSE(crypto::open_store(keys_.places.files, {}));
  must(keys_.restart(KeysBench::words()));
  EXPECT_EQ(keys_.status().method, Method::passphrase);
  EXPECT_TRUE(crypto::open_store(keys_.places.files, keys_.recovered({0, 1})));
  EXPECT_TRUE(keys_.clean());
}

TEST_P(Keys, a_key_file_that_lies_there_after_a_move_is_an_alarm) {
  auto held = bench_.keys().get();
  must(keys_.move_to_passphrase());
  auto before = keys_.alarms();
  must(crypto::write_key_file(keys_.places.files.key_file, held->ring.store_id(), held->root));

  auto after = keys_.alarms();

  EXPECT_EQ(std::ranges::find(before, "key_file_left"), before.end());
  EXPECT_NE(std::ranges::find(after, "key_file_left"), after.end());
}

TEST_P(Keys, a_failed_reshare_leaves_a_store_that_opens) {
  auto previous = keys_.places.files.keyring;
  previous += ".previous";
  fs::remove(previous);
  fs::create_directories(previous / "in the way");

  auto done = bench_.run(keys_.unlocking->reshare({}, {}));

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  must(keys_.restart());
  EXPECT_TRUE(crypto::open_store(keys_.places.files, keys_.recovered({0, 1})))
      << "the shares of before are still the store's";
}

TEST_P(Keys, a_move_there_and_back_opens_by_the_key_file_again) {
  must(keys_.move_to_passphrase());

  must(bench_.run(keys_.unlocking->move({}, {.to = Method::file})));

  must(keys_.restart());
  EXPECT_EQ(keys_.status().method, Method::file);
  EXPECT_EQ(code_of(bench_.run(keys_.unlocking->move({}, {.to = Method::file}))), Code::conflict);
}

TEST_P(Keys, a_move_to_shares_hands_out_a_set_of_its_own) {
  auto moved =
      must(bench_.run(keys_.unlocking->move({}, {.to = Method::shamir, .needed = 2, .total = 4})));

  ASSERT_TRUE(moved.everyday);
  EXPECT_EQ(moved.everyday->files.size(), 4u);
  must(keys_.restart(KeysBench::from_files(*moved.everyday, 2)));
  EXPECT_EQ(keys_.status().everyday->total, 4);
  auto alarms = keys_.alarms();
  EXPECT_NE(std::ranges::find(alarms, "shares_on_server"), alarms.end());
}

TEST_P(Keys, a_move_that_the_disk_confirms_late_or_not_at_all_loses_neither_way_in) {
  for (int times : {1, 2}) {
    KeysBench keys(GetParam());
    fs::create_directories(keys.places.shares);
    BadFolder bad{keys.dir.path(), times, [&] {
                    auto now = crypto::current_record(keys.places.files);
                    return now && now->method == Method::shamir;
                  }};
    bad_folder = &bad;
    auto moved = keys.bench.run(keys.unlocking->move({}, {.to = Method::shamir}));
    bad_folder = nullptr;

    EXPECT_LE(bad.times, 0) << "it was asked so often";
    EXPECT_EQ(moved.has_value(), times == 1);
    EXPECT_EQ(fs::exists(keys.places.files.key_file), times == 2) << "it stays until it is void";
    crypto::Means means;
    for (const auto& file : fs::recursive_directory_iterator(keys.places.shares))
      if (file.is_regular_file() && means.shares.size() < 2) {
        std::ifstream in(file.path());
        std::string text(std::istreambuf_iterator<char>(in), {});
        means.shares.push_back(must(crypto::parse_share(text)));
      }
    ASSERT_EQ(means.shares.size(), 2u) << "the new shares stay";
    must(keys.restart(means));
    EXPECT_EQ(keys.state().method, Method::shamir);
    EXPECT_FALSE(keys.state().pending);
    EXPECT_FALSE(fs::exists(keys.places.files.key_file));
  }
}

TEST_P(Keys, a_move_that_was_cut_off_after_it_took_effect_is_finished) {
  keys_.break_after_one_commit();
  EXPECT_FALSE(keys_.move_to_passphrase());
  bench_.journal().fail = false;

  must(keys_.restart(KeysBench::words()));

  EXPECT_EQ(keys_.state().method, Method::passphrase);
  EXPECT_FALSE(keys_.state().pending);
  EXPECT_FALSE(fs::exists(keys_.places.files.key_file));
  EXPECT_TRUE(keys_.clean());
}

TEST_P(Keys, a_move_that_cannot_be_written_is_taken_back) {
  std::ofstream(keys_.dir / "shares") << "a file where the folder should be";

  auto moved = bench_.run(keys_.unlocking->move({}, {.to = Method::shamir}));

  ASSERT_FALSE(moved);
  EXPECT_EQ(keys_.last().outcome, journal::Outcome::failed);
  EXPECT_EQ(keys_.fact(keys_.last(), "phase"), "taken_back");
  EXPECT_FALSE(keys_.state().pending);
  must(keys_.restart());
  EXPECT_EQ(keys_.status().method, Method::file);
  EXPECT_TRUE(must(keys_.move_to_passphrase()).to == Method::passphrase);
}

TEST_P(Keys, a_move_to_the_key_file_that_was_cut_off_leaves_none_behind) {
  must(keys_.move_to_passphrase());
  auto before = crypto::read_private(keys_.places.files.record, 4096);
  keys_.break_after_one_commit();
  EXPECT_FALSE(bench_.run(keys_.unlocking->move({}, {.to = Method::file})));
  bench_.journal().fail = false;
  // As if the process had ended one step earlier: the key file is there, the record is the old one.
  ASSERT_TRUE(crypto::replace_private(keys_.places.files.record, before->expose()));

  must(keys_.restart(KeysBench::words()));

  EXPECT_FALSE(fs::exists(keys_.places.files.key_file));
  EXPECT_EQ(keys_.state().method, Method::passphrase);
  EXPECT_FALSE(keys_.state().pending);
}

TEST_P(Keys, a_move_that_cannot_be_recorded_does_not_happen) {
  bench_.journal().fail = true;

  auto moved = keys_.move_to_passphrase();

  EXPECT_EQ(code_of(moved), Code::unavailable);
  EXPECT_TRUE(crypto::open_store(keys_.places.files, {}));
  EXPECT_TRUE(fs::exists(keys_.places.files.key_file));
}

TEST_P(Keys, a_weak_passphrase_is_refused_before_anything_happens) {
  auto events = bench_.journal().events.size();

  auto moved = bench_.run(keys_.unlocking->move(
      {}, {.to = Method::passphrase, .passphrase = Secret::copy(std::string_view("too short"))}));

  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().field.text(), "passphrase");
  EXPECT_EQ(bench_.journal().events.size(), events);
}

TEST_P(Keys, one_change_runs_at_a_time) {
  ASSERT_TRUE(bench_.keys().begin_change());

  EXPECT_EQ(code_of(keys_.move_to_passphrase()), Code::conflict);
  EXPECT_EQ(code_of(bench_.run(keys_.unlocking->reshare({}, {}))), Code::conflict);
  EXPECT_EQ(code_of(bench_.run(
                keys_.unlocking->rehearse({}, {.shares = keys_.texts(keys_.recovery, {0, 1})}))),
            Code::conflict);
  bench_.keys().end_change();
}

TEST_P(Keys, an_hsm_opens_and_is_missed_while_the_server_goes_on) {
  if (!test::SoftHsm::module()) GTEST_SKIP() << "SoftHSM 2 is not installed (tools/setup test)";
  test::SoftHsm soft;
  auto loaded = must(crypto::Hsm::load(soft.place()));
  must(loaded->make_key(soft.key()));
  keys_.places.files.hsm = soft.place();
  keys_.places.hsm_key = soft.key();
  keys_.start();

  must(bench_.run(keys_.unlocking->move({}, {.to = Method::pkcs11})));
  must(keys_.restart());
  soft.unplug();
  auto alarms = keys_.alarms();

  EXPECT_NE(std::ranges::find(alarms, "hsm_away"), alarms.end());
  EXPECT_NE(bench_.keys().get(), nullptr);
  EXPECT_TRUE(keys_.unlocking->hsm_away());
  EXPECT_FALSE(crypto::open_store(keys_.places.files, {}));
  soft.plug();
  must(bench_.run(keys_.unlocking->look()));
  EXPECT_FALSE(keys_.unlocking->hsm_away());
}

// ── new shares

TEST_P(Keys, resharing_makes_a_new_root_key_and_the_old_shares_void) {
  auto old_root = bench_.keys().get()->root.clone();

  auto done = must(bench_.run(keys_.unlocking->reshare({}, {.needed = 2, .total = 5})));

  EXPECT_EQ(done.generation, 2);
  EXPECT_EQ(done.recovery.files.size(), 5u);
  EXPECT_EQ(done.replaced, hex(keys_.recovery[0].set_id));
  EXPECT_FALSE(crypto::open_store(keys_.places.files, keys_.recovered({0, 1})));
  EXPECT_TRUE(crypto::open_store(keys_.places.files, KeysBench::from_files(done.recovery, 2)));
  EXPECT_FALSE(crypto::read_keyring(keys_.places.files.keyring, old_root));
  must(keys_.restart());
  EXPECT_EQ(keys_.state().generation, 2);
  EXPECT_EQ(keys_.state().replaced.size(), 1u);
  EXPECT_TRUE(keys_.clean());
  auto record = bench_.create("ext:1", {{"email", "ann@example.org"}});
  EXPECT_EQ(bench_.opened(record.record, "email"), "ann@example.org");
}

TEST_P(Keys, resharing_can_give_the_shares_in_the_answer_alone) {
  auto done = must(bench_.run(keys_.unlocking->reshare({}, {.download = true})));

  ASSERT_EQ(done.recovery.shares.size(), 3u);
  EXPECT_TRUE(done.recovery.files.empty());
  EXPECT_FALSE(holds_shares(keys_.places.shares));
  std::vector<Secret> two;
  two.push_back(done.recovery.shares[0].text.clone());
  two.push_back(done.recovery.shares[2].text.clone());
  EXPECT_TRUE(bench_.run(keys_.unlocking->rehearse({}, {.shares = std::move(two)})));
}

TEST_P(Keys, resharing_under_a_passphrase_takes_the_right_one) {
  must(keys_.move_to_passphrase());

  auto none = bench_.run(keys_.unlocking->reshare({}, {}));
  auto wrong = bench_.run(keys_.unlocking->reshare(
      {}, {.passphrase = Secret::copy(std::string_view("correct horse battery stapler"))}));
  auto right = bench_.run(keys_.unlocking->reshare({}, {.passphrase = Secret::copy(kWords)}));

  EXPECT_EQ(code_of(none), Code::invalid);
  EXPECT_EQ(code_of(wrong), Code::forbidden);
  ASSERT_TRUE(right);
  must(keys_.restart(KeysBench::words()));
  EXPECT_EQ(keys_.state().generation, 2);
}

TEST_P(Keys, resharing_renews_the_everyday_set_too) {
  auto moved = must(bench_.run(keys_.unlocking->move({}, {.to = Method::shamir})));
  auto before = KeysBench::from_files(*moved.everyday, 2);

  auto done = must(bench_.run(keys_.unlocking->reshare({}, {})));

  ASSERT_TRUE(done.everyday);
  EXPECT_FALSE(crypto::open_store(keys_.places.files, before));
  must(keys_.restart(KeysBench::from_files(*done.everyday, 2)));
  EXPECT_EQ(keys_.state().replaced.size(), 2u);
}

TEST_P(Keys, resharing_that_was_cut_off_after_it_took_effect_is_finished) {
  keys_.break_after_one_commit();
  EXPECT_FALSE(bench_.run(keys_.unlocking->reshare({}, {})));
  bench_.journal().fail = false;

  must(keys_.restart());

  EXPECT_EQ(keys_.state().generation, 2);
  EXPECT_FALSE(keys_.state().pending);
  EXPECT_NE(keys_.state().recovery->set, hex(keys_.recovery[0].set_id));
  EXPECT_TRUE(keys_.clean());
}

TEST_P(Keys, resharing_that_fails_before_it_took_effect_leaves_all_as_it_was) {
  auto held = bench_.keys().get();
  auto newer = held->ring.with_new(crypto::KeyUse::epoch, bench_.clock().now());
  auto old = held->ring.sealed(held->root);
  must(crypto::write_keyring(keys_.places.files.keyring, newer, held->root));
  held.reset();

  auto done = bench_.run(keys_.unlocking->reshare({}, {}));

  EXPECT_EQ(code_of(done), Code::conflict);
  EXPECT_FALSE(holds_shares(keys_.places.shares));
  EXPECT_FALSE(keys_.state().pending);
  must(keys_.restart());
  EXPECT_TRUE(crypto::open_store(keys_.places.files, keys_.recovered({0, 1})));
}

// ── alarms

TEST_P(Keys, a_copy_of_the_keyring_is_kept_in_the_backups_place) {
  ASSERT_TRUE(keys_.unlocking->follow_copy());
  EXPECT_TRUE(crypto::read_keyring(keys_.places.keyring_copy, bench_.keys().get()->root));

  must(bench_.run(keys_.unlocking->reshare({}, {})));

  EXPECT_TRUE(crypto::read_keyring(keys_.places.keyring_copy, bench_.keys().get()->root))
      << "what the old root key opens does not stay there";
  EXPECT_EQ(keys_.alarms(), std::vector<std::string>{"shares_on_server"});
}

TEST_P(Keys, resharing_whose_copy_cannot_be_made_is_done_and_an_alarm) {
  ASSERT_TRUE(keys_.unlocking->follow_copy());
  fs::rename(keys_.dir / "backup", keys_.dir / "elsewhere");

  auto done = bench_.run(keys_.unlocking->reshare({}, {.download = true}));

  ASSERT_TRUE(done);
  EXPECT_EQ(done->recovery.shares.size(), 3u);
  EXPECT_EQ(keys_.alarms(), std::vector<std::string>{"keyring_copy"});
}

TEST_P(Keys, a_place_for_the_copy_that_is_away_is_an_alarm_until_it_is_back) {
  ASSERT_TRUE(keys_.unlocking->follow_copy());
  fs::rename(keys_.dir / "backup", keys_.dir / "elsewhere");

  keys_.unlocking->follow_copy();
  auto away = keys_.alarms();
  auto told = keys_.status().alarms;
  fs::rename(keys_.dir / "elsewhere", keys_.dir / "backup");
  keys_.unlocking->follow_copy();

  EXPECT_EQ(away, std::vector<std::string>{"keyring_copy"});
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].text.find("backup.keys"), std::string::npos);
  EXPECT_TRUE(keys_.alarms().empty());
}

TEST_P(KeysRotating, a_key_whose_copy_was_made_before_a_crash_is_taken_up) {
  rotate(KeyKind::cursor);
  const auto before = bench_.keys().get();
  auto cut_off = before->ring.with_new(crypto::KeyUse::cursor, bench_.clock().now());
  must(keys_.unlocking->keep_copy(cut_off, before->root));
  EXPECT_TRUE(keys_.unlocking->follow_copy());
  EXPECT_EQ(keys_.alarms(), std::vector<std::string>{"keyring_copy"}) << "nobody overwrote it";

  must(bench_.run(rotations_->step()));

  EXPECT_TRUE(bench_.keys().get()->ring.holds_all_of(cut_off));
  EXPECT_TRUE(keys_.unlocking->follow_copy());
  EXPECT_TRUE(keys_.alarms().empty());
}

TEST_P(KeysRotating, no_key_is_used_that_lies_on_this_host_alone) {
  ASSERT_TRUE(keys_.unlocking->follow_copy());
  fs::rename(keys_.dir / "backup", keys_.dir / "elsewhere");
  rotate(KeyKind::cursor);

  EXPECT_FALSE(bench_.run(rotations_->step()));
  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{1}));
  EXPECT_EQ(bench_.keys().get()->ring.active_id(crypto::KeyUse::cursor), 1u);
  fs::rename(keys_.dir / "elsewhere", keys_.dir / "backup");
  finish();

  EXPECT_EQ(on_disk(crypto::KeyUse::cursor), (std::vector<std::uint32_t>{2}));
}

TEST_P(Keys, what_is_due_is_an_alarm) {
  EXPECT_TRUE(keys_.alarms().empty());

  keys_.host.dates = {.from = bench_.clock().now(), .until = bench_.clock().now() + 3 * kDay};
  keys_.host.ending = 2;
  bench_.clock().advance(401 * kDay);
  fs::remove(keys_.places.files.keyring);
  auto alarms = keys_.alarms();

  for (auto name : {"certificate_due", "api_keys_due", "rehearsal_due", "key_old", "keyring_file"})
    EXPECT_NE(std::ranges::find(alarms, name), alarms.end()) << name;
  EXPECT_EQ(keys_.unlocking->counts()[1], 2);
}

TEST_P(Keys, a_certificate_that_clients_refuse_now_or_soon_is_an_alarm) {
  const auto now = bench_.clock().now();
  auto alarm = [&](CertificateDates dates) {
    keys_.host.dates = dates;
    for (auto& one : must(bench_.run(keys_.unlocking->look())))
      if (one.alarm == "certificate_due") return one;
    return Alarm{};
  };

  auto own = alarm({now, now + 21 * kDay});
  auto local = alarm({now, now + 397 * kDay, now, now + 60 * kDay});
  auto early = alarm({now + Millis(1), now + 397 * kDay, now, now + 3653 * kDay});
  auto ahead = alarm({now + Millis(1), now + 397 * kDay, now + Millis(2), now + 3653 * kDay});
  auto ending = alarm({now, now + 20 * kDay, now, now + 59 * kDay});
  auto authority = alarm({now, now + 397 * kDay, now, now + 59 * kDay});
  auto both = alarm({now, now + 20 * kDay, now, now + 20 * kDay});

  EXPECT_EQ(own.text + local.text, "");
  EXPECT_TRUE(early.text.contains("certificate is not valid yet")) << early.text;
  EXPECT_EQ(early.due, now + Millis(1));
  EXPECT_TRUE(ahead.text.contains("local CA (ca.pem) is not valid yet")) << ahead.text;
  EXPECT_EQ(ahead.due, now + Millis(2));
  EXPECT_TRUE(ending.text.contains("certificate ends soon")) << ending.text;
  EXPECT_EQ(ending.due, now + 20 * kDay);
  EXPECT_TRUE(authority.text.contains("local CA (ca.pem) ends soon")) << authority.text;
  EXPECT_EQ(authority.due, now + 59 * kDay);
  EXPECT_EQ(both.text, authority.text) << "a new certificate would not last longer";
  EXPECT_EQ(keys_.unlocking->counts()[0], 1);
}

TEST_P(Keys, a_move_takes_nothing_that_its_method_has_no_use_for) {
  auto refused = [&](MoveRequest request) {
    auto moved = bench_.run(keys_.unlocking->move({}, std::move(request)));
    return moved ? std::string("moved") : std::string(moved.error().field.text());
  };
  EXPECT_EQ(refused({.to = Method::shamir, .passphrase = Secret::copy(kWords)}), "passphrase");
  EXPECT_EQ(refused({.to = Method::passphrase, .passphrase = Secret::copy(kWords), .needed = 2}),
            "needed");
  EXPECT_EQ(refused({.to = Method::passphrase, .passphrase = Secret::copy(kWords), .total = 3}),
            "total");
  EXPECT_EQ(keys_.status().method, Method::file);
}

TEST_P(KeysRotating, an_old_key_is_named_before_it_is_due_until_it_was_rotated) {
  auto old = [&] { return keys_.unlocking->counts()[3].load(); };
  bench_.clock().advance(369 * kDay);
  (void)keys_.alarms();
  EXPECT_EQ(old(), 0);

  bench_.clock().advance(2 * kDay);
  (void)keys_.alarms();

  EXPECT_EQ(old(), 11)
      << "not the epoch, which rolls, nor that of names in the journal, which stays";
  bench_.clock().advance(30 * kDay);
  (void)keys_.alarms();
  EXPECT_EQ(old(), 12) << "an epoch that did not roll, too";
  rotate(KeyKind::cursor);
  finish();
  (void)keys_.alarms();
  EXPECT_EQ(old(), 11);
}

}  // namespace
}  // namespace holdfast::vault
