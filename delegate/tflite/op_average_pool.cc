// AVERAGE_POOL_2D of floats, 2x2.
#include <algorithm>

#include "float_node.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

class AveragePoolOp : public Op {
 public:
  explicit AveragePoolOp(const TfLitePoolParams& params) : params_(params) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    PoolGeometry g;
    if (!PrepareFloatPool(inputs, params_, &g, output, error)) return false;
    isa_ = settings.isa;
    pool_ = std::make_unique<AveragePool>(g, isa_);
    return true;
  }

  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    const Epilogue epilogue =
        StoringEpilogue(pool_->channels(), isa_, static_cast<float*>(output));
    return RunEpilogue(input, epilogue, workspace, threads);
  }

  bool TakesEpilogue() const override { return true; }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    return pool_->Run(static_cast<const float*>(input), epilogue, workspace, threads);
  }

  const AveragePool* average_pool() const override { return pool_.get(); }

  std::string Description() const override { return std::string("2x2 ") + IsaName(isa_); }

 private:
  const TfLitePoolParams params_;
  Isa isa_ = Isa::kScalar;
  std::unique_ptr<AveragePool> pool_;
};

}  // namespace

std::unique_ptr<Op> MakeAveragePool(const TfLiteContext* context, const TfLiteNode& node,
                                    const TfLiteRegistration& registration) {
  TfLitePoolParams params;
  Shape map;
  // Sums of other windows may be in another order, as of one that is the whole map; XNNPACK takes
  // no stride beyond the window.
  if (!ReadFloatPool(context, node, registration, kBuiltinAveragePool2d, &params) ||
      params.filter_height != 2 || params.filter_width != 2 ||
      std::max(params.stride_height, params.stride_width) > 2 ||
      !ReadFloatShape(TensorAt(context, node.inputs->data[0]), &map) ||
      std::max(map.dims[1], map.dims[2]) <= 2) {
    return nullptr;
  }
  return std::make_unique<AveragePoolOp>(params);
}

}  // namespace sparsebnn
