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
    if (!PrepareFloatPool(inputs, params_, &g, output, error)) return false;
    isa_ = settings.isa;
    pool_ = std::make_unique<FloatPool>(g, isa_);
    return true;
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    const Epilogue epilogue =
        StoringEpilogue(pool_->geometry().values, isa_, static_cast<float*>(output));
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
  if (!ReadFloatPool(context, node, registration, kBuiltinMaxPool2d, &params)) return nullptr;
  return std::make_unique<FloatPoolOp>(params);
}

}  // namespace sparsebnn
