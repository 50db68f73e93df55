// Certificates for tests of TLS, made by the `openssl` command: elliptic-curve keys, valid for two days, for localhost
// and 127.0.0.1.
//
// Threads: any.  Failure: the files are not there; what opens them says so.
#pragma once

#include <string>

namespace freshet::test {

struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// FOLDER/NAME.crt and .key, signed by itself.
CertificateFiles make_certificate(const std::string& folder, const std::string& name);
// Signed by `authority`.
CertificateFiles make_certificate(const std::string& folder, const std::string& name,
                                  const CertificateFiles& authority);

}  // namespace freshet::test
