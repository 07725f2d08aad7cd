// The entry points: creates the delegate and has nodes claimed.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "claim.h"
#include "delegate.h"
#include "delegate_options.h"
#include "delegate_state.h"
#include "kernels/base/decimal.h"
#include "partition.h"
#include "sparsebnn_delegate.h"
#include "tflite_abi.h"

namespace sparsebnn {
namespace {

struct Delegate {
  explicit Delegate(const DelegateOptions& options) : state(new DelegateState(options)) {}

  TfLiteDelegate interface = {};
  // Shared with the partitions, which the runtime may free after the delegate.
  const Shared<DelegateState> state;
};

// ---- A partition, as the runtime's kernel ----

void* InitPartition(TfLiteContext* context, const char* buffer, size_t) {
  const auto* params = reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  const auto* delegate = static_cast<const Delegate*>(params->delegate->data);
  return new Partition(context, delegate->state, *params);
}

void FreePartition(TfLiteContext*, void* partition) {
  delete static_cast<Partition*>(partition);
}

TfLiteStatus PreparePartition(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<Partition*>(node->user_data)->Prepare(context);
}

TfLiteStatus InvokePartition(TfLiteContext* context, TfLiteNode* node) {
  return static_cast<Partition*>(node->user_data)->Invoke(context);
}

// ---- The delegate ----

TfLiteStatus ClaimNodes(TfLiteContext* context, TfLiteDelegate* delegate) {
  std::vector<int> nodes;
  const DelegateOptions& options = static_cast<Delegate*>(delegate->data)->state->options();
  if (!ChooseNodes(context, options, &nodes)) return kTfLiteError;
  if (nodes.empty()) return kTfLiteOk;
  const std::unique_ptr<TfLiteIntArray, void (*)(void*)> claimed(
      NewIntArray(static_cast<int>(nodes.size())), std::free);
  if (claimed == nullptr) return kTfLiteError;
  std::copy(nodes.begin(), nodes.end(), claimed->data);
  TfLiteRegistration registration = {};
  registration.init = InitPartition;
  registration.free = FreePartition;
  registration.prepare = PreparePartition;
  registration.invoke = InvokePartition;
  registration.builtin_code = kTfLiteBuiltinDelegate;
  registration.custom_name = "SparsebnnDelegate";
  registration.version = 1;
  return context->ReplaceNodeSubsetsWithDelegateKernels(context, registration, claimed.get(),
                                                        delegate);
}

::TfLiteDelegate* Create(DelegateOptions options, std::string* error) {
  if (!options.Resolve(error)) return nullptr;
  auto* delegate = new Delegate(options);
  delegate->interface.data = delegate;
  delegate->interface.Prepare = ClaimNodes;
  // Without this flag the runtime prepares the graph before it asks the delegate, and fails at
  // the first custom op that it does not know.
  delegate->interface.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return reinterpret_cast<::TfLiteDelegate*>(&delegate->interface);
}

Delegate* Unwrap(::TfLiteDelegate* delegate) {
  return static_cast<Delegate*>(reinterpret_cast<TfLiteDelegate*>(delegate)->data);
}

}  // namespace

::TfLiteDelegate* CreateDelegate(const sparsebnn_delegate_options& options,
                                 std::string* error) {
  DelegateOptions parsed;
  const std::string threads = Decimal(options.num_threads);
  const bool valid =
      (options.num_threads == 0 || parsed.Set("num_threads", threads.c_str(), error)) &&
      parsed.Set("kernel", options.kernel, error) && parsed.Set("isa", options.isa, error) &&
      parsed.Set("profile", options.profile ? "1" : "0", error) &&
      parsed.Set("verbose", options.verbose ? "1" : "0", error);
  return valid ? Create(parsed, error) : nullptr;
}

}  // namespace sparsebnn

// ---- The C interface ----

sparsebnn_delegate_options sparsebnn_delegate_options_default(void) {
  return {/*num_threads=*/0, /*kernel=*/"auto", /*isa=*/"auto", /*profile=*/0, /*verbose=*/0};
}

TfLiteDelegate* sparsebnn_delegate_create(const sparsebnn_delegate_options* options) {
  std::string error;
  TfLiteDelegate* delegate = sparsebnn::CreateDelegate(
      options != nullptr ? *options : sparsebnn_delegate_options_default(), &error);
  if (delegate == nullptr) std::fprintf(stderr, "sparsebnn: %s.\n", error.c_str());
  return delegate;
}

void sparsebnn_delegate_destroy(TfLiteDelegate* delegate) {
  if (delegate != nullptr) delete sparsebnn::Unwrap(delegate);
}

const char* sparsebnn_delegate_version(void) { return SPARSEBNN_VERSION; }

const char* sparsebnn_delegate_profile_json(TfLiteDelegate* delegate) {
  return delegate == nullptr ? nullptr : sparsebnn::Unwrap(delegate)->state->ProfileJson();
}

TfLiteDelegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count,
                                              void (*report_error)(const char*)) {
  sparsebnn::DelegateOptions options;
  std::string error;
  bool valid = true;
  for (size_t i = 0; valid && i < count; ++i) valid = options.Set(keys[i], values[i], &error);
  TfLiteDelegate* delegate = valid ? sparsebnn::Create(options, &error) : nullptr;
  if (delegate == nullptr && report_error != nullptr) {
    report_error(("sparsebnn: " + error + ".").c_str());
  }
  return delegate;
}

void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  sparsebnn_delegate_destroy(delegate);
}
