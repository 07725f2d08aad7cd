// Makes a model of the delegate's ops out of any bytes, runs it, and damages it first.
//
// Bytes choose a chain of ops whose shapes, constants and options belong together, then changes
// to single fields of it: a mutation that breaks one thing leaves the rest deep enough to be
// reached. Bytes that run out read as 0.
#ifndef SPARSEBNN_TESTING_FUZZ_MODEL_H_
#define SPARSEBNN_TESTING_FUZZ_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bconv2d_node.h"
#include "fake_runtime.h"
#include "flexbuffer_writer.h"
#include "fuzz_bytes.h"
#include "fuzz_stock_ops.h"
#include "kernels/base/decimal.h"
#include "random_layer.h"
#include "sparsebnn_delegate.h"

namespace sparsebnn {

class FuzzModel : private FuzzStockOps {
 public:
  explicit FuzzModel(FuzzBytes* bytes) : FuzzStockOps(bytes) {
    const uint8_t first = b_.Byte();
    const bool glued = first >= 200;  // with float elementwise ops, which keep the shape
    channels_ = 1 + first % 100;
    shape_ = {b_.Int(1, 2), b_.Int(1, 12), b_.Int(1, 12), channels_};
    static constexpr TfLiteType kTypes[] = {kTfLiteFloat32, kTfLiteInt8, kTfLiteBool};
    const bool stem = first >= 228;  // float, to begin with
    const uint8_t kind = stem ? b_.Byte() : 0;
    const bool int8_stem = kind >= 240;
    if (stem) shape_[3] = stem_channels_ = 1 + kind % 5;
    input_ = last_ = runtime_.AddTensor(stem ? kTfLiteFloat32 : kTypes[b_.Int(0, 2)], shape_);
    if (int8_stem) {
      AddInt8Stem();
    } else if (stem) {
      AddStem(false);
    }
    if (!glued) AddQuantize();
    for (int ops = glued ? b_.Int(1, 9) : b_.Int(0, 3); ops > 0; --ops) {
      if (glued) {
        AddGlued();
      } else {
        AddOp();
      }
    }
    for (int damages = b_.Int(0, 3); damages > 0; --damages) Damage();
    for (const PlannedNode& node : nodes_) {
      if (node.name == nullptr) {
        std::vector<uint8_t> options = node.raw_options;
        // A runtime has the structure of the op; that of elementwise ones begins with four bytes.
        options.resize(std::max(options.size(), sizeof(int32_t)));
        if (node.builtin_code == kConv2d) options.resize(sizeof(TfLiteConvParams));
        if (node.builtin_code == kDepthwiseConv2d) {
          options.resize(sizeof(TfLiteDepthwiseConvParams));
        }
        if (node.builtin_code == kMaxPool2d || node.builtin_code == kAveragePool2d) {
          options.resize(sizeof(TfLitePoolParams));
        }
        runtime_.AddBuiltin(node.builtin_code, node.inputs, node.outputs, options);
        continue;
      }
      runtime_.AddNode(
          node.name, node.inputs, node.outputs,
          node.raw_options.empty() ? WriteFlexBufferMap(node.options) : node.raw_options);
    }
  }

  void Run(::TfLiteDelegate* delegate) {
    if (!runtime_.ApplyDelegate(delegate, {input_}, outputs_)) return;
    for (int times = b_.Int(1, 3); times > 0; --times) {
      if (runtime_.AllocateTensors()) runtime_.Invoke();
      sparsebnn_delegate_profile_json(delegate);
      // A resize: of any dimensions.
      shape_[0] = b_.Int(1, 3);
      shape_[1] = b_.Int(0, 14);
      shape_[2] = b_.Byte() < 250 ? b_.Int(1, 14) : b_.Wild();
      if (stem_channels_ > 0) shape_[3] = stem_channels_;
      runtime_.SetDims(input_, shape_);
    }
    runtime_.FreePartition();
  }

 private:
  static int Words(int channels) { return (channels + 31) / 32; }

  void AddQuantize() {
    TfLiteTensor* tensor = runtime_.tensor(last_);
    tensor->params = {0.5f, b_.Byte() - 128};
    shape_[3] = Words(channels_);
    Add("LceQuantize", {last_}, runtime_.AddTensor(kTfLiteInt32, shape_), {});
    shape_[3] = channels_;
  }

  void AddOp() {
    switch (b_.Int(0, 4)) {
      case 0:
        return AddMaxPool();
      case 1:
        return AddDequantize();
      case 2:
        return AddConvolution(true, false);
      default:
        return AddConvolution(false, false);
    }
  }

