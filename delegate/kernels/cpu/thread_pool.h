// Threads that wait for loops to run.
//
// Between two loops a thread spins for a while before it sleeps, and yields to whoever wants the
// core: the ops of a network follow each other in less time than waking takes. A loop does not wait
// for threads that wake too late.
//
// Of each loop a thread takes the same part, and only then what is left of the others'. So it finds
// in the cache of its core the rows of a map that it wrote itself.
#ifndef SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_
#define SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_

#include "process.h"

namespace sparsebnn {

class ThreadPool {
 public:
  // `threads` counts the caller of ParallelFor; the others are started when they are needed.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The caller and those threads that could be started, in this process: a forked child, which
  // has a copy of the pool but none of its threads, starts its own.
  int threads();

  // How many of them pay for a loop that takes the caller alone about so long: only those that are
  // awake if it is short.
  int ThreadsFor(double microseconds);

  // Those that sleep come, for there will soon be a loop.
  void Wake();

  // Calls body(context, i, thread) for each i in [0, count), each once, thread in
  // [0, threads()), and returns when all have returned. Not reentrant.
  using Body = void (*)(const void* context, int i, int thread);
  void ParallelFor(int count, Body body, const void* context);

  template <typename Function>
  void ParallelFor(int count, const Function& function) {
    ParallelFor(
        count,
        [](const void* context, int i, int thread) {
          (*static_cast<const Function*>(context))(i, thread);
        },
        &function);
  }

 private:
  class Workers;

  const int asked_;
  OnePerProcess<Workers> workers_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_
