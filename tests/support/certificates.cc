#include "tests/support/certificates.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "tests/support/child_process.h"

namespace freshet::test {
namespace {

CertificateFiles make(const std::string& folder, const std::string& name, const CertificateFiles* authority) {
  CertificateFiles files{folder + "/" + name + ".crt", folder + "/" + name + ".key"};
  std::vector<std::string> words = {"openssl",
                                    "req",
                                    "-x509",
                                    "-newkey",
                                    "ec",
                                    "-pkeyopt",
                                    "ec_paramgen_curve:prime256v1",
                                    "-nodes",
                                    "-days",
                                    "2",
                                    "-subj",
                                    "/CN=" + name,
                                    "-addext",
                                    "subjectAltName=DNS:localhost,IP:127.0.0.1",
                                    "-keyout",
                                    files.key,
                                    "-out",
                                    files.certificate};
  if (authority != nullptr) {
    for (const std::string& word : {std::string("-CA"), authority->certificate, std::string("-CAkey"), authority->key,
                                    std::string("-addext"), std::string("basicConstraints=critical,CA:FALSE")}) {
      words.push_back(word);
    }
  }
  ChildProcess process(words);
  EXPECT_EQ(process.wait(std::chrono::seconds(30)).value_or(-1), 0) << process.errors();
  return files;
}

}  // namespace

CertificateFiles make_certificate(const std::string& folder, const std::string& name) {
  return make(folder, name, nullptr);
}

CertificateFiles make_certificate(const std::string& folder, const std::string& name,
                                  const CertificateFiles& authority) {
  return make(folder, name, &authority);
}

}  // namespace freshet::test
