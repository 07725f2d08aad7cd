#include "thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/mutex.h"

namespace sparsebnn {

class ThreadPool::Workers {
 public:
  Workers() = default;

  ~Workers() {
    {
      MutexLock lock(&mutex_);
      stop_.store(true);
    }
    start_.WakeAll();
    for (const auto& worker : workers_) pthread_join(worker->handle, nullptr);
  }

  // Starts that many, or as many as the system allows. Only the first call does.
  void Start(int count) {
    if (started_) return;
    started_ = true;
    shares_ = std::make_unique<Share[]>(static_cast<size_t>(count) + 1);
    for (int thread = 1; thread <= count; ++thread) {
      // Not std::thread, whose failure to start is an exception.
      auto worker = std::make_unique<Worker>();
      worker->owner = this;
      worker->thread = thread;
      if (pthread_create(&worker->handle, nullptr, Enter, worker.get()) != 0) return;
      workers_.push_back(std::move(worker));
    }
  }

  // The caller and the workers.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  int awake() const { return std::max(1, threads() - sleeping_.load()); }

  // Who is about to sleep may miss it.
  void Wake() {
    if (sleeping_.load() == 0) return;
    {
      MutexLock lock(&mutex_);
      ++wakes_;
    }
    start_.WakeAll();
  }

  void Run(int count, Body body, const void* context) {
    body_ = body;
    context_ = context;
    for (int64_t t = 0, first = 0; t < threads(); ++t) {
      shares_[t].next.store(static_cast<int>(first), std::memory_order_relaxed);
      first = (t + 1) * count / threads();
      shares_[t].end = static_cast<int>(first);
    }
    open_.store(++loop_);
    if (sleeping_.load() > 0) {
      {
        MutexLock lock(&mutex_);
      }
      start_.WakeAll();
    }
    TakeShares(0);
    // Who has not come by now need not: nothing is left to do.
    open_.store(0);
    for (Wait wait; active_.load() > 0;) {
      if (!wait.Spin()) sched_yield();
    }
  }

 private:
  struct Worker {
    Workers* owner;
    int thread;
    pthread_t handle;
  };

  // Waiting without sleep. Whoever else wants the core gets it: a thread of the runtime's that
  // computes between two partitions, above all.
  class Wait {
   public:
    // False when the time is over: a few times what waking somebody takes, and longer than the
    // runtime's ops between two partitions do as a rule.
    bool Spin() {
      if (over_) return false;
      for (int i = 0; i < 32; ++i) Pause();
      sched_yield();
      over_ = Nanoseconds() - start_ > 200'000;
      return true;
    }

   private:
    static void Pause() {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
      asm volatile("yield");
#endif
    }

    const uint64_t start_ = Nanoseconds();
    bool over_ = false;
  };

  static void* Enter(void* worker) {
    static_cast<Worker*>(worker)->owner->Work(static_cast<Worker*>(worker)->thread);
    return nullptr;
  }

  void Work(int thread) {
    unsigned long seen = 0;
    while (WaitForLoop(seen)) {
      // From here on the caller waits for this thread, unless the loop is over already; then
      // nothing of it may be looked at.
      active_.fetch_add(1);
      const unsigned long loop = open_.load();
      if (loop != 0 && loop != seen) {
        seen = loop;
        TakeShares(thread);
      }
      active_.fetch_sub(1);
    }
  }

  bool HasLoop(unsigned long seen) const {
    const unsigned long loop = open_.load();
    return stop_.load() || (loop != 0 && loop != seen);
  }

  // False when the pool ends.
  bool WaitForLoop(unsigned long seen) {
    for (;;) {
      for (Wait wait; wait.Spin();) {
        if (HasLoop(seen)) return !stop_.load();
      }
      MutexLock lock(&mutex_);
      sleeping_.fetch_add(1);
      for (const unsigned long wakes = wakes_; !HasLoop(seen) && wakes_ == wakes;) {
        start_.Wait(&mutex_);
      }
      sleeping_.fetch_sub(1);
    }
  }

  // Of a loop's i's: [next, end) are not taken yet. No two in one cache line.
  struct Share {
    std::atomic<int> next{0};
    int end = 0;
    char unused[56];
  };

  // First the thread's own share, then what others have not come to.
  void TakeShares(int thread) {
    const int count = threads();
    for (int k = 0; k < count; ++k) {
      Share& share = shares_[(thread + k) % count];
      const int end = share.end;
      for (int i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < end;) {
        body_(context_, i, thread);
      }
    }
  }

  bool started_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  Mutex mutex_;
  Condition start_;
  unsigned long wakes_ = 0;  // guarded by mutex_
  unsigned long loop_ = 0;   // counts loops; a worker takes part in each at most once
  // The loop that workers may join, 0 for none; what follows is its, and does not change as long
  // as it is open or a worker is active.
  std::atomic<unsigned long> open_{0};
  std::atomic<int> active_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::unique_ptr<Share[]> shares_;  // of each thread
  Body body_ = nullptr;
  const void* context_ = nullptr;
};

ThreadPool::ThreadPool(int threads) : asked_(threads) {}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() {
  if (asked_ <= 1) return 1;
  Workers* workers = workers_.get();
  workers->Start(asked_ - 1);
  return workers->threads();
}

void ThreadPool::Wake() {
  if (threads() > 1) workers_->Wake();
}

int ThreadPool::ThreadsFor(double microseconds) {
  // To take part in a loop costs a thread some microseconds; to wake it costs the caller ten, and
  // it comes after twenty to fifty.
  if (microseconds < 8 || threads() == 1) return 1;
  return microseconds < 80 ? workers_->awake() : threads();
}

void ThreadPool::ParallelFor(int count, Body body, const void* context) {
  if (count > 1 && threads() > 1) {
    workers_->Run(count, body, context);
    return;
  }
  for (int i = 0; i < count; ++i) body(context, i, 0);
}

}  // namespace sparsebnn
