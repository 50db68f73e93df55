// How OpenSSL reads and writes a socket here: by send() and recv() that raise no signal, which its own socket BIO does.
//
// Threads: one owner a BIO; the method is shared.  Owns: TlsBioMethod the method, which outlives its BIOs.
// Failure: nothing where memory is lacking.
#pragma once

#include <openssl/bio.h>

#include <memory>

namespace freshet {

struct FreeBioMethod {
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
};
using TlsBioMethod = std::unique_ptr<BIO_METHOD, FreeBioMethod>;

// What such a BIO works on; it belongs to the BIO's maker and outlives it.
struct TlsSocket {
  int descriptor = -1;  // -1: closed, every call fails
  int flags = 0;        // of send() and recv(): MSG_DONTWAIT, or 0 to wait
  bool ended = false;   // the peer sends no more
};

TlsBioMethod make_tls_bio_method();
BIO* make_tls_bio(const BIO_METHOD& method, TlsSocket& socket);

}  // namespace freshet
