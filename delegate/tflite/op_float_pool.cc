// MAX_POOL_2D of floats.
#include <algorithm>
#include <cstring>

#include "float_node.h"
#include "kernels/base/decimal.h"
#include "ops.h"
#include "sliding_window.h"

namespace sparsebnn {
namespace {

constexpr int32_t kBuiltinMaxPool2d = 17;
constexpr int kMaxExtent = 65535;              // of a side of an image, and of channels
constexpr int kMaxWindow = 255;                // of a side of a window or a stride
constexpr size_t kMaxScratchBytes = 16 << 20;  // of one thread

bool ReadGeometry(const Shape& map, const TfLitePoolParams& params, PoolGeometry* g) {
  const Padding padding = params.padding == 1 ? Padding::kSame : Padding::kValid;
  SlidingWindow rows, columns;
  g->filter_height = params.filter_height;
  g->filter_width = params.filter_width;
  g->stride_height = params.stride_height;
  g->stride_width = params.stride_width;
  if (map.rank != 4 || *std::max_element(map.dims, map.dims + 4) > kMaxExtent ||
      !Slide(padding, map.dims[1], g->filter_height, g->stride_height, 1, &rows) ||
      !Slide(padding, map.dims[2], g->filter_width, g->stride_width, 1, &columns)) {
    return false;
  }
  g->batch = map.dims[0];
  g->input_height = map.dims[1];
  g->input_width = map.dims[2];
  g->values = map.dims[3];
  g->output_height = rows.output;
  g->output_width = columns.output;
  g->padding_top = rows.padding_before;
  g->padding_left = columns.padding_before;
  return FloatPool::ScratchFloats(*g) <= kMaxScratchBytes / sizeof(float);
}

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
    if (!ReadGeometry(inputs[0].shape, params_, &g)) {
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
  if (registration.custom_name != nullptr || registration.builtin_code != kBuiltinMaxPool2d ||
      node.inputs == nullptr || node.inputs->size != 1 || node.outputs == nullptr ||
      node.outputs->size != 1 || node.builtin_data == nullptr) {
    return nullptr;
  }
  TfLitePoolParams params;
  std::memcpy(&params, node.builtin_data, sizeof params);
  const TfLiteTensor* const map = TensorAt(context, node.inputs->data[0]);
  const TfLiteTensor* const output = TensorAt(context, node.outputs->data[0]);
  Shape shape, output_shape;
  if (!ReadFloatShape(map, &shape) || IsConstant(*map) ||
      !ReadFloatShape(output, &output_shape) || IsConstant(*output)) {
    return nullptr;
  }
  for (const int size :
       {params.filter_height, params.filter_width, params.stride_height, params.stride_width}) {
    if (size < 1 || size > kMaxWindow) return nullptr;
  }
  PoolGeometry g;
  if ((params.padding != 1 && params.padding != 2) || params.activation != kActNone ||
      !ReadGeometry(shape, params, &g)) {
    return nullptr;
  }
  return std::make_unique<FloatPoolOp>(params);
}

}  // namespace sparsebnn
