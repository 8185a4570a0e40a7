#include "journal/log.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/json.h"
#include "crypto/aead.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kContexts = 10'000;
constexpr Millis kContextLife{86'400'000};

Error locked() {
  return {Code::locked, "the server is locked: unlock it before anything can be recorded"};
}

std::string context_key(const Caller& caller) {
  std::string out;
  for (const auto* part :
       {&caller.principal, &caller.on_behalf_of, &caller.address, &caller.user_agent})
    (out += *part) += '\0';
  return out;
}

std::string context_json(const Caller& caller) {
  std::string out = "{\"address\":";
  append_json_string(out, caller.address);
  out += ",\"on_behalf_of\":";
  append_json_string(out, caller.on_behalf_of);
  out += ",\"user_agent\":";
  append_json_string(out, caller.user_agent);
  return out + '}';
}

}  // namespace

void Journal::bump_generation(db::Changes& changes) {
  changes.write(kBumpGeneration, {}, db::Expect::exactly(1));
}

Log::Log(Deps deps, LogOptions options) : deps_(deps), options_(std::move(options)) {}

Log::~Log() {
  files_.join();
}

std::string Log::pseudonym(const crypto::KeySet& keys, std::string_view person) {
  Bytes input;
  put_part(input, std::string_view("person"));
  put_part(input, person);
  auto mac = keys.pseudonym.mac(input);
  Uuid uuid;
  std::copy_n(mac.begin(), uuid.size(), uuid.begin());
  return "per_" + base32(uuid);
}

/// Personal data goes sealed into the side table; the entry holds SHA-256(salt, content).
crypto::Digest Log::add_side(db::Changes& changes, const crypto::KeySet& keys, std::string content,
                             Time now) {
  Bytes salted = random_bytes(16);
  auto text = as_bytes(content);
  salted.insert(salted.end(), text.begin(), text.end());
  auto commitment = crypto::sha256(salted);
  auto sealed = crypto::seal(keys.ring.active(crypto::KeyUse::side).expose(),
                             keys.ring.active_id(crypto::KeyUse::side), salted, commitment);
  wipe(salted);
  wipe(content);
  changes.write(kAddSide, {to_bytes(BytesView(commitment)), to_ms(now + options_.keep_sides),
                           std::move(sealed)});
  return commitment;
}

Result<Stamp> Log::stamp(const crypto::KeySet& keys, const Caller& caller, const Event& event,
                         db::Changes& changes, std::string& fresh_context) {
  auto now = deps_.clock.now();
  Stamp out{.id = EventId::make(now),
            .at = now,
            .principal = caller.principal,
            .person = {},
            .request_id = caller.request_id,
            .context = {},
            .note = {}};
  if (!caller.on_behalf_of.empty()) out.person = pseudonym(keys, caller.on_behalf_of);
  if (!caller.on_behalf_of.empty() || !caller.address.empty() || !caller.user_agent.empty()) {
    auto key = context_key(caller);
    std::scoped_lock lock(context_mutex_);
    auto known = contexts_.find(key);
    if (known != contexts_.end() && now - known->second.made < kContextLife &&
        now >= known->second.made) {
      out.context = known->second.commitment;
    } else {
      out.context = add_side(changes, keys, context_json(caller), now);
      fresh_context = std::move(key);
    }
  }
  if (!event.note.empty()) out.note = add_side(changes, keys, event.note, now);
  return out;
}

void Log::add_entry(db::Changes& changes, EventId id, std::string entry, bool first) {
  auto bytes = to_bytes(entry);
  if (first)
    changes.write(kPutEntry, {std::int64_t{0}, to_bytes(id.bytes()), std::move(bytes)});
  else if (deps_.database.kind() == db::Database::Kind::sqlite)
    changes.write(kAppendEntry, {to_bytes(id.bytes()), std::move(bytes)});
  else
    changes.write(kAppendPending,
                  {std::int64_t{1}, counter_++, to_bytes(id.bytes()), std::move(bytes)});
}