  void AddGlued() {
    if (runtime_.tensor(last_)->type == kTfLiteInt32) {
      AddConvolution(b_.Byte() & 1, b_.Byte() < 240);
      const TfLiteType type = runtime_.tensor(last_)->type;
      shape_[3] = type == kTfLiteInt32 ? Words(channels_) : channels_;
      runtime_.SetDims(last_, shape_);
      shape_[3] = channels_;
    } else if (runtime_.tensor(last_)->type != kTfLiteFloat32 || b_.Byte() < 60) {
      AddQuantize();
    } else {
      AddFloat(b_.Byte());
    }
  }

  void AddMaxPool() {
    const FlexOptions options = {{"filter_height", b_.Int(1, 3)},
                                 {"filter_width", b_.Int(1, 3)},
                                 {"stride_height", b_.Int(1, 3)},
                                 {"stride_width", b_.Int(1, 3)},
                                 {"padding", b_.Int(0, 1)}};
    Add("LceBMaxPool2d", {last_}, runtime_.AddTensor(kTfLiteInt32, {1, 1, 1, 1}), options);
  }

  void AddDequantize() {
    static constexpr TfLiteType kTypes[] = {kTfLiteFloat32, kTfLiteInt8, kTfLiteBool};
    const int output = runtime_.AddTensor(kTypes[b_.Int(0, 2)], {1, 1, 1, channels_});
    runtime_.tensor(output)->params = {b_.Byte() / 16.0f, b_.Byte() - 128};
    Add("LceDequantize", {last_}, output, {});
  }

  void AddConvolution(bool sub_bit, bool keeps_shape) {
    std::mt19937 random(b_.Byte());
    Geometry g;
    g.channels_in = channels_;
    g.groups = channels_ % 64 == 0 && b_.Byte() & 1 ? channels_ / 32 : 1;
    g.channels_out = g.groups * b_.Int(1, 70 / g.groups);
    g.dilation_height = b_.Byte() < 200 ? 1 : b_.Int(1, 3);
    g.dilation_width = b_.Byte() < 200 ? 1 : b_.Int(1, 3);
    g.stride_height = b_.Int(1, 2);
    g.stride_width = b_.Int(1, 2);
    g.filter_height = sub_bit ? 3 : b_.Int(1, 4);
    g.filter_width = sub_bit || b_.Byte() & 1 ? g.filter_height : b_.Int(1, 4);
    const int index_bits = sub_bit ? b_.Int(1, 9) : 0;
    static constexpr TfLiteType kTypes[] = {kTfLiteInt32, kTfLiteFloat32, kTfLiteInt8};
    const TfLiteType type = kTypes[b_.Int(0, 2)];
    // Now and then channels_in is less than the input has.
    const int channels_in = b_.Byte() < 20 && g.groups == 1 ? b_.Int(1, channels_) : channels_;
    if (keeps_shape) {
      g.stride_height = g.stride_width = 1;
      g.groups = 1;
      g.channels_out = channels_;
    }
    const int padding = keeps_shape ? 0 : b_.Int(0, 1), pad_values = b_.Int(0, 1),
              activation = b_.Int(0, 3);
    FlexOptions options = Bconv2dOptionsOf(g, channels_in, padding, pad_values, activation);
    const RandomFilter filter(g, sub_bit ? 1 << index_bits : 0, &random);
    std::vector<int> inputs = AddFilter(g, filter, index_bits, &runtime_, &options);
    inputs.insert(inputs.begin(), last_);
    const std::vector<int> per_channel = {g.channels_out};
    for (const TfLiteType constant : {kTfLiteFloat32, kTfLiteFloat32, kTfLiteInt32}) {
      const bool used = (constant == kTfLiteInt32) == (type == kTfLiteInt32);
      const size_t bytes = sizeof(float) * static_cast<size_t>(g.channels_out);
      inputs.push_back(used ? runtime_.AddConstant(constant, per_channel, b_.Noise(bytes))
                            : -1);
    }
    const int output = runtime_.AddTensor(type, {1, 1, 1, 1});
    runtime_.tensor(output)->params = {b_.Byte() / 32.0f, b_.Byte() - 128};
    runtime_.tensor(output)->quantization.type = kTfLiteAffineQuantization;
    Add(sub_bit ? "SparsebnnBconv2d" : "LceBconv2d", std::move(inputs), output,
        std::move(options));
    channels_ = g.channels_out;
  }

