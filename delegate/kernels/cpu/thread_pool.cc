#include "thread_pool.h"

namespace sparsebnn {

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { Work(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(int count, Body body, const void* context) {
  if (workers_.empty() || count <= 1) {
    for (int i = 0; i < count; ++i) body(context, i, 0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    count_ = count;
    body_ = body;
    context_ = context;
    next_.store(0, std::memory_order_relaxed);
    running_ = static_cast<int>(workers_.size());
    ++loop_;
  }
  start_.notify_all();
  for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) {
    body(context, i, 0);
  }
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, [this] { return running_ == 0; });
}

void ThreadPool::Work(int thread) {
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

}  // namespace sparsebnn
