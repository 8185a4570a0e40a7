#include "crypto/unlock/pkcs11.h"

#include <dlfcn.h>

#include <array>
#include <mutex>
#include <optional>
#include <vector>

#define CRYPTOKI_GNU 1
#include <p11-kit/pkcs11.h>

#include "crypto/hash.h"
#include "crypto/private_file.h"

namespace holdfast::crypto {
namespace {

constexpr std::size_t kNonceBytes = 12, kTagBytes = 16, kRootBytes = 32, kLongestPin = 1024;
constexpr unsigned long kMostSlots = 256;

Error no_answer() {
  return Error(Code::unavailable,
               "the HSM does not answer: look whether it is on and reachable, and whether its "
               "module (keys.hsm_module) works with the vendor's own tool");
}

Error from(ck_rv_t code) {
  switch (code) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return Error(Code::forbidden,
                   "the HSM refuses the PIN in keys.hsm_pin_file: mend the file before the HSM "
                   "locks the token");
    case CKR_PIN_LOCKED:
    case CKR_PIN_EXPIRED:
    case CKR_USER_PIN_NOT_INITIALIZED:
      return Error(Code::forbidden,
                   "the HSM has locked this token's PIN: its security officer must set a new one");
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
      return Error(Code::invalid,
                   "the HSM does not do AES-GCM with this key: it must be an AES-256 key that may "
                   "encrypt and decrypt");
    default:
      return no_answer();
  }
}

/// A fixed field of PKCS #11, padded with spaces.
template <std::size_t N>
std::string_view padded(const unsigned char (&field)[N]) {
  std::string_view text(reinterpret_cast<const char*>(field), N);
  auto end = text.find_last_not_of(' ');
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

Result<Secret> read_pin(const std::filesystem::path& file) {
  auto pin = read_private(file, kLongestPin);
  if (!pin)
    return Error(Code::forbidden,
                 "the HSM's PIN cannot be read: keys.hsm_pin_file names a file of the server's "
                 "user with mode 0600");
  auto text = pin->expose_text();
  auto end = text.find_last_not_of("\r\n");
  pin->shrink(end == std::string_view::npos ? 0 : end + 1);
  return std::move(*pin);
}

}  // namespace

struct Hsm::Impl {
  ck_function_list* calls = nullptr;
  std::filesystem::path pin_file;
};

namespace {

/// A PKCS #11 library is started and ended for the whole process.
std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

/// The token and PIN that were refused last: tried again and again they would lock the token.
std::optional<Digest>& refused_pin() {
  static std::optional<Digest> refused;
  return refused;
}

Digest attempt_of(const std::string& serial, const Secret& pin) {
  return sha256({as_bytes("hsm pin"), as_bytes(serial), as_bytes("\n"), pin.expose()});
}

/// A logged-in session on one token, in a library that was started for it: so that a token that
/// was unplugged and came back is seen as it is now.
class Session {
 public:
  explicit Session(ck_function_list& calls) : calls_(calls) {}
  ~Session() {
    if (open_) calls_.C_CloseSession(handle_);
    if (started_) calls_.C_Finalize(nullptr);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Result<void> begin(const HsmKey& key, const Secret& pin, bool writes) {
    ck_c_initialize_args arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    if (auto code = calls_.C_Initialize(&arguments); code != CKR_OK) return from(code);
    started_ = true;
    auto slot = find_slot(key);
    if (!slot) return std::move(slot).error();
    ck_flags_t flags = CKF_SERIAL_SESSION | (writes ? CKF_RW_SESSION : 0);
    if (auto code = calls_.C_OpenSession(*slot, flags, nullptr, nullptr, &handle_); code != CKR_OK)
      return from(code);
    open_ = true;
    auto attempt = attempt_of(serial_, pin);
    if (refused_pin() == attempt)
      return Error(
          Code::forbidden,
          "the HSM refused the PIN in keys.hsm_pin_file before, so it was not tried again: "
          "mend the file; restart the server if the token got this PIN meanwhile");
    auto text = pin.clone();
    auto code = calls_.C_Login(handle_, CKU_USER, text.expose_mut().data(), text.size());
    if (code == CKR_PIN_INCORRECT) refused_pin() = attempt;
    if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return from(code);
    return {};
  }

  /// The AES key of that label. Errors: not_found, conflict (several).
  Result<ck_object_handle_t> find(std::string_view label) {
    ck_object_class_t kind = CKO_SECRET_KEY;
    ck_key_type_t type = CKK_AES;
    std::string name(label);
    ck_attribute wanted[] = {{CKA_CLASS, &kind, sizeof kind},
                             {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_LABEL, name.data(), name.size()}};
    if (auto code = calls_.C_FindObjectsInit(handle_, wanted, std::size(wanted)); code != CKR_OK)
      return from(code);
    ck_object_handle_t found[2]{};
    unsigned long count = 0;
    auto code = calls_.C_FindObjects(handle_, found, 2, &count);
    calls_.C_FindObjectsFinal(handle_);
    if (code != CKR_OK) return from(code);
    if (count == 0)
      return Error(Code::not_found,
                   "the HSM's token holds no AES key of that label (keys.hsm_key)");
    if (count > 1)
      return Error(Code::conflict, "the HSM's token holds two AES keys of that label: rename one");
    return found[0];
  }

  ck_session_handle_t handle() const { return handle_; }
  const std::string& serial() const { return serial_; }

 private:
  Result<ck_slot_id_t> find_slot(const HsmKey& key) {
    std::vector<ck_slot_id_t> slots(kMostSlots);
    unsigned long count = slots.size();
    if (auto code = calls_.C_GetSlotList(1, slots.data(), &count); code != CKR_OK)
      return from(code);
    slots.resize(count);
    std::optional<ck_slot_id_t> out;
    for (auto slot : slots) {
      ck_token_info info{};
      if (calls_.C_GetTokenInfo(slot, &info) != CKR_OK) continue;
      bool same = key.serial.empty() ? padded(info.label) == key.token_label
                                     : padded(info.serial_number) == key.serial;
      if (!same || !(info.flags & CKF_TOKEN_INITIALIZED)) continue;
      if (out) return Error(Code::conflict, "two tokens of the HSM have that label: rename one");
      serial_ = padded(info.serial_number);
      out = slot;
    }
    if (!out)
      return Error(Code::not_found,
                   "the HSM has no such token now: look whether it is plugged in or reachable, and "
                   "whether keys.hsm_module and keys.hsm_token name the right one");
    return *out;
  }

  ck_function_list& calls_;
  ck_session_handle_t handle_ = 0;
  std::string serial_;
  bool started_ = false, open_ = false;
};

ck_gcm_params gcm(std::span<std::uint8_t> nonce, Bytes& binding) {
  ck_gcm_params out{};
  out.iv_ptr = nonce.data();
  out.iv_len = nonce.size();
  out.iv_bits = nonce.size() * 8;
  out.aad_ptr = binding.data();
  out.aad_len = binding.size();
  out.tag_bits = kTagBytes * 8;
  return out;
}

}  // namespace

Hsm::Hsm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Hsm::~Hsm() = default;

Result<std::shared_ptr<Hsm>> Hsm::load(const HsmPlace& place) {
  if (place.module.empty())
    return Error(Code::invalid, "name the HSM's PKCS #11 module in keys.hsm_module");
  // Vendors' modules start threads and do not survive being unloaded.
  void* library = ::dlopen(place.module.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library)
    return Error(Code::invalid,
                 "the HSM's module (keys.hsm_module) cannot be loaded: it is missing, not for this "
                 "machine, or lacks a library");
  auto entry =
      reinterpret_cast<ck_rv_t (*)(ck_function_list**)>(::dlsym(library, "C_GetFunctionList"));
  auto impl = std::make_unique<Impl>();
  if (!entry || entry(&impl->calls) != CKR_OK || !impl->calls)
    return Error(Code::invalid, "keys.hsm_module is not a PKCS #11 module");
  impl->pin_file = place.pin_file;
  return std::shared_ptr<Hsm>(new Hsm(std::move(impl)));
}

Result<HsmKey> Hsm::find(HsmKey key) {
  std::scoped_lock lock(one_at_a_time());
  auto pin = read_pin(impl_->pin_file);
  if (!pin) return std::move(pin).error();
  Session session(*impl_->calls);
  if (auto begun = session.begin(key, *pin, false); !begun) return std::move(begun).error();
  if (auto found = session.find(key.key_label); !found) return std::move(found).error();
  key.serial = session.serial();
  return key;
}

Result<Bytes> Hsm::wrap(const HsmKey& key, const Secret& root, BytesView binding) {
  std::scoped_lock lock(one_at_a_time());
  auto pin = read_pin(impl_->pin_file);
  if (!pin) return std::move(pin).error();
  Session session(*impl_->calls);
  if (auto begun = session.begin(key, *pin, false); !begun) return std::move(begun).error();
  auto handle = session.find(key.key_label);
  if (!handle) return std::move(handle).error();

  auto nonce = random_bytes(kNonceBytes);
  auto bound = to_bytes(binding);
  auto parameters = gcm(nonce, bound);
  ck_mechanism mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
  auto& calls = *impl_->calls;
  if (auto code = calls.C_EncryptInit(session.handle(), &mechanism, *handle); code != CKR_OK)
    return from(code);
  auto plain = root.clone();
  Bytes body(root.size() + kTagBytes);
  unsigned long size = body.size();
  auto code = calls.C_Encrypt(session.handle(), plain.expose_mut().data(), plain.size(),
                              body.data(), &size);
  if (code != CKR_OK) return from(code);
  if (size != body.size()) return no_answer();
  nonce.insert(nonce.end(), body.begin(), body.end());
  return nonce;
}

Result<Secret> Hsm::unwrap(const HsmKey& key, BytesView wrapped, BytesView binding) {
  if (wrapped.size() != kNonceBytes + kRootBytes + kTagBytes)
    return Error(Code::corrupt, "the unlock file is damaged: its wrapped key has another length");
  std::scoped_lock lock(one_at_a_time());
  auto pin = read_pin(impl_->pin_file);
  if (!pin) return std::move(pin).error();
  Session session(*impl_->calls);
  if (auto begun = session.begin(key, *pin, false); !begun) return std::move(begun).error();
  auto handle = session.find(key.key_label);
  if (!handle) return std::move(handle).error();

  auto nonce = to_bytes(wrapped.first(kNonceBytes));
  auto body = to_bytes(wrapped.subspan(kNonceBytes));
  auto bound = to_bytes(binding);
  auto parameters = gcm(nonce, bound);
  ck_mechanism mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
  auto& calls = *impl_->calls;
  if (auto code = calls.C_DecryptInit(session.handle(), &mechanism, *handle); code != CKR_OK)
    return from(code);
  Secret out(body.size());  // some modules ask for room for the tag
  unsigned long size = out.size();
  auto code =
      calls.C_Decrypt(session.handle(), body.data(), body.size(), out.expose_mut().data(), &size);
  if (code == CKR_DEVICE_REMOVED || code == CKR_DEVICE_ERROR || code == CKR_TOKEN_NOT_PRESENT)
    return no_answer();
  if (code != CKR_OK || size != kRootBytes)
    return Error(Code::corrupt,
                 "the HSM's key does not open this store's root key: it is another key of the same "
                 "label, or the unlock file was changed");
  out.shrink(size);
  return out;
}

Result<HsmKey> Hsm::make_key(HsmKey key) {
  std::scoped_lock lock(one_at_a_time());
  auto pin = read_pin(impl_->pin_file);
  if (!pin) return std::move(pin).error();
  Session session(*impl_->calls);
  if (auto begun = session.begin(key, *pin, true); !begun) return std::move(begun).error();
  key.serial = session.serial();
  auto found = session.find(key.key_label);
  if (found)
    return Error(Code::conflict,
                 "the HSM's token holds a key of that label already: name another in keys.hsm_key");
  if (found.error().code != Code::not_found) return std::move(found).error();

  ck_object_class_t kind = CKO_SECRET_KEY;
  ck_key_type_t type = CKK_AES;
  unsigned long size = kRootBytes;
  unsigned char yes = 1, no = 0;
  ck_attribute wanted[] = {
      {CKA_CLASS, &kind, sizeof kind},     {CKA_KEY_TYPE, &type, sizeof type},
      {CKA_VALUE_LEN, &size, sizeof size}, {CKA_LABEL, key.key_label.data(), key.key_label.size()},
      {CKA_TOKEN, &yes, sizeof yes},       {CKA_PRIVATE, &yes, sizeof yes},
      {CKA_SENSITIVE, &yes, sizeof yes},   {CKA_EXTRACTABLE, &no, sizeof no},
      {CKA_ENCRYPT, &yes, sizeof yes},     {CKA_DECRYPT, &yes, sizeof yes}};
  ck_mechanism mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  ck_object_handle_t made = 0;
  auto code =
      impl_->calls->C_GenerateKey(session.handle(), &mechanism, wanted, std::size(wanted), &made);
  if (code != CKR_OK) return from(code);
  return key;
}

}  // namespace holdfast::crypto