  void Damage() {
    PlannedNode& node = nodes_[static_cast<size_t>(b_.Byte()) % nodes_.size()];
    const int tensor_index = PickTensor(node);
    TfLiteTensor* tensor = runtime_.tensor(tensor_index);
    switch (b_.Int(0, 9)) {
      case 0:
        return DamageOption(&node);
      case 1:
        if (node.name == nullptr) return;  // a structure of a fixed size
        node.raw_options = b_.Bytes(static_cast<size_t>(b_.Byte()));
        return;
      case 2:
        if (node.name == nullptr) return;
        return FlipOptionBytes(&node);
      case 3: {
        std::vector<int> dims(static_cast<size_t>(b_.Int(0, 9)));
        for (int& dim : dims) dim = b_.Wild();
        return runtime_.SetDims(tensor_index, dims);
      }
      case 4:
        if (tensor->dims->size > 0)
          tensor->dims->data[b_.Byte() % tensor->dims->size] = b_.Wild();
        return;
      case 5:
        tensor->type = static_cast<TfLiteType>(b_.Byte() % 20);
        return;
      case 6:
        tensor->params = {b_.Byte() == 0 ? -1.0f : 0.0f, b_.Wild()};
        if (tensor->quantization.params != nullptr) {
          runtime_.Quantize(tensor_index, {tensor->params.scale}, {tensor->params.zero_point});
        }
        return;
      case 7:
        if (!node.inputs.empty()) {
          node.inputs[b_.Byte() % node.inputs.size()] = TensorIndex();
        }
        return;
      case 8:
        node.inputs.resize(static_cast<size_t>(b_.Int(0, 8)), TensorIndex());
        return;
      default:
        node.outputs.assign(static_cast<size_t>(b_.Int(0, 2)), TensorIndex());
    }
  }

  // Mostly of a tensor that there is, or -1 for none.
  int TensorIndex() { return b_.Byte() < 200 ? b_.Int(-1, last_) : b_.Wild(); }

  int PickTensor(const PlannedNode& node) {
    const size_t count = node.inputs.size() + node.outputs.size();
    if (count == 0) return input_;
    const size_t i = b_.Byte() % count;
    const int index =
        i < node.inputs.size() ? node.inputs[i] : node.outputs[i - node.inputs.size()];
    return index >= 0 && index <= last_ ? index : input_;
  }

  void DamageOption(PlannedNode* node) {
    if (node->name == nullptr) node->builtin_code = b_.Byte() % 100;
    if (node->options.empty()) return;
    auto option = node->options.begin();
    std::advance(option, b_.Byte() % node->options.size());
    if (b_.Byte() < 30) {
      node->options.erase(option);
    } else {
      option->second = b_.Wild() * (b_.Byte() < 200 ? int64_t{1} : int64_t{1} << 32);
    }
  }

  void FlipOptionBytes(PlannedNode* node) {
    static constexpr int kWidths[] = {1, 2, 4, 8};
    node->raw_options = WriteFlexBufferMap(node->options, kWidths[b_.Int(0, 3)]);
    for (int flips = b_.Int(0, 4); flips > 0; --flips) {
      const size_t place = (b_.Byte() + 256u * b_.Byte()) % node->raw_options.size();
      node->raw_options[place] = b_.Byte();
    }
    if (b_.Byte() < 40) {
      node->raw_options.resize(b_.Byte() % node->raw_options.size() + 1);
    }
  }
};

// The delegate's own options, mostly valid.
inline ::TfLiteDelegate* FuzzDelegate(FuzzBytes* bytes) {
  static constexpr const char* kKeys[] = {"num_threads", "kernel", "isa",
                                          "profile",     "glue",   "stem"};
  static constexpr const char* kKernels[] = {"auto", "xnor", "codebook", "reference"};
  static constexpr const char* kIsas[] = {"auto", "scalar", "avx2", "avx512", "neon"};
  std::vector<std::string> keys = {"kernel", "num_threads", "isa"};
  std::vector<std::string> values = {kKernels[bytes->Int(0, 3)],
                                     Decimal(bytes->Byte() < 30 ? bytes->Int(1, 3) : 1),
                                     kIsas[bytes->Int(0, 4)]};
  if (bytes->Byte() == 255) {
    const std::vector<uint8_t> text = bytes->Bytes(static_cast<size_t>(bytes->Int(0, 20)));
    keys.push_back(bytes->Byte() & 1 ? kKeys[bytes->Int(0, 5)] : "");
    (bytes->Byte() & 1 ? keys : values).back() = std::string(text.begin(), text.end());
    values.resize(keys.size());
  }
  std::vector<char*> key_pointers, value_pointers;
  for (std::string& key : keys) key_pointers.push_back(&key[0]);
  for (std::string& value : values) value_pointers.push_back(&value[0]);
  return tflite_plugin_create_delegate(key_pointers.data(), value_pointers.data(), keys.size(),
                                       [](const char*) {});
}

inline void RunFuzzBytes(const uint8_t* data, size_t size) {
  FuzzBytes bytes(data, size);
  ::TfLiteDelegate* delegate = FuzzDelegate(&bytes);
  if (delegate == nullptr) return;
  {
    FuzzModel model(&bytes);
    model.Run(delegate);
  }
  tflite_plugin_destroy_delegate(delegate);
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FUZZ_MODEL_H_
