// The ops of TFLite's own in a model made out of any bytes (fuzz_model.h): a chain, each of which reads
// what the last has written.
#ifndef SPARSEBNN_TESTING_FUZZ_STOCK_OPS_H_
#define SPARSEBNN_TESTING_FUZZ_STOCK_OPS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "fake_runtime.h"
#include "flexbuffer_writer.h"
#include "fuzz_bytes.h"
#include "tflite/sliding_window.h"

namespace sparsebnn {

struct PlannedNode {
  const char* name;  // null for an op of TFLite's own
  std::vector<int> inputs, outputs;
  FlexOptions options;
  std::vector<uint8_t> raw_options;  // instead of `options` if not empty
  int32_t builtin_code = 0;
};

class FuzzStockOps {
 protected:
  static constexpr int32_t kAveragePool2d = 1, kConv2d = 3, kDepthwiseConv2d = 4,
                           kDequantize = 6, kMaxPool2d = 17, kQuantize = 114;

  explicit FuzzStockOps(FuzzBytes* bytes) : b_(*bytes) {}

  void Add(const char* name, std::vector<int> inputs, int output, FlexOptions options) {
    nodes_.push_back({name, std::move(inputs), {output}, std::move(options), {}, 0});
    // Whether it is read outside too; the last one is.
    if (b_.Byte() & 1 || outputs_.empty()) outputs_.push_back(output);
    last_ = output;
  }

  void AddFloat(uint8_t kind) {
    if (kind < 30) return AddFloatPool();
    if (kind >= 235) return AddAveragePool();
    if (kind >= 225) return AddPointwise();
    if (kind >= 215) return AddInt8Pointwise();
    if (kind >= 205) return AddDepthwise();
    AddElementwise();
  }

  void AddAveragePool() {
    const TfLitePoolParams params = {
        b_.Int(1, 2),           b_.Int(1, 3), b_.Int(1, 3), b_.Byte() < 240 ? 2 : 3, 2,
        b_.Byte() < 240 ? 0 : 1};
    SlideOver(params.padding, 2, params.filter_width, params.stride_height,
              params.stride_width);
    AddBuiltin(kAveragePool2d, {last_}, runtime_.AddTensor(kTfLiteFloat32, shape_), params);
  }

  void AddPointwise() {
    const int padding = b_.Int(1, 2);
    const uint8_t kind = b_.Byte();
    const TfLiteConvParams params = {padding, 1, kind < 240 ? 1 : 2, b_.Int(0, 3), 1, 1};
    const int channels_in = channels_;
    channels_ = b_.Byte() < 240 ? 8 * b_.Int(1, 12) : b_.Int(1, 99);
    AddFloatConvolution(kConv2d, {channels_, 1, 1, channels_in}, kind >= 200 && kind < 240,
                        params);
  }

  void AddDepthwise() {
    const int height = b_.Int(1, 3), width = b_.Int(1, 3);
    const uint8_t kind = b_.Byte();
    const int channels_in = channels_;
    channels_ *= kind < 240 ? b_.Int(1, 1 + 100 / channels_in) : 1;
    const TfLiteDepthwiseConvParams params = {
        b_.Int(1, 2), b_.Int(1, 3), b_.Int(1, 3), channels_ / channels_in, b_.Int(0, 3), 1, 1};
    AddFloatConvolution(kDepthwiseConv2d, {1, height, width, channels_},
                        kind >= 200 && kind < 240, params);
  }

  // To channels_ channels.
  template <typename Params>
  void AddFloatConvolution(int32_t code, const std::vector<int>& dims, bool dequantized,
                           const Params& params) {
    const int filter = AddFloatFilter(dims, dequantized);
    const int bias = runtime_.AddConstant(
        kTfLiteFloat32, {channels_}, b_.Noise(sizeof(float) * static_cast<size_t>(channels_)));
    const std::vector<int> inputs = {last_, filter, bias};
    SlideOver(params.padding, dims[1], dims[2], params.stride_height, params.stride_width);
    shape_[3] = channels_;
    AddBuiltin(code, inputs, runtime_.AddTensor(kTfLiteFloat32, shape_), params);
  }

  // Of float32, or what a DEQUANTIZE makes of int8.
  int AddFloatFilter(const std::vector<int>& dims, bool dequantized) {
    const size_t values = static_cast<size_t>(dims[0] * dims[1] * dims[2] * dims[3]);
    if (!dequantized) {
      return runtime_.AddConstant(kTfLiteFloat32, dims, b_.Noise(sizeof(float) * values));
    }
    const int constant = runtime_.AddConstant(kTfLiteInt8, dims, b_.Noise(values));
    const bool depthwise = dims[0] == 1;
    const size_t channels = static_cast<size_t>(dims[depthwise ? 3 : 0]);
    runtime_.Quantize(constant, std::vector<float>(channels, 0.01f), std::vector<int>(channels),
                      depthwise ? 3 : 0);
    const int filter = runtime_.AddTensor(kTfLiteFloat32, dims);
    nodes_.push_back({nullptr, {constant}, {filter}, {}, {0}, kDequantize});
    return filter;
  }

  void AddFloatPool() { AddPool(runtime_.AddTensor(kTfLiteFloat32, shape_)); }

  // To `output`, which gets its shape here.
  void AddPool(int output) {
    const TfLitePoolParams params = {b_.Int(1, 2), b_.Int(1, 4), b_.Int(1, 4),
                                     b_.Int(1, 4), b_.Int(1, 4), b_.Byte() < 240 ? 0 : 1};
    SlideOver(params.padding, params.filter_height, params.filter_width, params.stride_height,
              params.stride_width);
    runtime_.SetDims(output, shape_);
    AddBuiltin(kMaxPool2d, {last_}, output, params);
  }

