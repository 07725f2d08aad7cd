// What the delegate, its partitions and its profile share.
#ifndef SPARSEBNN_TFLITE_DELEGATE_STATE_H_
#define SPARSEBNN_TFLITE_DELEGATE_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "delegate_options.h"
#include "kernels/base/mutex.h"
#include "kernels/cpu/process.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "shape.h"
#include "shared.h"
#include "tflite_abi.h"

namespace sparsebnn {

// The threads and scratch memory of one interpreter: its partitions run one after another, so
// they share them. Interpreters may run at the same time, so those share nothing.
struct ExecutionResources {
  // A pool of that many threads; the one there is if it has them.
  ThreadPool* Threads(int count);

  ThreadPool caller{1};  // a pool of no threads but the caller's
  Workspace workspace;

 private:
  friend class DelegateState;

  const TfLiteContext* context_ = nullptr;
  int partitions_ = 0;  // that use it
  std::unique_ptr<ThreadPool> threads_;
  int asked_ = 0;
};

struct NodeProfile {
  int node = 0;
  std::string op;
  Shape input, output;
  std::string kernel;
  uint64_t runs = 0, nanoseconds = 0;
};

struct PartitionProfile {
  int threads = 1;
  size_t arena_bytes = 0;
  std::vector<NodeProfile> nodes;
};

class DelegateState : public Owned {
 public:
  explicit DelegateState(const DelegateOptions& options) : options_(options) {}

  const DelegateOptions& options() const { return options_; }

  // For a partition: the same for all of one interpreter's graph, until each has left.
  ExecutionResources* Join(const TfLiteContext* context);
  void Leave(const void* partition, ExecutionResources* resources);

  // What the report says of a partition, until it leaves.
  void SetProfile(const void* partition, PartitionProfile profile);

  // The text lives until the next call.
  const char* ProfileJson();

 private:
  struct InProcess {
    Mutex mutex;  // of everything below
    std::vector<ExecutionResources*> resources;
    std::vector<std::pair<const void*, PartitionProfile>> profiles;
    std::string json;
  };

  const DelegateOptions options_;
  // A partition that a forked child has a copy of is in its report from its next run on.
  OnePerProcess<InProcess> shared_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_DELEGATE_STATE_H_
