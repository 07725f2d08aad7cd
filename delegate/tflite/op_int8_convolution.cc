// QUANTIZE, CONV_2D of int8 with few input channels or of 1x1, perhaps MAX_POOL_2D, and DEQUANTIZE, as
// one op: from a float map to another. It can also end earlier, for whoever wants to see what is
// between; that is slower.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "constant.h"
#include "float_node.h"
#include "int8_convolutions.h"
#include "kernels/stem/int8_stem.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

// XNNPACK's bounds of what a sum is multiplied by.
constexpr float kMinMultiplier = 0x1p-32f;
constexpr float kMaxMultiplier = 256.0f;

bool ReadRange(const TfLiteTensor* tensor, Int8Range* range) {
  const TfLiteAffineQuantization* params = ReadQuantization(tensor, false, 1);
  if (params == nullptr) return false;
  *range = {params->scale->data[0], params->zero_point->data[0]};
  return IsScale(range->scale) && range->zero_point >= -128 && range->zero_point <= 127;
}

// A bound of the activation in steps, as XNNPACK rounds it: to the nearest, the even one of two. What
// 1.5 * 2^23 is added to has no place for a fraction.
int Bound(float value, const Int8Range& range) {
  constexpr float kMagic = 12582912.0f;
  const float q = value / range.scale + static_cast<float>(range.zero_point);
  return static_cast<int>(std::clamp(q, -128.0f, 127.0f) + kMagic - kMagic);
}

// Pixels of a row that a kernel has whole tiles for, about, and at most where rows are joined.
constexpr int kLongRow = 14;
constexpr int kLongestRow = 64;

// What the file says of it, all of it checked.
struct Int8ConvolutionOptions {
  StemGeometry geometry;  // but what depends on the map
  TfLiteConvParams convolution;
  TfLitePoolParams pool;
  bool has_pool;
  bool is_stem;  // of few channels
  Int8Range image, output;
  std::vector<float> multipliers;
  int minimum, maximum;
  int end;  // how many of the nodes run
};

bool ReadInt8Filter(const TfLiteTensor* filter, Int8ConvolutionOptions* options) {
  StemGeometry* g = &options->geometry;
  Shape shape;
  if (!IsDenseConstant(filter, kTfLiteInt8, &shape)) return false;
  options->is_stem = ReadStemFilter(shape, options->convolution, g);
  if (!options->is_stem && !ReadPointwise(shape, options->convolution)) return false;
  FilterScales scales;
  if (!ReadFilterScales(filter, &scales) ||
      scales.values.size() != static_cast<size_t>(g->channels_out)) {
    return false;
  }
  for (int o = 0; o < g->channels_out; ++o) {
    const float multiplier =
        options->image.scale * scales.values[static_cast<size_t>(o)] / options->output.scale;
    if (!(multiplier >= kMinMultiplier && multiplier < kMaxMultiplier)) return false;
    options->multipliers.push_back(multiplier);
  }
  // -128 is no weight in TFLite, and two products with it are more than a kernel can hold.
  const auto* weights = static_cast<const int8_t*>(filter->data);
  const size_t count = shape.Rows() * static_cast<size_t>(shape.last());
  for (size_t i = 0; i < count; ++i) {
    if (weights[i] == -128) return false;
  }
  return true;
}

// A convolution of 1x1 and stride 1 takes a map's pixels in any arrangement: where rows are short,
// several at once, as long as there are rows for all threads.
StemGeometry Arranged(const StemGeometry& g, int threads) {
  if (g.output_width >= kLongRow) return g;
  const int rows = g.batch * g.output_height;
  for (int joined = 2; joined * g.output_width <= kLongestRow && joined * threads <= rows;
       ++joined) {
    if (rows % joined != 0 || joined * g.output_width < kLongRow) continue;
    StemGeometry arranged = g;
    arranged.batch = 1;
    arranged.input_height = arranged.output_height = rows / joined;
    arranged.input_width = arranged.output_width = joined * g.output_width;
    return arranged;
  }
  return g;
}

