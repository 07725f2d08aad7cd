// CONV_2D with few input channels.
#include <algorithm>
#include <cstring>
#include <utility>

#include "float_node.h"
#include "kernels/base/decimal.h"
#include "kernels/stem/stem.h"
#include "ops.h"
#include "sliding_window.h"

namespace sparsebnn {
namespace {

constexpr int32_t kBuiltinConv2d = 3;
// What networks begin with, and a general kernel is slow for: it takes one tap at a time.
constexpr int kMaxChannelsIn = 4;
constexpr int kMaxFilter = 11;
constexpr int kMaxStride = 4;
// Below, XNNPACK has kernels for AArch64 with more than one sum for each output, which are added up
// last: of few output channels, and of a single output for each image.
constexpr int kMinChannelsOut = 8;
constexpr int kMinOutputs = 8;
constexpr int kMaxExtent = 65535;  // of a side of an image, and of batch and channels
constexpr size_t kMaxWorkspaceBytes = 16 << 20;  // of one thread

bool IsBetween(int first, int value, int last) { return value >= first && value <= last; }

// Everything of `g` but what depends on the image. False if the filter is none for this kernel.
bool ReadFilterGeometry(const Shape& filter, const TfLiteConvParams& params, StemGeometry* g) {
  if (filter.rank != 4) return false;
  g->channels_out = filter.dims[0];
  g->filter_height = filter.dims[1];
  g->filter_width = filter.dims[2];
  g->channels_in = filter.dims[3];
  g->stride_height = params.stride_height;
  g->stride_width = params.stride_width;
  return g->channels_in <= kMaxChannelsIn && g->channels_out >= kMinChannelsOut &&
         g->channels_out <= kMaxExtent &&
         std::max(g->filter_height, g->filter_width) <= kMaxFilter &&
         IsBetween(1, g->stride_height, std::min(kMaxStride, g->filter_height)) &&
         IsBetween(1, g->stride_width, std::min(kMaxStride, g->filter_width)) &&
         params.dilation_height_factor == 1 && params.dilation_width_factor == 1;
}

// The rest of it. False if the filter does not fit into the image, or either is too large.
bool ReadImageGeometry(const Shape& input, Padding padding, StemGeometry* g) {
  SlidingWindow rows, columns;
  if (input.rank != 4 || input.dims[3] != g->channels_in ||
      *std::max_element(input.dims, input.dims + 3) > kMaxExtent ||
      !Slide(padding, input.dims[1], g->filter_height, g->stride_height, 1, &rows) ||
      !Slide(padding, input.dims[2], g->filter_width, g->stride_width, 1, &columns)) {
    return false;
  }
  g->batch = input.dims[0];
  g->input_height = input.dims[1];
  g->input_width = input.dims[2];
  g->output_height = rows.output;
  g->output_width = columns.output;
  g->padding_top = rows.padding_before;
  g->padding_left = columns.padding_before;
  return Stem::WorkspaceBytes(*g) <= kMaxWorkspaceBytes;
}

class StemOp : public Op {
 public:
  StemOp(const StemGeometry& geometry, const TfLiteConvParams& params)
      : geometry_(geometry), params_(params), padding_(PaddingOf(params)) {}

  static Padding PaddingOf(const TfLiteConvParams& params) {
    return params.padding == 1 ? Padding::kSame : Padding::kValid;
  }

