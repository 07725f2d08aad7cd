// LceBconv2d and SparsebnnBconv2d, which differ in how the filter is stored.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "binary_filter.h"
#include "kernels/base/decimal.h"
#include "op_options.h"
#include "ops.h"
#include "sliding_window.h"

namespace sparsebnn {
namespace {

// Far beyond any network; they keep every product of two of them, and every table that a kernel
// makes, in an int. A popcount below 2^24 is exact as a float.
constexpr int kMaxExtent = 65535;  // of a side of an image, and of batch and channels
constexpr int kMaxFilter = 31;     // of a side of a filter
constexpr int kMaxStride = 256;    // and dilation
constexpr int kMaxDepth = (1 << 23) - 1;
// Words of 32 bits that are combined in a microsecond, for each lane of the vectors.
constexpr double kWordsPerLane = 640;
constexpr int kFormatVersion = 1;  // of SparsebnnBconv2d

// As the schema of .tflite files numbers them.
enum class Activation { kNone = 0, kRelu = 1, kReluMinus1To1 = 2, kRelu6 = 3 };

struct Bconv2dAttributes {
  int channels_in = 0;
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  Padding padding = Padding::kSame;
  bool pads_with_zero = false;
  Activation activation = Activation::kNone;

  explicit Bconv2dAttributes(OpOptions* options)
      : channels_in(options->Get("channels_in", 1, kMaxExtent)),
        stride_height(options->Get("stride_height", 1, kMaxStride)),
        stride_width(options->Get("stride_width", 1, kMaxStride)),
        dilation_height(options->Get("dilation_height_factor", 1, kMaxStride)),
        dilation_width(options->Get("dilation_width_factor", 1, kMaxStride)),
        padding(static_cast<Padding>(options->Get("padding", 0, 1))),
        pads_with_zero(options->Get("pad_values", 0, 1) == 0 && padding == Padding::kSame),
        activation(static_cast<Activation>(options->Get("fused_activation_function", 0, 3))) {}
};

bool operator==(const Geometry& a, const Geometry& b) {
  return a.batch == b.batch && a.input_height == b.input_height &&
         a.input_width == b.input_width && a.channels_in == b.channels_in &&
         a.output_height == b.output_height && a.output_width == b.output_width &&
         a.channels_out == b.channels_out && a.groups == b.groups &&
         a.filter_height == b.filter_height && a.filter_width == b.filter_width &&
         a.stride_height == b.stride_height && a.stride_width == b.stride_width &&
         a.dilation_height == b.dilation_height && a.dilation_width == b.dilation_width &&
         a.padding_top == b.padding_top && a.padding_left == b.padding_left;
}

// What both ops do once they know their filter.
class Bconv2dOp : public Op {
 public:
  bool Run(const void* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    return bconv_->Run(static_cast<const uint32_t*>(input), output, workspace, threads);
  }

  std::string Description() const override {
    return bconv_ == nullptr ? "" : bconv_->description();
  }

  double Microseconds() const override {
    const Geometry& g = geometry_;
    const double outputs =
        static_cast<double>(g.batch) * g.output_height * g.output_width * g.channels_out;
    return outputs * g.taps() * g.group_words() / (kWordsPerLane * FloatLanes(isa_));
  }

  bool TakesEpilogue() const override { return bconv_ != nullptr && bconv_->TakesEpilogue(); }

  bool RunEpilogue(const void* input, const Epilogue& epilogue, Workspace* workspace,
                   ThreadPool* threads) const override {
    return bconv_->RunTo({nullptr, &epilogue}, static_cast<const uint32_t*>(input), workspace,
                         threads);
  }

 protected:
  explicit Bconv2dOp(OpOptions* options) : attributes_(options) {}

