// DEQUANTIZE of a filter, for whoever reads it outside of its convolution's partition.
#include "constant.h"
#include "dequantized_filters.h"
#include "ops.h"

namespace sparsebnn {
namespace {

class FilterOp : public Op {
 public:
  bool Prepare(const OpSettings&, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    const Shape& shape = inputs[0].shape;
    if (!ExpectInputs(inputs, 1, error) || !ExpectType(*output, kTfLiteFloat32, error) ||
        !ExpectConstant(inputs[0], kTfLiteInt8, shape, error)) {
      return false;
    }
    if (!ReadFilterScales(inputs[0].tensor, &scales_)) {
      return error->Expected("a scale for each output channel", "others", inputs[0].tensor);
    }
    count_ = shape.Rows() * static_cast<size_t>(shape.last());
    output->shape = shape;
    return true;
  }

  bool Run(const void* input, void* output, Workspace*, ThreadPool*) const override {
    ScaleFilter(static_cast<const int8_t*>(input), scales_, count_,
                static_cast<float*>(output));
    return true;
  }

  std::string Description() const override { return "filter"; }

 private:
  FilterScales scales_;
  size_t count_ = 0;
};

}  // namespace

std::unique_ptr<Op> MakeFilter(const TfLiteContext* context, const TfLiteNode& node,
                               const TfLiteRegistration& registration) {
  if (!ReadDequantizedFilter(context, node, registration)) return nullptr;
  return std::make_unique<FilterOp>();
}

}  // namespace sparsebnn
