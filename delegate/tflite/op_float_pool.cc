// MAX_POOL_2D of floats.
#include "float_node.h"
#include "kernels/base/decimal.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

class FloatPoolOp : public Op {
 public:
  explicit FloatPoolOp(const TfLitePoolParams& params) : params_(params) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    PoolGeometry g;
    if (!ExpectInputs(inputs, 1, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
        !ExpectType(*output, kTfLiteFloat32, error)) {
      return false;
    }
    if (!ReadPool(inputs[0].shape, params_, &g)) {
      return error->Set("Expected a map that the window fits into, got " +
                            inputs[0].shape.ToString() + ". Use option glue=0",
                        inputs[0].tensor);
    }
    output->shape = inputs[0].shape;
    output->shape.dims[1] = g.output_height;
    output->shape.dims[2] = g.output_width;
    isa_ = settings.isa;
    pool_ = std::make_unique<FloatPool>(g, isa_);
    return true;
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    Epilogue epilogue;
    epilogue.channels = pool_->geometry().values;
    epilogue.kernel = EpilogueKernelFor(isa_);
    epilogue.steps = {{StepKind::kStore}};
    epilogue.steps[0].values = static_cast<float*>(output);
    return RunEpilogue(input, epilogue, workspace, threads);
  }

  bool TakesEpilogue() const override { return true; }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    return pool_->Run(static_cast<const float*>(input), epilogue, workspace, threads);
  }

  const FloatPool* float_pool() const override { return pool_.get(); }

  std::string Description() const override {
    return Decimal(params_.filter_height) + "x" + Decimal(params_.filter_width) + " " +
           IsaName(isa_);
  }

 private:
  const TfLitePoolParams params_;
  Isa isa_ = Isa::kScalar;
  std::unique_ptr<FloatPool> pool_;
};

}  // namespace

std::unique_ptr<Op> MakeFloatPool(const TfLiteContext* context, const TfLiteNode& node,
                                  const TfLiteRegistration& registration) {
  TfLitePoolParams params;
  if (!IsBuiltin(node, registration, kBuiltinMaxPool2d, 1) || !ReadPoolOptions(node, &params)) {
    return nullptr;
  }
  const TfLiteTensor* const map = TensorAt(context, node.inputs->data[0]);
  const TfLiteTensor* const output = TensorAt(context, node.outputs->data[0]);
  Shape shape, output_shape;
  PoolGeometry g;
  if (!ReadFloatShape(map, &shape) || IsConstant(*map) ||
      !ReadFloatShape(output, &output_shape) || IsConstant(*output) ||
      !ReadPool(shape, params, &g)) {
    return nullptr;
  }
  return std::make_unique<FloatPoolOp>(params);
}

}  // namespace sparsebnn
