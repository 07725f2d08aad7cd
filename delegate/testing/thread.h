// A thread of a test, as std::thread, which would bring the C++ library along.
#ifndef SPARSEBNN_TESTING_THREAD_H_
#define SPARSEBNN_TESTING_THREAD_H_

#include <pthread.h>

#include <cstdlib>
#include <functional>
#include <utility>

namespace sparsebnn {

class Thread {
 public:
  explicit Thread(std::function<void()> run) : run_(std::move(run)) {
    if (pthread_create(&handle_, nullptr, Enter, &run_) != 0) std::abort();
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { pthread_join(handle_, nullptr); }

 private:
  static void* Enter(void* run) {
    (*static_cast<std::function<void()>*>(run))();
    return nullptr;
  }

  std::function<void()> run_;
  pthread_t handle_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_THREAD_H_
