#include "thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace sparsebnn {

class ThreadPool::Workers {
 public:
  Workers() = default;

  ~Workers() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    start_.notify_all();
    for (const auto& worker : workers_) pthread_join(worker->handle, nullptr);
  }

  // Starts so many, or as many as the system allows. Only the first call does.
  void Start(int count) {
    if (started_) return;
    started_ = true;
    for (int thread = 1; thread <= count; ++thread) {
      // Not std::thread, whose failure to start is an exception.
      auto worker = std::make_unique<Worker>();
      worker->owner = this;
      worker->thread = thread;
      if (pthread_create(&worker->handle, nullptr, Enter, worker.get()) != 0) return;
      workers_.push_back(std::move(worker));
    }
  }

  int count() const { return static_cast<int>(workers_.size()); }

  void Run(int count, Body body, const void* context) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      count_ = count;
      body_ = body;
      context_ = context;
      next_.store(0, std::memory_order_relaxed);
      running_ = this->count();
      ++loop_;
    }
    start_.notify_all();
    for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) {
      body(context, i, 0);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  struct Worker {
    Workers* owner;
    int thread;
    pthread_t handle;
  };

  static void* Enter(void* worker) {
    static_cast<Worker*>(worker)->owner->Work(static_cast<Worker*>(worker)->thread);
    return nullptr;
  }

  void Work(int thread) {
    unsigned long seen = 0;
    while (true) {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return stop_ || loop_ != seen; });
      if (stop_) return;
      seen = loop_;
      const int count = count_;
      const Body body = body_;
      const void* context = context_;
      lock.unlock();
      for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) {
        body(context, i, thread);
      }
      lock.lock();
      if (--running_ == 0) finished_.notify_one();
    }
  }

  bool started_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
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

ThreadPool::ThreadPool(int threads) : asked_(threads) {}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() {
  if (asked_ <= 1) return 1;
  Workers* workers = workers_.get();
  workers->Start(asked_ - 1);
  return workers->count() + 1;
}

void ThreadPool::ParallelFor(int count, Body body, const void* context) {
  if (count > 1 && threads() > 1) {
    workers_->Run(count, body, context);
    return;
  }
  for (int i = 0; i < count; ++i) body(context, i, 0);
}

}  // namespace sparsebnn
