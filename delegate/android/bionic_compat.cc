// What code compiled against musl's headers calls in another way than bionic has it. Only for
// builds without the NDK.
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

// Of types that the library shares with bionic, the sizes; these are bionic's, <bits/pthread_types.h>.
static_assert(sizeof(pthread_mutex_t) == 40, "");
static_assert(sizeof(pthread_cond_t) == 48, "");
static_assert(sizeof(pthread_t) == 8, "");
static_assert(sizeof(struct timespec) == 16, "");

extern "C" __attribute__((visibility("hidden"))) int bcmp(const void* a, const void* b,
                                                          size_t n) {
  return memcmp(a, b, n);
}
