// The options of `serving.tokens`, `serving.tls`, `serving.admin`, and the bounds on what clients may take.
#include "daemon/config/option_declaration.h"

namespace freshet {

using namespace declaration;  // NOLINT(google-build-using-namespace): the language of this file

void add_security_options(List& list) {
  add(list,
      Declare("serving.admin.listen", Type::kText, FIELD(serving.admin.listen),
              "Address of administration alone: what `freshet model` and `freshet state` ask for, and loading and "
              "unloading of versions, which `serving.listen` then does not answer. Health, /status and /metrics "
              "are there too. None: all on `serving.listen`.")
          .or_none()
          .example("127.0.0.1:8081"));
  add(list, Declare("serving.tokens.inference_file", Type::kText, FIELD(serving.tokens.inference_file),
                    "File with tokens, one a line, of which predictions, metadata, /status and /metrics take one as "
                    "`Authorization: Bearer TOKEN`. Read again when it changes. None: they are open.")
                .or_none()
                .example("/run/secrets/inference-tokens"));
  add(list, Declare("serving.tokens.feedback_file", Type::kText, FIELD(serving.tokens.feedback_file),
                    "The same for labels of predictions; these tokens are inference tokens too. None: with any other "
                    "file of tokens, an admin token is asked for.")
                .or_none()
                .example("/run/secrets/feedback-tokens"));
  add(list, Declare("serving.tokens.admin_file", Type::kText, FIELD(serving.tokens.admin_file),
                    "The same for administration and for loading and unloading of versions; these tokens may do all. "
                    "None: administration takes the token of `control.json` in the state folder alone.")
                .or_none()
                .example("/run/secrets/admin-tokens"));
  add(list, Declare("serving.tls.certificate_file", Type::kText, FIELD(serving.tls.certificate_file),
                    "Certificate of the server with its chain, in PEM form: all is HTTPS then, TLS 1.2 or 1.3. Read "
                    "again when it or the key changes; new connections use it. None: plain HTTP.")
                .or_none()
                .example("/run/tls/tls.crt"));
  add(list, Declare("serving.tls.key_file", Type::kText, FIELD(serving.tls.key_file),
                    "Private key of the certificate, in PEM form, without a passphrase.")
                .or_none()
                .example("/run/tls/tls.key"));
  add(list,
      Declare("serving.tls.client_ca_file", Type::kText, FIELD(serving.tls.client_ca_file),
              "Certificates, in PEM form, of which one must vouch for the certificate that each client then needs. "
              "None: clients need none.")
          .or_none()
          .example("/run/tls/clients.crt"));
  add(list, Declare("serving.tls.handshake_timeout", Type::kDuration, FIELD(serving.tls.handshake_timeout_ms),
                    "Longest time for a client to finish the handshake.")
                .between(100, kHour));
  add(list, Declare("serving.header_bytes_max", Type::kBytes, FIELD(serving.header_bytes_max),
                    "A request with a larger header is refused with 431.")
                .between(kKiB, 64 * kKiB));
  add(list, Declare("serving.header_timeout", Type::kDuration, FIELD(serving.header_timeout_ms),
                    "Longest time to receive a request's header.")
                .between(100, kHour));
  add(list, Declare("serving.large_bodies_bytes_max", Type::kBytes, FIELD(serving.large_bodies_bytes_max),
                    "Bytes of request bodies above 256 KiB that may be on their way at a time, over all connections; "
                    "more are refused with 503.")
                .between(kMiB, 1024 * kGiB));
  add(list, Declare("serving.connections_per_peer_max", Type::kWhole, FIELD(serving.connections_per_peer_max),
                    "More connections of one client address at a time are refused; of IPv6, of one network of 64 bits. "
                    "For clients that come directly, not through a proxy.")
                .between(0, 1e6)
                .or_none()
                .example("64"));
}

}  // namespace freshet