  // Fills everything of `g` but the filter's size, groups and channels_out, which it needs.
  //
  // LCE counts channels_in channels but sums all bits of their words:
  //   accumulator = clamp(K - 2 * popcount(all words), -K, K),  K = taps * channels_in / groups
  // so bits past channels_in are summed here too, unless they are known to be 0: those of the
  // filter by `filter_has_stray_bits`, those of the input by input.channels.
  bool PrepareGeometry(const Operand& input, bool filter_has_stray_bits, Operand* output,
                       Geometry* g, OpError* error);

  // `values` are multiplier, bias and thresholds.
  bool PrepareKernel(const OpSettings& settings, const Geometry& geometry,
                     const FilterReader& filter, const Operand* values, const Operand& output,
                     OpError* error);

  // Whether the kernel at hand was made for the same.
  bool IsPrepared(const OpSettings& settings, const Geometry& geometry) const {
    return bconv_ != nullptr && threads_ == settings.threads && geometry_ == geometry;
  }

  int counted_channels_per_group(const Geometry& g) const {
    return attributes_.channels_in / g.groups;
  }

  const Bconv2dAttributes attributes_;

 private:
  bool FoldTransform(const Operand* values, const Operand& output, OutputTransform* transform,
                     std::vector<float>* multiplier, OpError* error) const;
  bool ClampsPaddedSums() const;
  bool ChooseZeroPadding(OutputType output, const TfLiteTensor* about, ZeroPadding* padding,
                         OpError* error) const;

