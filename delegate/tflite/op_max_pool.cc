// LceBMaxPool2d.
#include "kernels/base/decimal.h"
#include "kernels/max_pool/max_pool.h"
#include "op_options.h"
#include "ops.h"
#include "sliding_window.h"

namespace sparsebnn {
namespace {

constexpr int kMaxExtent = 65535;  // of a side of an image, a window or a stride

class MaxPoolOp : public Op {
 public:
  MaxPoolOp(const void* data, size_t size) {
    OpOptions options(data, size);
    g_.filter_height = options.Get("filter_height", 1, kMaxExtent);
    g_.filter_width = options.Get("filter_width", 1, kMaxExtent);
    g_.stride_height = options.Get("stride_height", 1, kMaxExtent);
    g_.stride_width = options.Get("stride_width", 1, kMaxExtent);
    padding_ = static_cast<Padding>(options.Get("padding", 0, 1));
    options_error_ = options.error();
  }

  bool Prepare(const OpSettings&, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!options_error_.empty()) return error->Set(options_error_);
    if (!ExpectInputs(inputs, 1, error) || !ExpectType(inputs[0], kTfLiteInt32, error) ||
        !ExpectRank(inputs[0], 4, error) || !ExpectType(*output, kTfLiteInt32, error)) {
      return false;
    }
    const Shape& shape = inputs[0].shape;
    SlidingWindow rows, columns;
    if (shape.dims[1] > kMaxExtent || shape.dims[2] > kMaxExtent ||
        !Slide(padding_, shape.dims[1], g_.filter_height, g_.stride_height, 1, &rows) ||
        !Slide(padding_, shape.dims[2], g_.filter_width, g_.stride_width, 1, &columns)) {
      return error->Expected("an image that the window fits into", shape.ToString(),
                             inputs[0].tensor);
    }
    g_.batch = shape.dims[0];
    g_.input_height = shape.dims[1];
    g_.input_width = shape.dims[2];
    g_.values = shape.dims[3];
    g_.output_height = rows.output;
    g_.output_width = columns.output;
    g_.padding_top = rows.padding_before;
    g_.padding_left = columns.padding_before;
    output->shape = shape;
    output->channels = inputs[0].channels;
    output->shape.dims[1] = rows.output;
    output->shape.dims[2] = columns.output;
    return true;
  }

  bool Run(const void* input, void* output, Workspace*, ThreadPool* threads) const override {
    MaxPool(g_, static_cast<const uint32_t*>(input), static_cast<uint32_t*>(output), threads);
    return true;
  }

  std::string Description() const override {
    return Decimal(g_.filter_height) + "x" + Decimal(g_.filter_width);
  }

 private:
  PoolGeometry g_;
  Padding padding_ = Padding::kSame;
  std::string options_error_;
};

}  // namespace

std::unique_ptr<Op> MakeMaxPool(const void* options, size_t options_size) {
  return std::make_unique<MaxPoolOp>(options, options_size);
}

}  // namespace sparsebnn
