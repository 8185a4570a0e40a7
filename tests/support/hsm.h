// A software HSM in a folder of its own, where this machine has SoftHSM 2.
#pragma once

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "crypto/private_file.h"
#include "crypto/unlock/pkcs11.h"
#include "support/temp_dir.h"

namespace holdfast::test {

/// One token `shop`; its PIN in a private file. Uses SOFTHSM2_CONF, so one at a time.
class SoftHsm {
 public:
  static std::optional<std::string> module() {
    for (const char* path :
         {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
          "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"})
      if (std::filesystem::exists(path)) return path;
    return std::nullopt;
  }

  SoftHsm() {
    std::filesystem::create_directory(dir_ / "tokens");
    std::ofstream(dir_ / "softhsm2.conf")
        << "directories.tokendir = " << (dir_ / "tokens").string() << "\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", (dir_ / "softhsm2.conf").c_str(), 1);
    add_token("shop");
    set_pin("1234");
  }
  ~SoftHsm() { ::unsetenv("SOFTHSM2_CONF"); }

  void add_token(const std::string& label) {
    auto command = "softhsm2-util --init-token --free --label " + label +
                   " --pin 1234 --so-pin 5678 >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("softhsm2-util failed");
  }
  void set_pin(std::string_view pin) {
    if (!crypto::replace_private(dir_ / "pin", as_bytes(std::string(pin) + "\n")))
      throw std::runtime_error("no PIN file");
  }
  /// The HSM is gone, or back.
  void unplug() { std::filesystem::rename(dir_ / "tokens", dir_ / "unplugged"); }
  void plug() { std::filesystem::rename(dir_ / "unplugged", dir_ / "tokens"); }

  crypto::HsmPlace place() const { return {*module(), dir_ / "pin"}; }
  crypto::HsmKey key(std::string label = "root") const {
    return {.serial = {}, .token_label = "shop", .key_label = std::move(label)};
  }

 private:
  TempDir dir_;
};

}  // namespace holdfast::test