  Geometry geometry_;
  bool leaves_image_ = false;
  int threads_ = 0;
  Isa isa_ = Isa::kScalar;
  std::unique_ptr<Bconv2d> bconv_;
};

bool Bconv2dOp::PrepareGeometry(const Operand& input, bool filter_has_stray_bits,
                                Operand* output, Geometry* g, OpError* error) {
  const Bconv2dAttributes& a = attributes_;
  if (!ExpectType(input, kTfLiteInt32, error) || !ExpectRank(input, 4, error)) return false;
  if (output->type() != kTfLiteFloat32 && output->type() != kTfLiteInt8 &&
      output->type() != kTfLiteInt32) {
    return error->Expected("float32, int8 or int32", TypeName(output->type()), output->tensor);
  }
  const Shape& shape = input.shape;
  if (shape.dims[3] != WordsFor(a.channels_in) ||
      *std::max_element(shape.dims, shape.dims + 3) > kMaxExtent) {
    return error->Expected("[batch, height, width, " + Decimal(WordsFor(a.channels_in)) +
                               "] for " + Decimal(a.channels_in) + " channels",
                           shape.ToString(), input.tensor);
  }
  SlidingWindow rows, columns;
  if (!Slide(a.padding, shape.dims[1], g->filter_height, a.stride_height, a.dilation_height,
             &rows) ||
      !Slide(a.padding, shape.dims[2], g->filter_width, a.stride_width, a.dilation_width,
             &columns)) {
    return error->Expected("an image that the filter fits into", shape.ToString(),
                           input.tensor);
  }
  leaves_image_ = rows.leaves_image || columns.leaves_image;
  g->batch = shape.dims[0];
  g->input_height = shape.dims[1];
  g->input_width = shape.dims[2];
  g->channels_in = filter_has_stray_bits || input.channels > a.channels_in
                       ? 32 * WordsFor(a.channels_in)
                       : a.channels_in;
  g->output_height = rows.output;
  g->output_width = columns.output;
  g->stride_height = a.stride_height;
  g->stride_width = a.stride_width;
  g->dilation_height = a.dilation_height;
  g->dilation_width = a.dilation_width;
  g->padding_top = rows.padding_before;
  g->padding_left = columns.padding_before;
  if (static_cast<int64_t>(g->taps()) * g->channels_in_per_group() > kMaxDepth) {
    return error->Expected(
        "at most " + Decimal(kMaxDepth) + " bits per output",
        Decimal(g->taps()) + " taps of " + Decimal(g->channels_in_per_group()) + " channels");
  }
  output->shape.rank = 4;
  output->shape.dims[0] = g->batch;
  output->shape.dims[1] = g->output_height;
  output->shape.dims[2] = g->output_width;
  const bool bitpacked = output->type() == kTfLiteInt32;
  output->shape.dims[3] = bitpacked ? g->output_words() : g->channels_out;
  if (bitpacked) output->channels = g->channels_out;
  return ExpectBounded(*output, error);
}

// multiplier' = -multiplier / scale and bias' = (bias + depth * multiplier) / scale + zero
// point, with depth = taps * channels_in whatever bits are summed, computed in double and then rounded, as LCE does, so that the results agree to the
// last bit.
bool Bconv2dOp::FoldTransform(const Operand* values, const Operand& output,
                              OutputTransform* transform, std::vector<float>* multiplier,
                              OpError* error) const {
  const int channels_out = geometry_.channels_out;
  if (output.type() == kTfLiteInt32) {
    transform->type = OutputType::kBitpacked;
    return ReadConstant(values[2], channels_out, &transform->thresholds, error);
  }
  transform->type = output.type() == kTfLiteFloat32 ? OutputType::kFloat32 : OutputType::kInt8;
  std::vector<float> bias;
  if (!ReadConstant(values[0], channels_out, multiplier, error) ||
      !ReadConstant(values[1], channels_out, &bias, error)) {
    return false;
  }
  double scale = 1.0, zero_point = 0.0;
  if (transform->type == OutputType::kInt8) {
    scale = output.tensor->params.scale;
    zero_point = output.tensor->params.zero_point;
    if (output.tensor->quantization.type != kTfLiteAffineQuantization || !(scale > 0.0) ||
        !std::isfinite(scale)) {
      return error->Expected("a positive scale", Decimal(scale), output.tensor);
    }
  }
  const int depth = geometry_.taps() * counted_channels_per_group(geometry_);
  transform->multiplier.resize(static_cast<size_t>(channels_out));
  transform->bias.resize(static_cast<size_t>(channels_out));
  for (size_t o = 0; o < transform->bias.size(); ++o) {
    const double m = (*multiplier)[o];
    const double b = bias[o];
    transform->multiplier[o] = static_cast<float>(-1 * m / scale);
    transform->bias[o] =
        static_cast<float>((b + static_cast<double>(depth) * m) / scale + zero_point);
  }
  // The bounds of depth - 2 * popcount, turned into bounds of 2 * popcount.
  int low = -depth, high = depth;
  if (attributes_.activation == Activation::kRelu) low = 0;
  if (attributes_.activation == Activation::kRelu6) low = 0, high = std::min(depth, 6);
  if (attributes_.activation == Activation::kReluMinus1To1) low = -1, high = 1;
  transform->clamp_min = depth - high;
  transform->clamp_max = depth - low;
  return true;
}

// Only where more bits are summed than counted does the clamp change a sum, and so matter whether
// it comes before the padding is taken out, as in LCE's fast kernels, or after, as in its
// reference, which is right where the map is smaller than the filter's extent.
bool Bconv2dOp::ClampsPaddedSums() const {
  const Geometry& g = geometry_;
  const bool small = g.input_height <= (g.filter_height - 1) * g.dilation_height ||
                     g.input_width <= (g.filter_width - 1) * g.dilation_width;
  return small && g.channels_in > attributes_.channels_in && attributes_.channels_in % 2 == 0;
}

bool Bconv2dOp::ChooseZeroPadding(OutputType output, const TfLiteTensor* about,
                                  ZeroPadding* padding, OpError* error) const {
  *padding = ZeroPadding::kNone;
  if (!attributes_.pads_with_zero || !leaves_image_) return true;
  if (output == OutputType::kFloat32 && attributes_.activation == Activation::kNone &&
      geometry_.groups == 1 && !ClampsPaddedSums()) {
    *padding = ZeroPadding::kAddToFloat;
    return true;
  }
  if (attributes_.channels_in % 2 != 0) {
    return error->Set(
        "Expected an even number of channels, or float32 output without an activation, for a "
        "layer that pads with zeros, got " +
            Decimal(attributes_.channels_in) + " channels",
        about);
  }
  *padding = ZeroPadding::kHalfPopcount;
  return true;
}

bool Bconv2dOp::PrepareKernel(const OpSettings& settings, const Geometry& geometry,
                              const FilterReader& filter, const Operand* values,
                              const Operand& output, OpError* error) {
  bconv_ = nullptr;
  geometry_ = geometry;
  threads_ = settings.threads;
  isa_ = settings.isa;
  OutputTransform transform;
  std::vector<float> multiplier;
  Bconv2dOptions options;
  if (!FoldTransform(values, output, &transform, &multiplier, error) ||
      !ChooseZeroPadding(transform.type, output.tensor, &options.zero_padding, error)) {
    return false;
  }
  options.kernel = settings.kernel;
  options.isa = settings.isa;
  options.padded_channels = counted_channels_per_group(geometry);
  options.unfolded_multiplier = multiplier.data();
  options.threads = settings.threads;
  std::string why;
  bconv_ = MakeBconv2d(geometry, filter, transform, options, &why);
  if (bconv_ == nullptr && options.kernel != KernelKind::kAuto) {
    // A kernel that the user pinned and that does not do this layer: a network has others too.
    options.kernel = KernelKind::kAuto;
    bconv_ = MakeBconv2d(geometry, filter, std::move(transform), options, &why);
  }
  return bconv_ != nullptr || error->Set(why, output.tensor);
}

class LceBconv2d : public Bconv2dOp {
 public:
  explicit LceBconv2d(OpOptions options)
      : Bconv2dOp(&options), options_error_(options.error()) {}

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!options_error_.empty()) return error->Set(options_error_);
    if (!ExpectInputs(inputs, 5, error)) return false;
    const Operand& filter = inputs[1];
    Geometry g;
    if (filter.tensor == nullptr) return error->Expected("a filter", "no tensor");
    if (!ExpectRank(filter, 4, error) || !ReadGroups(filter, &g, error) ||
        !ExpectConstant(filter, kTfLiteInt32, filter.shape, error)) {
      return false;
    }
    const BitFilter bits(filter.tensor->data, g.channels_out, g.taps(), filter.shape.dims[3]);
    return PrepareGeometry(inputs[0], bits.HasBitsBeyond(counted_channels_per_group(g)), output,
                           &g, error) &&
           (IsPrepared(settings, g) ||
            PrepareKernel(settings, g, bits, &inputs[2], *output, error));
  }

