// A TFLite runtime in miniature: it holds tensors and nodes, hands all nodes to a delegate as
// one partition, and allocates every tensor to the exact byte, so that a sanitizer sees each
// overstep.
#ifndef SPARSEBNN_TESTING_FAKE_RUNTIME_H_
#define SPARSEBNN_TESTING_FAKE_RUNTIME_H_

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sparsebnn_delegate.h"
#include "tflite/shape.h"
#include "tflite/tflite_abi.h"

namespace sparsebnn {

// An array from malloc that is freed.
class IntArray {
 public:
  IntArray() = default;
  explicit IntArray(const std::vector<int>& values)
      : array_(NewIntArray(static_cast<int>(values.size()))) {
    if (!values.empty()) std::memcpy(array_->data, values.data(), values.size() * sizeof(int));
  }
  IntArray(IntArray&& other) noexcept : array_(other.array_) { other.array_ = nullptr; }
  IntArray& operator=(IntArray&& other) noexcept {
    std::swap(array_, other.array_);
    return *this;
  }
  ~IntArray() { std::free(array_); }
  TfLiteIntArray* get() const { return array_; }

 private:
  TfLiteIntArray* array_ = nullptr;
};

class FakeRuntime {
 public:
  // What ResizeTensor allocates at most: a fuzzer has many shapes to see.
  static constexpr size_t kMaxTensorBytes = 1 << 22;

  FakeRuntime() {
    std::memset(&context_, 0, sizeof(context_));
    context_.impl = this;
    context_.recommended_num_threads = 1;
    context_.GetExecutionPlan = [](TfLiteContext* context, TfLiteIntArray** plan) {
      *plan = Self(context)->plan_.get();
      return kTfLiteOk;
    };
    context_.ResizeTensor = [](TfLiteContext* context, TfLiteTensor* tensor,
                               TfLiteIntArray* dims) {
      return Self(context)->Resize(tensor, dims);
    };
    context_.ReportError = ReportError;
    context_.GetNodeAndRegistration = [](TfLiteContext* context, int index, TfLiteNode** node,
                                         TfLiteRegistration** registration) {
      FakeRuntime* self = Self(context);
      if (index < 0 || static_cast<size_t>(index) >= self->nodes_.size()) return kTfLiteError;
      *node = &self->nodes_[static_cast<size_t>(index)]->node;
      *registration = &self->nodes_[static_cast<size_t>(index)]->registration;
      return kTfLiteOk;
    };
    context_.ReplaceNodeSubsetsWithDelegateKernels =
        [](TfLiteContext* context, TfLiteRegistration registration,
           const TfLiteIntArray* claimed, TfLiteDelegate* delegate) {
          return Self(context)->Replace(registration, claimed, delegate);
        };
  }

  ~FakeRuntime() {
    FreePartition();
    for (const auto& tensor : tensors_) {
      std::free(tensor->dims);
      std::free(tensor->data);
    }
  }

  // ---- The model ----

  // An activation without memory; its index.
  int AddTensor(TfLiteType type, const std::vector<int>& dims) {
    auto tensor = std::make_unique<TfLiteTensor>();
    std::memset(tensor.get(), 0, sizeof(TfLiteTensor));
    tensor->type = type;
    tensor->dims = CopyDims(dims);
    tensor->allocation_type = kArenaRw;
    tensor->name = "tensor";
    tensors_.push_back(std::move(tensor));
    return static_cast<int>(tensors_.size()) - 1;
  }

  int AddConstant(TfLiteType type, const std::vector<int>& dims,
                  const std::vector<uint8_t>& bytes) {
    const int index = AddTensor(type, dims);
    tensor(index)->allocation_type = kTfLiteMmapRo;
    Allocate(tensor(index), bytes.size());
    if (!bytes.empty()) std::memcpy(tensor(index)->data, bytes.data(), bytes.size());
    return index;
  }

