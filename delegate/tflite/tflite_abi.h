// The part of TFLite's C interface that an external delegate sees.
//
// No package installs TFLite's headers, and the delegate links to nothing of TFLite: it is
// handed a TfLiteContext and calls what that points to. So the few structures are declared
// here, field for field as runtimes 2.14 to 2.21 and LiteRT 1.x and 2.x lay them out. Fields
// behind the last one used are left out of structures that the runtime allocates; structures
// allocated here end in zeros that a newer runtime may read.
//
// The layout is proven twice: by the assertions below, and by running in several runtimes
// (tests/parity/test_delegate_runtimes.py).
#ifndef SPARSEBNN_TFLITE_TFLITE_ABI_H_
#define SPARSEBNN_TFLITE_TFLITE_ABI_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace sparsebnn {

enum TfLiteStatus : int { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType : int {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteBool = 6,
  kTfLiteInt8 = 9,
  kTfLiteUInt16 = 17,
};

enum TfLiteQuantizationType : int { kTfLiteNoQuantization = 0, kTfLiteAffineQuantization = 1 };

enum TfLiteAllocationType : int {
  kTfLiteMmapRo = 1,
  kTfLiteDynamic = 4,
  kTfLitePersistentRo = 5,
};

constexpr int64_t kTfLiteDelegateFlagsAllowDynamicTensors = 1;
constexpr int kTfLiteOptionalTensor = -1;

struct TfLiteIntArray {
  int size;
  int data[];
};

// From malloc, as the runtime wants an array that it will free; null if memory is short.
inline TfLiteIntArray* NewIntArray(int size) {
  const size_t bytes = sizeof(TfLiteIntArray) + sizeof(int) * static_cast<size_t>(size);
  auto* array = static_cast<TfLiteIntArray*>(std::malloc(bytes));
  if (array != nullptr) array->size = size;
  return array;
}

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteQuantization {
  TfLiteQuantizationType type;
  void* params;
};

// What params of an affine quantization point to.
struct TfLiteFloatArray {
  int size;
  float data[];
};

struct TfLiteAffineQuantization {
  TfLiteFloatArray* scale;
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
};

// The options of CONV_2D, as far as they are used. Padding: 1 is SAME, 2 VALID.
struct TfLiteConvParams {
  int padding;
  int stride_width;
  int stride_height;
  int activation;
  int dilation_width_factor;
  int dilation_height_factor;
};

// The options of DEPTHWISE_CONV_2D, as far as they are used.
struct TfLiteDepthwiseConvParams {
  int padding;
  int stride_width;
  int stride_height;
  int depth_multiplier;
  int activation;
  int dilation_width_factor;
  int dilation_height_factor;
};

// The options of MAX_POOL_2D, as far as they are used.
struct TfLitePoolParams {
  int padding;
  int stride_width;
  int stride_height;
  int filter_width;
  int filter_height;
  int activation;
};

struct TfLiteDelegate;

struct TfLiteTensor {
  TfLiteType type;
  void* data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
  TfLiteAllocationType allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  TfLiteDelegate* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  TfLiteQuantization quantization;
  // Elements of TfLiteContext::tensors, so the size counts.
  void* sparsity;
  const TfLiteIntArray* dims_signature;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  TfLiteIntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};

struct TfLiteContext;

struct TfLiteRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const TfLiteContext* context, const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  uint64_t inplace_operator;
#if defined(__LP64__)
  // For fields that later runtimes append. On 64-bit ABIs a structure of this size is passed in
  // memory, where its own end does not move other arguments; on 32-bit ARM it would.
  uint64_t reserved[8];
#endif
};

constexpr int32_t kTfLiteBuiltinDelegate = 51;

struct TfLiteDelegateParams {
  TfLiteDelegate* delegate;
  TfLiteIntArray* nodes_to_replace;
  TfLiteIntArray* input_tensors;
  TfLiteIntArray* output_tensors;
};

struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(TfLiteContext* context, TfLiteIntArray** execution_plan);
  TfLiteTensor* tensors;
  void* impl;
  // Takes `new_size`, which must come from malloc.
  TfLiteStatus (*ResizeTensor)(TfLiteContext* context, TfLiteTensor* tensor,
                               TfLiteIntArray* new_size);
  void (*ReportError)(TfLiteContext* context, const char* format, ...);
  TfLiteStatus (*AddTensors)(TfLiteContext* context, int count, int* first_new_tensor);
  TfLiteStatus (*GetNodeAndRegistration)(TfLiteContext* context, int node_index,
                                         TfLiteNode** node, TfLiteRegistration** registration);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(TfLiteContext* context,
                                                        TfLiteRegistration registration,
                                                        const TfLiteIntArray* nodes_to_replace,
                                                        TfLiteDelegate* delegate);
  int recommended_num_threads;
};

struct TfLiteDelegate {
  void* data;
  TfLiteStatus (*Prepare)(TfLiteContext* context, TfLiteDelegate* delegate);
  TfLiteStatus (*CopyFromBufferHandle)(TfLiteContext*, TfLiteDelegate*, int, TfLiteTensor*);
  TfLiteStatus (*CopyToBufferHandle)(TfLiteContext*, TfLiteDelegate*, int, TfLiteTensor*);
  void (*FreeBufferHandle)(TfLiteContext*, TfLiteDelegate*, int*);
  int64_t flags;
  void* opaque_delegate_builder;
  uint64_t reserved[8];  // as in TfLiteRegistration
};

#if defined(__LP64__)
static_assert(offsetof(TfLiteTensor, dims) == 16 && offsetof(TfLiteTensor, params) == 24 &&
                  offsetof(TfLiteTensor, bytes) == 40 && offsetof(TfLiteTensor, name) == 56 &&
                  offsetof(TfLiteTensor, is_variable) == 77 &&
                  offsetof(TfLiteTensor, quantization) == 80 && sizeof(TfLiteTensor) == 112,
              "TfLiteTensor differs from the runtime's");
static_assert(offsetof(TfLiteNode, user_data) == 32 &&
                  offsetof(TfLiteNode, custom_initial_data) == 48 &&
                  offsetof(TfLiteNode, custom_initial_data_size) == 56,
              "TfLiteNode differs from the runtime's");
static_assert(offsetof(TfLiteRegistration, builtin_code) == 40 &&
                  offsetof(TfLiteRegistration, version) == 56 &&
                  offsetof(TfLiteRegistration, inplace_operator) == 80,
              "TfLiteRegistration differs from the runtime's");
static_assert(offsetof(TfLiteContext, ReportError) == 40 &&
                  offsetof(TfLiteContext, ReplaceNodeSubsetsWithDelegateKernels) == 64 &&
                  offsetof(TfLiteContext, recommended_num_threads) == 72,
              "TfLiteContext differs from the runtime's");
static_assert(offsetof(TfLiteDelegate, flags) == 40 &&
                  offsetof(TfLiteDelegate, opaque_delegate_builder) == 48,
              "TfLiteDelegate differs from the runtime's");
#elif defined(__arm__)
static_assert(offsetof(TfLiteTensor, dims) == 8 && offsetof(TfLiteTensor, params) == 12 &&
                  offsetof(TfLiteTensor, bytes) == 24 && offsetof(TfLiteTensor, name) == 32 &&
                  offsetof(TfLiteTensor, is_variable) == 45 &&
                  offsetof(TfLiteTensor, quantization) == 48 && sizeof(TfLiteTensor) == 64,
              "TfLiteTensor differs from the runtime's");
static_assert(offsetof(TfLiteNode, user_data) == 16 &&
                  offsetof(TfLiteNode, custom_initial_data) == 24,
              "TfLiteNode differs from the runtime's");
static_assert(offsetof(TfLiteRegistration, version) == 28 &&
                  offsetof(TfLiteRegistration, inplace_operator) == 40 &&
                  sizeof(TfLiteRegistration) == 48,
              "TfLiteRegistration differs from the runtime's");
static_assert(offsetof(TfLiteContext, recommended_num_threads) == 36,
              "TfLiteContext differs from the runtime's");
static_assert(offsetof(TfLiteDelegate, flags) == 24,
              "TfLiteDelegate differs from the runtime's");
#endif

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_TFLITE_ABI_H_
