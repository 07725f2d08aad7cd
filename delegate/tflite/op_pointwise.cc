// CONV_2D of 1x1.
#include "float_node.h"
#include "kernels/base/decimal.h"
#include "kernels/pointwise/pointwise.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

// XNNPACK runs it as a fully connected layer: of channels that are no multiple it has kernels for
// AArch64 with four sums for each output.
constexpr int kChannelsOut = 8;

class PointwiseOp : public Op {
 public:
  PointwiseOp(const Shape& filter, int activation) : filter_(filter), activation_(activation) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!ExpectInputs(inputs, 3, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
        !ExpectType(*output, kTfLiteFloat32, error) || !ExpectRank(inputs[0], 4, error)) {
      return false;
    }
    const int channels_out = filter_.dims[0], channels_in = filter_.dims[3];
    if (inputs[0].shape.last() != channels_in) {
      return error->Expected(Decimal(channels_in) + " channels",
                             inputs[0].shape.ToString() + ". Use option glue=0",
                             inputs[0].tensor);
    }
    output->shape = inputs[0].shape;
    output->shape.dims[3] = channels_out;
    if (!ExpectBounded(*output, error)) return false;
    pixels_ = inputs[0].shape.Rows();
    return pointwise_ != nullptr || PrepareKernel(settings, inputs, error);
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    return pointwise_->Run(static_cast<const float*>(input), pixels_,
                           static_cast<float*>(output), nullptr, workspace, threads);
  }

  bool TakesEpilogue() const override { return true; }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    return pointwise_->Run(static_cast<const float*>(input), pixels_, nullptr, &epilogue,
                           workspace, threads);
  }

  bool TakesAverages() const override { return true; }

  bool RunAveraged(const void* map, const AveragePool& pool, const Epilogue& epilogue,
                   Workspace* workspace, ThreadPool* threads) const override {
    return pointwise_->RunAveraged(static_cast<const float*>(map), pool, epilogue, workspace,
                                   threads);
  }

  std::string Description() const override { return std::string("1x1 ") + IsaName(isa_); }

 private:
  bool PrepareKernel(const OpSettings& settings, const std::vector<Operand>& inputs,
                     OpError* error) {
    std::vector<float> filter, bias;
    if (!ReadFilter(inputs[1], filter_, &filter, error) ||
        !ReadConstant(inputs[2], filter_.dims[0], &bias, error)) {
      return false;
    }
    float minimum, maximum;
    ActivationBounds(activation_, &minimum, &maximum);
    isa_ = settings.isa;
    pointwise_ = std::make_unique<Pointwise>(filter_.last(), filter_.dims[0], filter.data(),
                                             bias.data(), minimum, maximum, isa_);
    return true;
  }

  const Shape filter_;
  const int activation_;
  Isa isa_ = Isa::kScalar;
  size_t pixels_ = 0;
  std::unique_ptr<Pointwise> pointwise_;
};

}  // namespace

std::unique_ptr<Op> MakePointwise(const TfLiteContext* context, const TfLiteNode& node,
                                  const TfLiteRegistration& registration,
                                  const DequantizedFilters& filters) {
  TfLiteConvParams params;
  Shape shapes[4];
  if (registration.builtin_code != kBuiltinConv2d ||
      !ReadConvolution(context, node, registration, filters, &params, shapes) ||
      !ReadPointwise(shapes[1], params) || shapes[1].dims[0] % kChannelsOut != 0 ||
      shapes[0].last() != shapes[1].last() ||
      shapes[0].dims[1] * static_cast<int64_t>(shapes[0].dims[2]) < kMinOutputs) {
    return nullptr;
  }
  return std::make_unique<PointwiseOp>(shapes[1], params.activation);
}

}  // namespace sparsebnn