  bool Prepare(const OpSettings& settings, const std::vector<Operand>& inputs, Operand* output,
               OpError* error) override {
    if (!ExpectInputs(inputs, 3, error) || !ExpectType(inputs[0], kTfLiteFloat32, error) ||
        !ExpectType(*output, kTfLiteFloat32, error)) {
      return false;
    }
    if (!ReadImageGeometry(inputs[0].shape, padding_, &geometry_)) {
      return error->Set(
          "Expected an image that the filter fits into and of the file's channels, got " +
              inputs[0].shape.ToString() + ". Use option stem=0",
          inputs[0].tensor);
    }
    output->shape.rank = 4;
    output->shape.dims[0] = geometry_.batch;
    output->shape.dims[1] = geometry_.output_height;
    output->shape.dims[2] = geometry_.output_width;
    output->shape.dims[3] = geometry_.channels_out;
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

  std::string Description() const override { return std::string("stem ") + IsaName(isa_); }

 private:
  bool IsPrepared(const Shape& image) const { return stem_ != nullptr && image_ == image; }

  bool PrepareKernel(const OpSettings& settings, const std::vector<Operand>& inputs,
                     OpError* error) {
    stem_ = nullptr;
    const StemGeometry& g = geometry_;
    Shape shape;
    shape.rank = 4;
    const int dims[] = {g.channels_out, g.filter_height, g.filter_width, g.channels_in};
    std::copy_n(dims, 4, shape.dims);
    std::vector<float> bias;
    if (!ExpectConstant(inputs[1], kTfLiteFloat32, shape, error) ||
        !ReadConstant(inputs[2], g.channels_out, &bias, error)) {
      return false;
    }
    // Copied because a damaged file may misalign it.
    std::vector<float> filter(shape.Rows() * static_cast<size_t>(g.channels_in));
    std::memcpy(filter.data(), inputs[1].tensor->data, filter.size() * sizeof(float));
    float minimum, maximum;
    ActivationBounds(params_.activation, &minimum, &maximum);
    isa_ = settings.isa;
    image_ = inputs[0].shape;
    stem_ = std::make_unique<Stem>(g, filter.data(), bias.data(), minimum, maximum, isa_);
    return true;
  }

  StemGeometry geometry_;
  const TfLiteConvParams params_;
  const Padding padding_;
  Isa isa_ = Isa::kScalar;
  Shape image_;  // that stem_ was made for
  std::unique_ptr<Stem> stem_;
};

}  // namespace

std::unique_ptr<Op> MakeStem(const TfLiteContext* context, const TfLiteNode& node,
                             const TfLiteRegistration& registration) {
  if (registration.custom_name != nullptr || registration.builtin_code != kBuiltinConv2d ||
      node.inputs == nullptr || node.inputs->size != 3 || node.outputs == nullptr ||
      node.outputs->size != 1 || node.builtin_data == nullptr) {
    return nullptr;
  }
  TfLiteConvParams params;
  std::memcpy(&params, node.builtin_data, sizeof params);
  const TfLiteTensor* const tensors[] = {
      TensorAt(context, node.inputs->data[0]), TensorAt(context, node.inputs->data[1]),
      TensorAt(context, node.inputs->data[2]), TensorAt(context, node.outputs->data[0])};
  Shape shapes[4];
  for (int i = 0; i < 4; ++i) {
    const bool constant = i == 1 || i == 2;
    if (!ReadFloatShape(tensors[i], &shapes[i]) || IsConstant(*tensors[i]) != constant ||
        (constant && tensors[i]->data == nullptr)) {
      return nullptr;
    }
  }
  StemGeometry g;
  float minimum, maximum;
  if (!ReadFilterGeometry(shapes[1], params, &g) || !IsBetween(1, params.padding, 2) ||
      !ActivationBounds(params.activation, &minimum, &maximum) || shapes[2].rank != 1 ||
      shapes[2].dims[0] != g.channels_out) {
    return nullptr;
  }
  for (int i = 1; i < 3; ++i) {
    size_t bytes;
    if (!shapes[i].Bytes(kTfLiteFloat32, &bytes) || tensors[i]->bytes < bytes) return nullptr;
  }
  StemGeometry image = g;
  if (!ReadImageGeometry(shapes[0], StemOp::PaddingOf(params), &image) ||
      image.output_height * static_cast<int64_t>(image.output_width) < kMinOutputs) {
    return nullptr;
  }
  return std::make_unique<StemOp>(g, params);
}

}  // namespace sparsebnn
