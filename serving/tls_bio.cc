#include "serving/tls_bio.h"

#include <sys/socket.h>

#include <cerrno>

namespace freshet {
namespace {

bool may_pass() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int write_to(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto& socket = *static_cast<const TlsSocket*>(BIO_get_data(bio));
  if (socket.descriptor < 0 || size < 0) return -1;
  const ssize_t sent = ::send(socket.descriptor, data, static_cast<std::size_t>(size), socket.flags | MSG_NOSIGNAL);
  if (sent < 0 && may_pass()) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int read_from(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  auto& socket = *static_cast<TlsSocket*>(BIO_get_data(bio));
  if (socket.descriptor < 0 || size < 0) return -1;
  const ssize_t got = ::recv(socket.descriptor, data, static_cast<std::size_t>(size), socket.flags);
  if (got < 0 && may_pass()) BIO_set_retry_read(bio);
  if (got == 0) socket.ended = true;
  return static_cast<int>(got);
}

// NOLINTNEXTLINE(google-runtime-int): OpenSSL's own signature
long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<const TlsSocket*>(BIO_get_data(bio))->ended ? 1 : 0;
  return 0;
}

}  // namespace

TlsBioMethod make_tls_bio_method() {
  const int type = BIO_get_new_index();
  TlsBioMethod method(type < 0 ? nullptr : BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "socket without signals"));
  if (!method) return nullptr;
  if (BIO_meth_set_write(method.get(), write_to) != 1 || BIO_meth_set_read(method.get(), read_from) != 1 ||
      BIO_meth_set_ctrl(method.get(), control) != 1) {
    return nullptr;
  }
  return method;
}

BIO* make_tls_bio(const BIO_METHOD& method, TlsSocket& socket) {
  BIO* bio = BIO_new(&method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &socket);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace freshet