  void AddNode(const char* custom_name, const std::vector<int>& inputs,
               const std::vector<int>& outputs, const std::vector<uint8_t>& options) {
    Node* node = AddAnyNode(inputs, outputs, options);
    node->node.custom_initial_data = node->options.get();
    node->node.custom_initial_data_size = static_cast<int>(options.size());
    node->registration.custom_name = custom_name;
    node->registration.builtin_code = 32;  // CUSTOM
  }

  // An op of TFLite's own; `options` are its structure's bytes, none of which is a null pointer.
  void AddBuiltin(int32_t code, const std::vector<int>& inputs, const std::vector<int>& outputs,
                  const std::vector<uint8_t>& options) {
    Node* node = AddAnyNode(inputs, outputs, options);
    node->node.builtin_data = options.empty() ? nullptr : node->options.get();
    node->registration.builtin_code = code;
  }

  TfLiteTensor* tensor(int index) { return tensors_[static_cast<size_t>(index)].get(); }

  void SetDims(int index, const std::vector<int>& dims) {
    std::free(tensor(index)->dims);
    tensor(index)->dims = CopyDims(dims);
  }

  // As a file says it of a tensor in 8 bits: a scale and a zero point, or as many as there are of
  // its dimension.
  void Quantize(int index, const std::vector<float>& scales,
                const std::vector<int>& zero_points, int dimension = 0) {
    auto quantization = std::make_unique<Quantization>(scales, zero_points, dimension);
    tensor(index)->quantization = {kTfLiteAffineQuantization, &quantization->params};
    quantizations_.push_back(std::move(quantization));
  }

  // ---- The interpreter ----

  // `inputs` and `outputs` are those of the graph.
  bool ApplyDelegate(::TfLiteDelegate* delegate, std::vector<int> inputs,
                     std::vector<int> outputs) {
    std::vector<int> plan;
    for (size_t i = 0; i < nodes_.size(); ++i) plan.push_back(static_cast<int>(i));
    plan_ = IntArray(plan);
    inputs_ = std::move(inputs);
    outputs_ = std::move(outputs);
    Publish();
    auto* interface = reinterpret_cast<TfLiteDelegate*>(delegate);
    return interface->Prepare(&context_, interface) == kTfLiteOk && partition_ != nullptr;
  }

  // Allocates the graph's inputs by their shapes and prepares the partition.
  bool AllocateTensors() {
    for (const int index : inputs_) {
      Shape shape;
      size_t bytes;
      if (ShapeOf(tensor(index)->dims, &shape) && shape.Bytes(tensor(index)->type, &bytes) &&
          bytes <= kMaxTensorBytes) {
        Allocate(tensor(index), bytes);
      } else {
        Allocate(tensor(index), 0);
      }
    }
    Publish();
    const bool done = registration_.prepare(&context_, &partition_node_) == kTfLiteOk;
    Collect();
    return done;
  }

  bool Invoke() {
    Publish();
    const bool done = registration_.invoke(&context_, &partition_node_) == kTfLiteOk;
    Collect();
    return done;
  }

  void FreePartition() {
    if (partition_ != nullptr) registration_.free(&context_, partition_);
    partition_ = nullptr;
  }

  // All that was reported.
  const std::string& errors() const { return errors_; }

 private:
  static constexpr TfLiteAllocationType kArenaRw = static_cast<TfLiteAllocationType>(2);

  struct Quantization {
    Quantization(const std::vector<float>& scales, const std::vector<int>& points,
                 int dimension)
        : scale(std::malloc(sizeof(int) + sizeof(float) * scales.size())), zero_points(points) {
      auto* array = static_cast<TfLiteFloatArray*>(scale);
      array->size = static_cast<int>(scales.size());
      if (!scales.empty()) {
        std::memcpy(array->data, scales.data(), sizeof(float) * scales.size());
      }
      params = {array, zero_points.get(), dimension};
    }
    ~Quantization() { std::free(scale); }
    Quantization(const Quantization&) = delete;

