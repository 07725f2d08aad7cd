// Threads that wait for loops to run.
#ifndef SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_
#define SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace sparsebnn {

class ThreadPool {
 public:
  // `threads` counts the caller of ParallelFor; one thread means no thread is started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The caller and those threads that could be started.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

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
  void Work(int thread);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, finished_;
  unsigned long loop_ = 0;  // counts loops; a worker runs each one once
  int running_ = 0;
  bool stop_ = false;
  std::atomic<int> next_{0};
  int count_ = 0;
  Body body_ = nullptr;
  const void* context_ = nullptr;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_THREAD_POOL_H_
