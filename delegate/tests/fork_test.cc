// A process that forks after its threads have started: the child has none of them and makes its
// own, the parent goes on. Also while other threads of the parent are at work.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/cpu/thread_pool.h"
#include "sparsebnn_delegate.h"
#include "testing/fake_runtime.h"
#include "testing/thread.h"

namespace sparsebnn {
namespace {

constexpr int kThreads = 4, kChildren = 20;
constexpr unsigned kPatience = 30;  // seconds, until a child that hangs is killed

int failures = 0;

// Starts a child that exits with what `run` says.
pid_t Fork(const std::function<bool()>& run) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(kPatience);
  _exit(run() ? 0 : 1);
}

void ExpectSuccess(const char* what, pid_t child) {
  int status = -1;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0) return;
  std::fprintf(stderr, "Expected %s to end well, got %s %d\n", what,
               WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  ++failures;
}

// Whether a loop runs each of its steps once, on threads that there are.
bool LoopRuns(ThreadPool* pool) {
  std::atomic<int> runs[100] = {};
  std::atomic<bool> good{true};
  pool->ParallelFor(100, [&](int i, int thread) {
    ++runs[i];
    if (thread < 0 || thread >= kThreads) good = false;
  });
  for (const auto& count : runs) good = good && count == 1;
  return good && pool->threads() == kThreads;
}

void APoolRunsInChildrenAndParent() {
  ThreadPool pool(kThreads);
  if (!LoopRuns(&pool)) ++failures;
  std::vector<pid_t> children;
  for (int i = 0; i < kChildren; ++i) {
    children.push_back(Fork([&] {
      if (!LoopRuns(&pool) || !LoopRuns(&pool)) return false;
      const pid_t grandchild = Fork([&] { return LoopRuns(&pool); });
      ExpectSuccess("a grandchild", grandchild);
      return failures == 0;
    }));
    if (!LoopRuns(&pool)) ++failures;
  }
  for (const pid_t child : children) ExpectSuccess("a child", child);
}

void AChildNeedNotUseAPool() {
  auto pool = std::make_unique<ThreadPool>(kThreads);
  if (!LoopRuns(pool.get())) ++failures;
  ExpectSuccess("a child that removes a pool", Fork([&] {
                  pool = nullptr;
                  return true;
                }));
}

// An interpreter of LceQuantize, on enough values for all threads.
class Quantizer {
 public:
  explicit Quantizer(::TfLiteDelegate* delegate) {
    input_ = runtime_.AddTensor(kTfLiteFloat32, {1 << 12, 32});
    output_ = runtime_.AddTensor(kTfLiteInt32, {1 << 12, 1});
    runtime_.AddNode("LceQuantize", {input_}, {output_}, {});
    ready_ =
        runtime_.ApplyDelegate(delegate, {input_}, {output_}) && runtime_.AllocateTensors();
  }
  ~Quantizer() { runtime_.FreePartition(); }

  bool Run(float value) {
    if (!ready_) return false;
    auto* values = static_cast<float*>(runtime_.tensor(input_)->data);
    for (int i = 0; i < 1 << 17; ++i) values[i] = value;
    if (!runtime_.Invoke()) return false;
    const auto* words = static_cast<const uint32_t*>(runtime_.tensor(output_)->data);
    for (int i = 0; i < 1 << 12; ++i) {
      if (words[i] != (value < 0 ? ~0u : 0)) return false;
    }
    return true;
  }

 private:
  FakeRuntime runtime_;
  int input_, output_;
  bool ready_;
};

void ADelegateRunsInChildrenOfABusyParent() {
  sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
  options.num_threads = kThreads;
  options.profile = 1;
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(&options);
  auto idle = std::make_unique<Quantizer>(delegate);
  auto busy = std::make_unique<Quantizer>(delegate);
  if (!idle->Run(-1) || !busy->Run(1)) ++failures;
  std::atomic<bool> stop{false};
  auto at_work = std::make_unique<Thread>([&] {
    while (!stop) {
      if (!busy->Run(1)) ++failures;
      sparsebnn_delegate_profile_json(delegate);
    }
  });
  std::vector<pid_t> children;
  for (int i = 0; i < kChildren; ++i) {
    children.push_back(Fork([&] {
      // Not `busy`: the runtime may have been changing it.
      if (!idle->Run(-1) || !Quantizer(delegate).Run(1)) return false;
      const char* json = sparsebnn_delegate_profile_json(delegate);
      if (std::strstr(json, "\"threads\": 4") == nullptr) return false;
      idle = nullptr;
      sparsebnn_delegate_destroy(delegate);
      return true;
    }));
    usleep(1000);
    if (!idle->Run(1)) ++failures;
  }
  for (const pid_t child : children) ExpectSuccess("a child of a busy parent", child);
  stop = true;
  at_work = nullptr;
  idle = nullptr;
  busy = nullptr;
  sparsebnn_delegate_destroy(delegate);
}

}  // namespace
}  // namespace sparsebnn

// AddressSanitizer's allocator does not survive it: its locks stay as they were when a thread that
// allocates is not there any more.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kForksWhileBusy = false;
#elif defined(__has_feature)
constexpr bool kForksWhileBusy = !__has_feature(address_sanitizer);
#else
constexpr bool kForksWhileBusy = true;
#endif

int main() {
  using namespace sparsebnn;
  APoolRunsInChildrenAndParent();
  AChildNeedNotUseAPool();
  if (kForksWhileBusy) ADelegateRunsInChildrenOfABusyParent();
  std::printf("%d failures\n", failures);
  return failures != 0;
}
