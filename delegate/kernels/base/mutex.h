// pthread's mutex and condition variable. Those of the C++ library would bring the library along.
#ifndef SPARSEBNN_KERNELS_BASE_MUTEX_H_
#define SPARSEBNN_KERNELS_BASE_MUTEX_H_

#include <pthread.h>

namespace sparsebnn {

class Mutex {
 public:
  Mutex() { pthread_mutex_init(&mutex_, nullptr); }
  ~Mutex() { pthread_mutex_destroy(&mutex_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

 private:
  friend class MutexLock;
  friend class Condition;
  pthread_mutex_t mutex_;
};

// Holds the mutex as long as it lives.
class MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_->mutex_); }
  ~MutexLock() { pthread_mutex_unlock(&mutex_->mutex_); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class Condition {
 public:
  Condition() { pthread_cond_init(&condition_, nullptr); }
  ~Condition() { pthread_cond_destroy(&condition_); }
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // The caller holds the mutex, here and when this returns.
  void Wait(Mutex* mutex) { pthread_cond_wait(&condition_, &mutex->mutex_); }
  void WakeAll() { pthread_cond_broadcast(&condition_); }

 private:
  pthread_cond_t condition_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BASE_MUTEX_H_