    void* const scale;
    IntArray zero_points;
    TfLiteAffineQuantization params;
  };

  struct Node {
    TfLiteNode node = {};
    TfLiteRegistration registration = {};
    IntArray inputs, outputs;
    std::unique_ptr<uint8_t[]> options;
  };

  Node* AddAnyNode(const std::vector<int>& inputs, const std::vector<int>& outputs,
                   const std::vector<uint8_t>& options) {
    auto node = std::make_unique<Node>();
    node->inputs = IntArray(inputs);
    node->outputs = IntArray(outputs);
    // A buffer of its own size, which a sanitizer knows.
    node->options.reset(new uint8_t[options.size()]);
    if (!options.empty()) std::memcpy(node->options.get(), options.data(), options.size());
    node->node.inputs = node->inputs.get();
    node->node.outputs = node->outputs.get();
    nodes_.push_back(std::move(node));
    return nodes_.back().get();
  }

  static FakeRuntime* Self(TfLiteContext* context) {
    return static_cast<FakeRuntime*>(context->impl);
  }

  static void ReportError(TfLiteContext* context, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[2048];
    std::vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    Self(context)->errors_ += text;
  }

  static TfLiteIntArray* CopyDims(const std::vector<int>& dims) {
    TfLiteIntArray* array = NewIntArray(static_cast<int>(dims.size()));
    if (!dims.empty()) std::memcpy(array->data, dims.data(), dims.size() * sizeof(int));
    return array;
  }

  static void Allocate(TfLiteTensor* tensor, size_t bytes) {
    std::free(tensor->data);
    tensor->data = bytes > 0 ? std::calloc(bytes, 1) : nullptr;
    tensor->bytes = bytes;
  }

  // The context has the tensors one after another, and so has to be told of changes.
  void Publish() {
    array_.clear();
    for (const auto& tensor : tensors_) array_.push_back(*tensor);
    context_.tensors = array_.data();
    context_.tensors_size = array_.size();
  }
  void Collect() {
    for (size_t i = 0; i < array_.size(); ++i) *tensors_[i] = array_[i];
  }

  TfLiteStatus Resize(TfLiteTensor* tensor, TfLiteIntArray* dims) {
    Shape shape;
    size_t bytes;
    const bool possible = ShapeOf(dims, &shape) && shape.Bytes(tensor->type, &bytes) &&
                          bytes <= kMaxTensorBytes && tensor->allocation_type != kTfLiteMmapRo;
    if (!possible) {
      std::free(dims);
      return kTfLiteError;
    }
    std::free(tensor->dims);
    tensor->dims = dims;
    Allocate(tensor, bytes);
    return kTfLiteOk;
  }

  TfLiteStatus Replace(const TfLiteRegistration& registration, const TfLiteIntArray* claimed,
                       TfLiteDelegate* delegate) {
    registration_ = registration;
    claimed_ = IntArray(std::vector<int>(claimed->data, claimed->data + claimed->size));
    input_array_ = IntArray(inputs_);
    output_array_ = IntArray(outputs_);
    TfLiteDelegateParams params = {delegate, claimed_.get(), input_array_.get(),
                                   output_array_.get()};
    partition_ = registration_.init(&context_, reinterpret_cast<const char*>(&params), 0);
    partition_node_ = {};
    partition_node_.user_data = partition_;
    return kTfLiteOk;
  }

  TfLiteContext context_;
  std::vector<std::unique_ptr<TfLiteTensor>> tensors_;
  std::vector<TfLiteTensor> array_;
  std::vector<std::unique_ptr<Quantization>> quantizations_;
  std::vector<std::unique_ptr<Node>> nodes_;
  IntArray plan_, claimed_, input_array_, output_array_;
  std::vector<int> inputs_, outputs_;
  TfLiteRegistration registration_ = {};
  TfLiteNode partition_node_ = {};
  void* partition_ = nullptr;
  std::string errors_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FAKE_RUNTIME_H_