  void SlideOver(int option, int height, int width, int stride_height, int stride_width) {
    SlidingWindow rows, columns;
    const Padding padding = option == 1 ? Padding::kSame : Padding::kValid;
    if (Slide(padding, shape_[1], height, stride_height, 1, &rows) &&
        Slide(padding, shape_[2], width, stride_width, 1, &columns)) {
      shape_[1] = rows.output;
      shape_[2] = columns.output;
    }
  }

  template <typename Params>
  void AddBuiltin(int32_t code, std::vector<int> inputs, int output, const Params& params) {
    Add(nullptr, std::move(inputs), output, {});
    const auto* options = reinterpret_cast<const uint8_t*>(&params);
    nodes_.back().raw_options.assign(options, options + sizeof params);
    nodes_.back().builtin_code = code;
  }

  void AddStem(bool int8) {
    const int height = b_.Int(1, 5), width = b_.Int(1, 5);
    TfLiteConvParams params = {b_.Int(1, 2), b_.Int(1, 4), b_.Int(1, 4), b_.Int(0, 4), 1, 1};
    const uint8_t kind = b_.Byte();
    if (kind >= 240) params.dilation_height_factor = 2;
    const std::vector<int> dims = {channels_, height, width, stem_channels_};
    if (int8) return AddInt8Convolution(dims, params);
    AddFloatConvolution(kConv2d, dims, kind >= 200 && kind < 240, params);
  }

  // To as many channels as `dims`, the filter's, says.
  void AddInt8Convolution(const std::vector<int>& dims, const TfLiteConvParams& params) {
    const size_t channels = static_cast<size_t>(dims[0]);
    const size_t count = channels * static_cast<size_t>(dims[1] * dims[2] * dims[3]);
    const int filter = runtime_.AddConstant(kTfLiteInt8, dims, b_.Noise(count));
    const int bias =
        runtime_.AddConstant(kTfLiteInt32, {dims[0]}, b_.Noise(sizeof(int32_t) * channels));
    runtime_.Quantize(filter, std::vector<float>(channels, 0.01f), std::vector<int>(channels));
    auto* const weights = static_cast<uint8_t*>(runtime_.tensor(filter)->data);
    for (size_t i = 0; i < count; ++i) weights[i] |= 1;  // not -128
    const std::vector<int> inputs = {last_, filter, bias};
    SlideOver(params.padding, dims[1], dims[2], params.stride_height, params.stride_width);
    shape_[3] = dims[0];
    AddBuiltin(kConv2d, inputs, AddInt8Tensor(), params);
  }

  int AddInt8Tensor() {
    const int tensor = runtime_.AddTensor(kTfLiteInt8, shape_);
    runtime_.Quantize(tensor, {0.25f}, {stem_channels_});
    return tensor;
  }

  void AddInt8Stem() {
    AddBuiltin(kQuantize, {last_}, AddInt8Tensor(), uint8_t{0});
    AddStem(true);
    if (b_.Byte() & 1) AddPool(AddInt8Tensor());
    AddBuiltin(kDequantize, {last_}, runtime_.AddTensor(kTfLiteFloat32, shape_), uint8_t{0});
  }

  void AddInt8Pointwise() {
    const int padding = b_.Int(1, 2), stride = b_.Byte() < 240 ? 1 : 2;
    const int channels_in = channels_;
    AddBuiltin(kQuantize, {last_}, AddInt8Tensor(), uint8_t{0});
    channels_ = b_.Int(1, 99);
    AddInt8Convolution({channels_, 1, 1, channels_in},
                       {padding, 1, stride, b_.Int(0, 3), 1, 1});
    if (b_.Byte() < 30) AddPool(AddInt8Tensor());
    AddBuiltin(kDequantize, {last_}, runtime_.AddTensor(kTfLiteFloat32, shape_), uint8_t{0});
  }

  void AddElementwise() {
    static constexpr int32_t kCodes[] = {0, 18, 41, 55, 57, 54, 19, 20, 21, 98};
    const int kind = b_.Int(0, 9);
    std::vector<int> inputs = {last_};
    if (kind < 6) {
      const bool with_tensor = kind < 5 && b_.Byte() & 1;
      const bool whole = b_.Byte() & 1;
      int other = b_.Int(0, last_);
      if (!with_tensor) {
        const int count = whole ? channels_ : 1;
        other = runtime_.AddConstant(kTfLiteFloat32, {count},
                                     b_.Noise(sizeof(float) * static_cast<size_t>(count)));
      }
      inputs.insert(b_.Byte() & 1 && kind < 5 ? inputs.begin() : inputs.end(), other);
    }
    std::vector<uint8_t> options;
    if (kind < 3) options = {static_cast<uint8_t>(b_.Int(0, 4)), 0, 0, 0};
    if (kind == 9) options = {0, 0, 0, 0x3E};  // the slope, 0.125
    const int output = runtime_.AddTensor(kTfLiteFloat32, shape_);
    Add(nullptr, std::move(inputs), output, {});
    nodes_.back().raw_options = std::move(options);
    nodes_.back().builtin_code = kCodes[kind];
  }

  FuzzBytes& b_;
  FakeRuntime runtime_;
  std::vector<PlannedNode> nodes_;
  std::vector<int> outputs_;
  std::vector<int> shape_;
  int channels_ = 0, input_ = 0, last_ = 0, stem_channels_ = 0;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_FUZZ_STOCK_OPS_H_
