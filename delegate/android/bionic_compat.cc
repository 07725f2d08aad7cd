// What code compiled against musl's headers, and zig's libc++ with it, calls in another way than
// bionic has it. Only for builds without the NDK.
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

// Of types that the library shares with bionic, the sizes; these are bionic's, <bits/pthread_types.h>.
static_assert(sizeof(pthread_mutex_t) == 40, "");
static_assert(sizeof(pthread_cond_t) == 48, "");
static_assert(sizeof(pthread_rwlock_t) == 56, "");
static_assert(sizeof(pthread_attr_t) == 56, "");
static_assert(sizeof(pthread_once_t) == 4, "");
static_assert(sizeof(pthread_key_t) == 4, "");
static_assert(sizeof(pthread_t) == 8, "");
static_assert(sizeof(struct timespec) == 16, "");

#define SPARSEBNN_HIDDEN extern "C" __attribute__((visibility("hidden")))

extern "C" int* __errno(void);

SPARSEBNN_HIDDEN int* __errno_location(void) { return __errno(); }

SPARSEBNN_HIDDEN int bcmp(const void* a, const void* b, size_t n) { return memcmp(a, b, n); }

// bionic has it from API 28 on.
SPARSEBNN_HIDDEN void* aligned_alloc(size_t alignment, size_t size) {
  void* block = nullptr;
  if (alignment < sizeof(void*)) alignment = sizeof(void*);
  return posix_memalign(&block, alignment, size) == 0 ? block : nullptr;
}

// Names have other numbers in bionic. libc++ asks for what the delegate does not use; but for the
// page size, nothing is known.
SPARSEBNN_HIDDEN long sysconf(int name) {
  return name == _SC_PAGESIZE ? static_cast<long>(getauxval(AT_PAGESZ)) : -1;
}

// Attributes have 4 bytes in musl, 8 in bionic. Only recursive mutexes would need them.
SPARSEBNN_HIDDEN int pthread_mutexattr_init(pthread_mutexattr_t*) { abort(); }
SPARSEBNN_HIDDEN int pthread_mutexattr_settype(pthread_mutexattr_t*, int) { abort(); }
SPARSEBNN_HIDDEN int pthread_mutexattr_destroy(pthread_mutexattr_t*) { abort(); }

// What C++ keeps for each thread about exceptions. libc++abi's own is a thread-local variable,
// which bionic loads from API 29 on.
namespace {

struct ExceptionGlobals {
  void* caught;
  unsigned uncaught;
};

pthread_once_t once = PTHREAD_ONCE_INIT;
pthread_key_t key;

void MakeKey() {
  if (pthread_key_create(&key, free) != 0) abort();
}

}  // namespace

SPARSEBNN_HIDDEN void* __cxa_get_globals_fast() {
  pthread_once(&once, MakeKey);
  return pthread_getspecific(key);
}

SPARSEBNN_HIDDEN void* __cxa_get_globals() {
  void* globals = __cxa_get_globals_fast();
  if (globals == nullptr) {
    globals = calloc(1, sizeof(ExceptionGlobals));
    if (globals == nullptr || pthread_setspecific(key, globals) != 0) abort();
  }
  return globals;
}
