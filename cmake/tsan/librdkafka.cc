// What executables need to run librdkafka under the thread sanitizer (the tsan preset only; see stream/CMakeLists.txt).
//
// librdkafka uses C11 threads. The sanitizer knows POSIX threads only, and a thread that it has not seen begin crashes
// at its first instrumented call. glibc's C11 types are its POSIX types under other names, so each function is
// redirected. librdkafka itself is not instrumented: the sanitizer cannot see the atomic counters by which it knows
// when to free a message, so memory that librdkafka frees or fills is left out of the reports.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <new>

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t));

namespace {

pthread_mutex_t* posix(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* posix(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

int result(int code) {
  switch (code) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ETIMEDOUT:
      return thrd_timedout;
    case ENOMEM:
      return thrd_nomem;
    default:
      return thrd_error;
  }
}

struct Start {
  thrd_start_t function;
  void* argument;
};

void* run(void* start) {
  const Start copy = *static_cast<Start*>(start);
  delete static_cast<Start*>(start);
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(copy.function(copy.argument)));
}

}  // namespace

extern "C" {

const char* __tsan_default_suppressions() { return "race:librdkafka.so\n"; }  // NOLINT: the sanitizer's name for it

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto* const start = new (std::nothrow) Start{function, argument};
  if (start == nullptr) return thrd_nomem;
  const int code = pthread_create(thread, nullptr, &run, start);
  if (code != 0) delete start;
  return result(code);
}
int thrd_join(thrd_t thread, int* value) {
  void* returned = nullptr;
  const int code = pthread_join(thread, &returned);
  if (code == 0 && value != nullptr) *value = static_cast<int>(reinterpret_cast<std::intptr_t>(returned));
  return result(code);
}
int thrd_detach(thrd_t thread) { return result(pthread_detach(thread)); }

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if ((type & mtx_recursive) != 0) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  const int code = pthread_mutex_init(posix(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return result(code);
}
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy(posix(mutex)); }
int mtx_lock(mtx_t* mutex) { return result(pthread_mutex_lock(posix(mutex))); }
int mtx_trylock(mtx_t* mutex) { return result(pthread_mutex_trylock(posix(mutex))); }
int mtx_unlock(mtx_t* mutex) { return result(pthread_mutex_unlock(posix(mutex))); }

int cnd_init(cnd_t* condition) { return result(pthread_cond_init(posix(condition), nullptr)); }
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy(posix(condition)); }
int cnd_signal(cnd_t* condition) { return result(pthread_cond_signal(posix(condition))); }
int cnd_broadcast(cnd_t* condition) { return result(pthread_cond_broadcast(posix(condition))); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) { return result(pthread_cond_wait(posix(condition), posix(mutex))); }
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return result(pthread_cond_timedwait(posix(condition), posix(mutex), until));
}

}  // extern "C"