class Int8ConvolutionOp : public Op {
 public:
  explicit Int8ConvolutionOp(Int8ConvolutionOptions options) : o_(std::move(options)) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    const TfLiteType type = IsFloat() ? kTfLiteFloat32 : kTfLiteInt8;
    if (!ExpectInputs(inputs, 3, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
        !ExpectType(*output, type, error)) {
      return false;
    }
    PoolGeometry pool;
    StemGeometry* g = &o_.geometry;
    if (!ReadStemImage(inputs[0].shape, o_.convolution, g) ||
        Int8Stem::WorkspaceBytes(*g) > kMaxScratchBytes ||
        (o_.has_pool && !ReadPool(StemOutputShape(*g), o_.pool, &pool))) {
      return error->Set(
          "Expected a map that the filter fits into and of the file's channels, got " +
              inputs[0].shape.ToString() + ". Use option stem=0",
          inputs[0].tensor);
    }
    output->shape = o_.end == 1 ? inputs[0].shape : StemOutputShape(*g);
    pool_ = nullptr;
    if (o_.has_pool && o_.end > 2) {
      pool_ = std::make_unique<FloatPool>(pool, settings.isa);
      output->shape.dims[1] = pool.output_height;
      output->shape.dims[2] = pool.output_width;
    }
    if (!ExpectBounded(*output, error)) return false;
    values_ = output->shape.Rows() * static_cast<size_t>(output->shape.last());
    if (kernel_ != nullptr && map_ == inputs[0].shape) return true;
    return PrepareKernel(settings, inputs, error);
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    if (IsFloat()) return RunFloat(input, static_cast<float*>(output), workspace, threads);
    int8_t* const steps = static_cast<int8_t*>(output);
    if (o_.end == 1) {
      QuantizeSamples(static_cast<const float*>(input), values_, o_.image, 0, steps);
      return true;
    }
    AlignedBytes bytes;
    if (!bytes.Reserve(uint64_t{sizeof(float)} * values_)) return false;
    float* const floats = reinterpret_cast<float*>(bytes.data());
    if (!RunFloat(input, floats, workspace, threads)) return false;
    // Exact: a float is off by less than 2^-14 steps.
    QuantizeSamples(floats, values_, o_.output, 0, steps);
    return true;
  }

  bool TakesEpilogue() const override { return IsFloat(); }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    const float* const image = static_cast<const float*>(input);
    if (pool_ != nullptr) {
      return kernel_->RunPooled(image, *pool_, epilogue, workspace, threads);
    }
    return kernel_->Run(image, nullptr, &epilogue, workspace, threads);
  }

  bool TakesPool() const override { return IsFloat() && pool_ == nullptr && o_.is_stem; }

  bool RunPooled(const void* input, const FloatPool& pool, const Epilogue& epilogue,
                 Workspace* workspace, ThreadPool* threads) const override {
    return kernel_->RunPooled(static_cast<const float*>(input), pool, epilogue, workspace,
                              threads);
  }

  std::string Description() const override {
    return (o_.is_stem ? "stem " : "1x1 ") + std::string(kernel_->kernel());
  }

 private:
  bool IsFloat() const { return o_.end == (o_.has_pool ? 4 : 3); }

  bool RunFloat(const void* input, float* output, Workspace* workspace,
                ThreadPool* threads) const {
    if (pool_ == nullptr) {
      return kernel_->Run(static_cast<const float*>(input), output, nullptr, workspace,
                          threads);
    }
    Epilogue epilogue;
    epilogue.channels = o_.geometry.channels_out;
    epilogue.kernel = EpilogueKernelFor(isa_);
    epilogue.steps = {{StepKind::kStore}};
    epilogue.steps[0].values = output;
    return RunEpilogue(input, epilogue, workspace, threads);
  }

  bool PrepareKernel(const OpSettings& settings, const std::vector<Operand>& inputs,
                     OpError* error) {
    kernel_ = nullptr;
    const StemGeometry& g = o_.geometry;
    const Shape shape = StemFilterShape(g);
    std::vector<int32_t> bias;
    if (!ExpectConstant(inputs[1], kTfLiteInt8, shape, error) ||
        !ReadConstant(inputs[2], g.channels_out, &bias, error)) {
      return false;
    }
    isa_ = settings.isa;
    map_ = inputs[0].shape;
    const Int8StemParameters parameters = {static_cast<const int8_t*>(inputs[1].tensor->data),
                                           bias.data(),
                                           o_.multipliers.data(),
                                           o_.image,
                                           o_.output,
                                           o_.minimum,
                                           o_.maximum};
    const bool by_rows = o_.has_pool || o_.is_stem;
    const StemGeometry arranged = by_rows ? g : Arranged(g, settings.threads);
    kernel_ = std::make_unique<Int8Stem>(arranged, parameters, isa_, HasDotProducts(isa_));
    return true;
  }

  Int8ConvolutionOptions o_;
  Isa isa_ = Isa::kScalar;
  Shape map_;  // that kernel_ was made for
  size_t values_ = 0;
  std::unique_ptr<Int8Stem> kernel_;
  std::unique_ptr<FloatPool> pool_;
};

}  // namespace

