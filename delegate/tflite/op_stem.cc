// CONV_2D with few input channels, and DEPTHWISE_CONV_2D with many outputs for each.
#include <utility>

#include "float_node.h"
#include "kernels/base/decimal.h"
#include "kernels/stem/stem.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

// [taps, channels] as [channels, taps].
std::vector<float> ChannelsFirst(const std::vector<float>& filter, size_t channels) {
  const size_t taps = filter.size() / channels;
  std::vector<float> turned(filter.size());
  for (size_t i = 0; i < filter.size(); ++i)
    turned[i % channels * taps + i / channels] = filter[i];
  return turned;
}

class StemOp : public Op {
 public:
  StemOp(const StemGeometry& geometry, const TfLiteConvParams& params)
      : geometry_(geometry), params_(params) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!ExpectInputs(inputs, 3, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
        !ExpectType(*output, kTfLiteFloat32, error)) {
      return false;
    }
    if (!ReadStemImage(inputs[0].shape, params_, &geometry_)) {
      return error->Set(
          "Expected an image that the filter fits into and of the file's channels, got " +
              inputs[0].shape.ToString() + ". Use option stem=0",
          inputs[0].tensor);
    }
    output->shape = StemOutputShape(geometry_);
    if (!ExpectBounded(*output, error)) return false;
    return IsPrepared(inputs[0].shape) || PrepareKernel(settings, inputs, error);
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    return stem_->Run(static_cast<const float*>(input), static_cast<float*>(output), nullptr,
                      workspace, threads);
  }

  bool TakesEpilogue() const override { return true; }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    return stem_->Run(static_cast<const float*>(input), nullptr, &epilogue, workspace, threads);
  }

  bool TakesPool() const override { return true; }

  bool RunPooled(const void* input, const FloatPool& pool, const Epilogue& epilogue,
                 Workspace* workspace, ThreadPool* threads) const override {
    return stem_->RunPooled(static_cast<const float*>(input), pool, epilogue, workspace,
                            threads);
  }

  std::string Description() const override {
    return std::string(geometry_.groups > 1 ? "stem depthwise " : "stem ") + IsaName(isa_);
  }

 private:
  bool IsPrepared(const Shape& image) const { return stem_ != nullptr && image_ == image; }

  bool PrepareKernel(const OpSettings& settings, const std::vector<Operand>& inputs,
                     OpError* error) {
    stem_ = nullptr;
    const StemGeometry& g = geometry_;
    std::vector<float> filter, bias;
    if (!ReadFilter(inputs[1], StemFilterShape(g), &filter, error) ||
        !ReadConstant(inputs[2], g.channels_out, &bias, error)) {
      return false;
    }
    if (g.groups > 1) filter = ChannelsFirst(filter, static_cast<size_t>(g.channels_out));
    float minimum, maximum;
    ActivationBounds(params_.activation, &minimum, &maximum);
    isa_ = settings.isa;
    image_ = inputs[0].shape;
    stem_ = std::make_unique<Stem>(g, filter.data(), bias.data(), minimum, maximum, isa_);
    return true;
  }

  StemGeometry geometry_;
  const TfLiteConvParams params_;
  Isa isa_ = Isa::kScalar;
  Shape image_;  // that stem_ was made for
  std::unique_ptr<Stem> stem_;
};

}  // namespace

std::unique_ptr<Op> MakeStem(const TfLiteContext* context, const TfLiteNode& node,
                             const TfLiteRegistration& registration,
                             const DequantizedFilters& filters) {
  TfLiteConvParams params;
  Shape shapes[4];
  StemGeometry g;
  if (!ReadConvolution(context, node, registration, filters, &params, shapes)) return nullptr;
  const bool depthwise = registration.builtin_code == kBuiltinDepthwiseConv2d;
  if (depthwise ? !ReadDepthwiseFilter(shapes[1], shapes[0].last(), params, &g)
                : !ReadStemFilter(shapes[1], params, &g)) {
    return nullptr;
  }
  StemGeometry image = g;
  if (!ReadStemImage(shapes[0], params, &image) ||
      image.output_height * static_cast<int64_t>(image.output_width) < kMinOutputs) {
    return nullptr;
  }
  return std::make_unique<StemOp>(g, params);
}

}  // namespace sparsebnn
