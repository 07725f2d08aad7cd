// LceQuantize and LceDequantize.
#include <algorithm>
#include <cmath>

#include "kernels/base/decimal.h"
#include "kernels/quantize/quantize.h"
#include "ops.h"
#include "parallel_rows.h"

namespace sparsebnn {
namespace {

// Values a microsecond: for each lane of the vectors, and without vectors.
constexpr double kQuantized = 1600, kDequantized = 1000;

class Quantize : public Op {
 public:
  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!ExpectInputs(inputs, 1, error)) return false;
    const Operand& input = inputs[0];
    type_ = input.type();
    if (type_ != kTfLiteFloat32 && type_ != kTfLiteInt8 && type_ != kTfLiteBool) {
      return error->Expected("float32, int8 or bool", TypeName(type_), input.tensor);
    }
    if (!ExpectType(*output, kTfLiteInt32, error)) return false;
    output->shape = input.shape;
    channels_ = output->channels = input.shape.last();
    output->shape.dims[output->shape.rank - 1] = WordsFor(channels_);
    rows_ = input.shape.Rows();
    isa_ = settings.isa;
    zero_point_ = input.tensor->params.zero_point;
    if (type_ == kTfLiteInt8 && (zero_point_ < -128 || zero_point_ > 127)) {
      return error->Expected("a zero point of int8", Decimal(zero_point_), input.tensor);
    }
    return true;
  }

  bool Run(const void* input, void* output, Workspace*, ThreadPool* threads) const override {
    const QuantizeKernels& kernels = QuantizeKernelsFor(isa_);
    const size_t words = static_cast<size_t>(WordsFor(channels_));
    const double speed = kQuantized * FloatLanes(isa_) / channels_;
    ParallelRows(rows_, speed, threads, [&](size_t first, size_t rows) {
      uint32_t* bits = static_cast<uint32_t*>(output) + first * words;
      const size_t value = first * static_cast<size_t>(channels_);
      if (type_ == kTfLiteFloat32) {
        kernels.float32(static_cast<const float*>(input) + value, rows, channels_, bits);
      } else if (type_ == kTfLiteInt8) {
        kernels.int8(static_cast<const int8_t*>(input) + value,
                     static_cast<int8_t>(zero_point_), rows, channels_, bits);
      } else {
        kernels.boolean(static_cast<const uint8_t*>(input) + value, rows, channels_, bits);
      }
    });
    return true;
  }

  std::string Description() const override { return TypeName(type_) + " " + IsaName(isa_); }

  bool QuantizesFloats() const override { return type_ == kTfLiteFloat32; }

 private:
  TfLiteType type_ = kTfLiteFloat32;
  Isa isa_ = Isa::kScalar;
  int channels_ = 0, zero_point_ = 0;
  size_t rows_ = 0;
};

class Dequantize : public Op {
 public:
  bool Prepare(const OpSettings&, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!ExpectInputs(inputs, 1, error) || !ExpectType(inputs[0], kTfLiteInt32, error)) {
      return false;
    }
    type_ = output->type();
    if (type_ != kTfLiteFloat32 && type_ != kTfLiteInt8 && type_ != kTfLiteBool) {
      return error->Expected("float32, int8 or bool", TypeName(type_), output->tensor);
    }
    // The number of channels is in no option: only the output's shape in the file tells it.
    const Shape& bits = inputs[0].shape;
    if (output->shape.rank != bits.rank || WordsFor(output->shape.last()) != bits.last()) {
      return error->Expected("a last dimension that fits " + bits.ToString() + " words",
                             output->shape.ToString(), output->tensor);
    }
    channels_ = output->shape.last();
    output->shape = bits;
    output->shape.dims[bits.rank - 1] = channels_;
    rows_ = bits.Rows();
    return type_ != kTfLiteInt8 || PrepareInt8(*output->tensor, error);
  }

  bool Run(const void* input, void* output, Workspace*, ThreadPool* threads) const override {
    const size_t words = static_cast<size_t>(WordsFor(channels_));
    ParallelRows(rows_, kDequantized / channels_, threads, [&](size_t first, size_t rows) {
      const uint32_t* bits = static_cast<const uint32_t*>(input) + first * words;
      const size_t value = first * static_cast<size_t>(channels_);
      if (type_ == kTfLiteFloat32) {
        DequantizeFloat(bits, rows, channels_, static_cast<float*>(output) + value);
      } else {
        const bool is_bool = type_ == kTfLiteBool;  // true stands for +1
        DequantizeBytes(bits, is_bool ? 1 : static_cast<uint8_t>(plus_one_),
                        is_bool ? 0 : static_cast<uint8_t>(minus_one_), rows, channels_,
                        static_cast<uint8_t*>(output) + value);
      }
    });
    return true;
  }

  std::string Description() const override { return TypeName(type_); }

 private:
  // +-1 as int8: the zero point plus and minus round(1 / scale), saturated at the far end.
  bool PrepareInt8(const TfLiteTensor& tensor, OpError* error) {
    const float steps = std::round(1.0f / tensor.params.scale);
    const int zero_point = tensor.params.zero_point;
    if (!(steps >= 0.0f) || zero_point < -128 || zero_point > 127) {
      return error->Expected("a positive scale and a zero point of int8",
                             Decimal(tensor.params.scale) + " and " + Decimal(zero_point),
                             &tensor);
    }
    const int bounded_steps = static_cast<int>(std::min(steps, 256.0f));
    plus_one_ = static_cast<int8_t>(std::min(127, zero_point + bounded_steps));
    minus_one_ = static_cast<int8_t>(std::max(-128, zero_point - bounded_steps));
    return true;
  }

  TfLiteType type_ = kTfLiteFloat32;
  int channels_ = 0;
  size_t rows_ = 0;
  int8_t plus_one_ = 1, minus_one_ = -1;
};

}  // namespace

std::unique_ptr<Op> MakeQuantize(const void*, size_t) { return std::make_unique<Quantize>(); }

std::unique_ptr<Op> MakeDequantize(const void*, size_t) {
  return std::make_unique<Dequantize>();
}

}  // namespace sparsebnn