std::unique_ptr<Op> MakeInt8Convolution(TfLiteContext* context,
                                        const Int8ConvolutionNodes& nodes, size_t end,
                                        bool* is_stem) {
  const auto node = [&](size_t i) -> const TfLiteNode& {
    TfLiteNode* found = nullptr;
    TfLiteRegistration* registration = nullptr;
    context->GetNodeAndRegistration(context, nodes.nodes[i], &found, &registration);
    return *found;
  };
  Int8ConvolutionOptions options = {};
  options.has_pool = nodes.has_pool();
  options.end = static_cast<int>(end);
  const TfLiteTensor* const image = TensorAt(context, nodes.inputs[0]);
  const TfLiteTensor* const output = TensorAt(context, nodes.outputs.back());
  Shape image_shape, bias_shape, output_shape;
  if (!ReadStemOptions(node(1), &options.convolution) ||
      (options.has_pool && !ReadPoolOptions(node(2), &options.pool)) ||
      !ReadFloatShape(image, &image_shape) || IsConstant(*image) ||
      !ReadFloatShape(output, &output_shape) || IsConstant(*output) ||
      !ReadRange(TensorAt(context, nodes.outputs[0]), &options.image) ||
      !ReadRange(TensorAt(context, nodes.outputs[1]), &options.output)) {
    return nullptr;
  }
  if (options.has_pool) {  // which computes with what it finds
    Int8Range range;
    if (!ReadRange(TensorAt(context, nodes.outputs[2]), &range) ||
        range.scale != options.output.scale || range.zero_point != options.output.zero_point) {
      return nullptr;
    }
  }
  StemGeometry* g = &options.geometry;
  PoolGeometry pool;
  if (!ReadInt8Filter(TensorAt(context, nodes.inputs[1]), &options) ||
      !IsDenseConstant(TensorAt(context, nodes.inputs[2]), kTfLiteInt32, &bias_shape) ||
      bias_shape.rank != 1 || bias_shape.dims[0] != g->channels_out ||
      !ReadStemImage(image_shape, options.convolution, g) ||
      Int8Stem::WorkspaceBytes(*g) > kMaxScratchBytes ||
      (options.has_pool && !ReadPool(StemOutputShape(*g), options.pool, &pool))) {
    return nullptr;
  }
  float minimum, maximum;
  ActivationBounds(options.convolution.activation, &minimum, &maximum);
  options.minimum = Bound(minimum, options.output);
  options.maximum = Bound(maximum, options.output);
  if (options.minimum >= options.maximum) return nullptr;
  if (is_stem != nullptr) *is_stem = options.is_stem;
  return std::make_unique<Int8ConvolutionOp>(std::move(options));
}

}  // namespace sparsebnn