 private:
  // The number of groups is in no option: the filter has fewer words than the input.
  bool ReadGroups(const Operand& filter, Geometry* g, OpError* error) const {
    const Shape& shape = filter.shape;
    const int words = WordsFor(attributes_.channels_in);
    g->groups = shape.dims[3] <= words ? words / shape.dims[3] : 0;
    g->channels_out = shape.dims[0];
    g->filter_height = shape.dims[1];
    g->filter_width = shape.dims[2];
    if (g->channels_out <= kMaxExtent && g->filter_height <= kMaxFilter &&
        g->filter_width <= kMaxFilter && g->groups >= 1 && shape.dims[3] * g->groups == words &&
        (g->groups == 1 || (attributes_.channels_in % (32 * g->groups) == 0 &&
                            g->channels_out % g->groups == 0))) {
      return true;
    }
    return error->Expected("[channels out, height, width, words] that divide into groups for " +
                               Decimal(attributes_.channels_in) + " channels, sides up to " +
                               Decimal(kMaxFilter),
                           shape.ToString(), filter.tensor);
  }

  const std::string options_error_;
};

class CodebookBconv2d : public Bconv2dOp {
 public:
  explicit CodebookBconv2d(OpOptions options) : Bconv2dOp(&options) {
    // Another version may have other options, so this is the first thing to complain about.
    const int version = options.Get("format_version", 1, INT32_MAX);
    g_.channels_out = options.Get("channels_out", 1, kMaxExtent);
    g_.groups = options.Get("groups", 1, kMaxExtent);
    index_bits_ = options.Get("index_bits", 1, 9);
    options_error_ = options.error();
    if (version != kFormatVersion) {
      options_error_ = "Expected sub-bit format version " + Decimal(kFormatVersion) + ", got " +
                       Decimal(version) + ". Use a newer delegate";
    }
    g_.filter_height = g_.filter_width = 3;
  }

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!options_error_.empty()) return error->Set(options_error_);
    if (!ExpectInputs(inputs, 6, error)) return false;
    const int channels_in = attributes_.channels_in;
    if (g_.groups > 1 &&
        (channels_in % (32 * g_.groups) != 0 || g_.channels_out % g_.groups != 0)) {
      return error->Expected("channels that divide into groups of a multiple of 32",
                             Decimal(channels_in) + " channels to " + Decimal(g_.channels_out) +
                                 " in " + Decimal(g_.groups) + " groups");
    }
    Geometry g = g_;
    std::vector<uint16_t> codebook;
    if (!PrepareGeometry(inputs[0], /*filter_has_stray_bits=*/false, output, &g, error) ||
        !CheckIndices(inputs[1], g, error)) {
      return false;
    }
    if (IsPrepared(settings, g)) return true;
    if (!ReadCodebook(inputs[2], &codebook, error)) return false;
    const CodebookFilter filter(static_cast<const uint8_t*>(inputs[1].tensor->data),
                                index_bits_, std::move(codebook), g.channels_out,
                                counted_channels_per_group(g));
    const int64_t bad = filter.FirstBadIndex();
    if (bad >= 0) {
      return error->Expected(
          "indices into a codebook of " + Decimal(inputs[2].shape.dims[0]) + " codewords",
          "another at position " + Decimal(bad), inputs[1].tensor);
    }
    return PrepareKernel(settings, g, filter, &inputs[3], *output, error);
  }

 private:
  bool CheckIndices(const Operand& indices, const Geometry& g, OpError* error) const {
    const int64_t bits =
        static_cast<int64_t>(g.channels_out) * counted_channels_per_group(g) * index_bits_;
    Shape shape;
    shape.rank = 1;
    // A byte count beyond an int is no shape that a tensor has.
    shape.dims[0] = static_cast<int>(std::min<int64_t>((bits + 7) / 8, INT32_MAX));
    return ExpectConstant(indices, kTfLiteUInt8, shape, error);
  }

  bool ReadCodebook(const Operand& operand, std::vector<uint16_t>* codebook,
                    OpError* error) const {
    const std::string expected =
        "a codebook of 1.." + Decimal(1 << index_bits_) + " codewords in 0..511 as uint16";
    if (operand.tensor == nullptr) return error->Expected(expected, "no tensor");
    const Shape& shape = operand.shape;
    if (shape.rank != 1 || shape.dims[0] > 1 << index_bits_) {
      return error->Expected(expected, shape.ToString(), operand.tensor);
    }
    if (!ExpectConstant(operand, kTfLiteUInt16, shape, error)) return false;
    codebook->resize(static_cast<size_t>(shape.dims[0]));
    std::memcpy(codebook->data(), operand.tensor->data, codebook->size() * sizeof(uint16_t));
    for (const uint16_t codeword : *codebook) {
      if (codeword >= CodebookFilter::kCodewords) {
        return error->Expected(expected, Decimal(codeword), operand.tensor);
      }
    }
    return true;
  }

  Geometry g_;  // what the options say of it
  int index_bits_ = 1;
  std::string options_error_;
};

}  // namespace

std::unique_ptr<Op> MakeLceBconv2d(const void* options, size_t options_size) {
  return std::make_unique<LceBconv2d>(OpOptions(options, options_size));
}

std::unique_ptr<Op> MakeCodebookBconv2d(const void* options, size_t options_size) {
  return std::make_unique<CodebookBconv2d>(OpOptions(options, options_size));
}

}  // namespace sparsebnn