Task<Result<Written>> Log::commit(const Caller& caller, db::Changes changes, Event event) {
  auto keys = deps_.keys.get();
  if (!keys) co_return locked();
  if (event.outcome == Outcome::refused && changes.empty())
    for (auto& touch : event.touches) touch.left = touch.was = std::nullopt;  // no row was written
  const bool guarded = caller.generation != 0;
  db::Changes all;
  const bool policy = std::ranges::any_of(
      changes.writes(), [](const db::Write& write) { return write.sql == &kBumpGeneration; });
  if (guarded)
    all.guard(policy ? kTakeGeneration : kGuardGeneration,
              {static_cast<std::int64_t>(caller.generation)},
              Error(Code::stale, "the policy changed meanwhile: repeat the request"));
  all.append(std::move(changes));
  if (caller.principal == Caller().principal) all.in_background();
  std::string fresh_context;
  auto stamped = stamp(*keys, caller, event, all, fresh_context);
  if (!stamped) co_return std::move(stamped).error();

  std::optional<crypto::Digest> root;
  if (event.touches.size() > 1) {
    std::vector<Bytes> leaves;
    leaves.reserve(event.touches.size());
    for (const auto& touch : event.touches) leaves.push_back(encode_leaf(touch));
    root = leaves_root(leaves);
    all.write(kAddLeaves, {to_bytes(stamped->id.bytes()), join_leaves(leaves)});
  }
  auto entry = encode_entry(event, *stamped, root);
  if (!entry) co_return std::move(entry).error();
  {
    // Before the commit: the entry may be taken in before this goes on.
    std::scoped_lock lock(expected_mutex_);
    expected_[stamped->id].leaf = crypto::leaf_hash(as_bytes(*entry));
  }
  add_entry(all, stamped->id, std::move(*entry), false);

  auto done = co_await writer_->commit(std::move(all), caller.deadline);
  {
    std::scoped_lock lock(expected_mutex_);
    auto expected = expected_.find(stamped->id);
    if (expected != expected_.end() && done) expected->second.durable = true;
    if (expected != expected_.end() && !done) expected_.erase(expected);
  }
  if (!done) co_return std::move(done).error();
  if (event.outcome == Outcome::refused && caller.principal != Caller().principal)
    refused_.fetch_add(1, std::memory_order_relaxed);
  if (guarded) done->returned.erase(done->returned.begin());
  if (policy && options_.policy_changed) options_.policy_changed();
  if (!fresh_context.empty()) {
    std::scoped_lock lock(context_mutex_);
    if (contexts_.size() >= kContexts) contexts_.clear();
    contexts_.insert_or_assign(std::move(fresh_context), Context{*stamped->context, stamped->at});
  }
  co_return Written{{stamped->id, stamped->at}, std::move(*done)};
}

Task<Result<std::uint64_t>> Log::generation(MonoTime deadline) {
  auto rows = co_await reader().read(kReadGeneration, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->size() != 1) co_return Error(Code::corrupt, "the policy generation is missing");
  co_return static_cast<std::uint64_t>((*rows)[0].integer(0));
}

Task<Result<void>> Log::afterlog(std::string_view kind, Bytes id) {
  auto now = deps_.clock.now();
  auto deed = [](Afterlog* log, db::Database* database, std::string name, Bytes bytes,
                 Time at) -> Task<Result<void>> {
    auto done = log->append(name, bytes, at);
    if (!done && done.error().code == Code::unavailable && database->give_reserve())
      done = log->append(name, bytes, at);  // the disk was full
    co_return done;
  };
  co_return co_await boost::asio::co_spawn(
      files_, deed(afterlog_.get(), &deps_.database, std::string(kind), std::move(id), now),
      boost::asio::use_awaitable);
}

std::optional<AfterlogLoss> Log::afterlog_loss() const {
  std::optional<AfterlogLoss> out;
  std::uint64_t number = 0;
  for (const auto& entry : afterlog_->entries()) {
    if (entry.kind == kAfterlogLost)
      out = {.expected = ByteReader(entry.id).u64().value_or(0), .there = number};
    else if (entry.kind == kAfterlogSettled)
      out.reset();
    ++number;
  }
  return out;
}

std::optional<Time> Log::afterlog_lost_at() const {
  std::optional<Time> out;
  for (const auto& entry : afterlog_->entries())
    if (entry.kind == kAfterlogLost) out = entry.at;
  return out;
}

Task<Result<void>> Log::settle_afterlog() {
  Bytes lines;
  put_u64(lines, afterlog_->end().lines);
  co_return co_await afterlog(kAfterlogSettled, std::move(lines));
}

std::int64_t Log::size() const {
  std::scoped_lock lock(tree_mutex_);
  return static_cast<std::int64_t>(tree_.size());
}

void Log::forget_keys() {
  signer_.store({});
  if (afterlog_) afterlog_->forget_key();
}

void Log::sign_with(std::shared_ptr<const crypto::Signer> signer) {
  std::scoped_lock lock(tree_mutex_);
  public_key_ = signer->public_key();
  signer_.store(std::move(signer));
}

Result<std::string> Log::signed_note(const Checkpoint& head) const {
  auto signer = signer_.load();
  if (!signer) return Error(Code::locked, "the server is locked");
  return sign_checkpoint(head, *signer);
}

void Log::keep_policy(std::int64_t version) {
  for (auto known = policy_.load(); known < version;)
    if (policy_.compare_exchange_weak(known, version)) break;
}

Result<std::string> Log::witness_text(const Checkpoint& head, const AfterlogEnd& end,
                                      std::int64_t policy) const {
  auto signer = signer_.load();
  if (!signer) return Error(Code::locked, "the server is locked");
  return sign_checkpoint(head, *signer) +
         sign_checkpoint({afterlog_origin(head.origin), end.lines, end.digest}, *signer) +
         sign_checkpoint({policy_origin(head.origin), static_cast<std::uint64_t>(policy), {}},
                         *signer);
}

std::string Log::verifier() const {
  std::scoped_lock lock(tree_mutex_);
  return verifier_key(origin_, public_key_);
}

}  // namespace holdfast::journal
