// Which process an object belongs to.
//
// A fork copies the whole memory but only the thread that calls it. In the child, what other
// threads shared is not to be touched: a lock may be held, data be half written by a thread that
// is not there, and even destroying a lock may wait for it. Such an object is left as it is, and
// the child makes its own.
#ifndef SPARSEBNN_KERNELS_CPU_PROCESS_H_
#define SPARSEBNN_KERNELS_CPU_PROCESS_H_

#include <unistd.h>

#include <atomic>
#include <memory>

namespace sparsebnn {

// Asks the system each time, some 100 ns: a handler of pthread_atfork would have to be removed
// when the library is unloaded, and does not see a raw clone().
class Process {
 public:
  bool IsThisOne() const { return id_ == getpid(); }

 private:
  pid_t id_ = getpid();
};

// A T of each process: the first access after a fork makes a new one and leaks the old.
template <typename T>
class OnePerProcess {
 public:
  OnePerProcess() : instance_(new Instance) {}
  ~OnePerProcess() {
    Instance* instance = instance_.load();
    if (instance->process.IsThisOne()) delete instance;
  }
  OnePerProcess(const OnePerProcess&) = delete;
  OnePerProcess& operator=(const OnePerProcess&) = delete;

  T* get() {
    Instance* instance = instance_.load();
    if (!instance->process.IsThisOne()) {
      auto own = std::make_unique<Instance>();
      // Unless another thread of this process was faster.
      if (instance_.compare_exchange_strong(instance, own.get())) instance = own.release();
    }
    return &instance->value;
  }
  T* operator->() { return get(); }

 private:
  struct Instance {
    Process process;
    T value;
  };
  std::atomic<Instance*> instance_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_PROCESS_H_
