// HPKE with the ephemeral key handed in. For hpke.cpp and for known-answer tests; nobody else
// chooses one.
#pragma once

#include "crypto/hpke.h"

namespace holdfast::crypto::raw {

/// As hpke_seal, with an ephemeral key derived from `random`.
Result<Bytes> hpke_seal(const HpkePublicKey& key, BytesView info, BytesView associated,
                        BytesView plain, BytesView random);

}  // namespace holdfast::crypto::raw
