// A binary 2-D convolution, prepared once for its filter and run many times.
//
//   popcount[b, y, x, o] = sum over ky, kx, c of
//       input[b, y * stride_h + ky * dilation_h - pad_top, x * ..., c] xor filter[o, ky, kx, c]
//   output = transform(popcount)
//
// Bits stand for signs, 1 for -1. Taps outside of the image read bit 0, that is +1. This is the
// arithmetic of Larq Compute Engine's LceBconv2d, to the last bit.
//
// Operand layouts:
//   input   uint32 [batch, input_height, input_width, ceil(channels_in / 32)], channel c in bit
//           c % 32 of word c / 32; bits past channels_in are 0
//   filter  uint32 [channels_out, filter_height, filter_width, ceil(channels_in / groups / 32)]
//   output  float, int8: [batch, output_height, output_width, channels_out]; bit-packed: uint32
//           [..., ceil(channels_out / 32)], bits past channels_out are 0
#ifndef SPARSEBNN_KERNELS_BCONV2D_BCONV2D_H_
#define SPARSEBNN_KERNELS_BCONV2D_BCONV2D_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"

namespace sparsebnn {

// Also of INT_MAX, which a tensor of no elements may have as a side.
inline int WordsFor(int bits) { return bits / 32 + (bits % 32 != 0); }

struct Geometry {
  int batch = 1;
  int input_height = 0, input_width = 0, channels_in = 0;
  int output_height = 0, output_width = 0, channels_out = 0;
  int groups = 1;
  int filter_height = 0, filter_width = 0;
  int stride_height = 1, stride_width = 1;
  int dilation_height = 1, dilation_width = 1;
  int padding_top = 0, padding_left = 0;
  // The outputs before this pixel of each image are somebody else's. Only for the dense
  // kernels.
  int first_pixel = 0;

  int input_words() const { return WordsFor(channels_in); }
  int output_words() const { return WordsFor(channels_out); }
  int channels_in_per_group() const { return channels_in / groups; }
  int channels_out_per_group() const { return channels_out / groups; }
  int group_words() const { return WordsFor(channels_in_per_group()); }
  int taps() const { return filter_height * filter_width; }
  // The greatest popcount.
  int depth() const { return taps() * channels_in_per_group(); }
};

// Where a filter comes from. Kernels read one output channel at a time, so that a compressed
// filter is never expanded whole.
class FilterReader {
 public:
  virtual ~FilterReader() = default;
  // Writes the taps() * group_words() words of output channel `o`.
  virtual void ReadChannel(int o, uint32_t* words) const = 0;
};

enum class OutputType { kFloat32, kInt8, kBitpacked };

// What happens to a popcount:
//   float       clamp(2 * popcount, clamp_min, clamp_max) * multiplier[o] + bias[o]
//   int8        the same, rounded half away from zero, saturated
//   bit-packed  popcount > thresholds[o]
// Multiplier, bias and clamp have the back-transformation depth - 2 * popcount folded in.
struct OutputTransform {
  OutputType type = OutputType::kFloat32;
  int32_t clamp_min = 0, clamp_max = 0;
  std::vector<float> multiplier, bias;  // [channels_out] each, empty for bit-packed output
  std::vector<int32_t> thresholds;      // [channels_out], empty for float and int8 output
};

// How a tap outside of the image counts when the layer pads with zeros instead of ones.
enum class ZeroPadding {
  kNone,        // it pads with +1
  kAddToFloat,  // float output: a correction is added to the output, as LCE's fast kernel does
  kHalfPopcount,  // any output: an outside tap adds half of its channels, as LCE's reference
                  // does
};

enum class KernelKind { kAuto, kReference, kXnor, kCodebook };

struct Bconv2dOptions {
  KernelKind kernel = KernelKind::kAuto;
  Isa isa = Isa::kScalar;
  ZeroPadding zero_padding = ZeroPadding::kNone;
  // Only with zero padding: the input channels of a group as the op counts them. The geometry
  // has more of them where bits beyond are summed too (LceBconv2d in op_bconv2d.cc).
  int padded_channels = 0;
  // Only for ZeroPadding::kAddToFloat: the multipliers of the op, before any folding.
  const float* unfolded_multiplier = nullptr;
  // The number of threads that Run will be given; only the choice of the kernel depends on it.
  int threads = 1;
};

// Where outputs go: to memory; or, floats, tile by tile to an epilogue, which says where then.
struct Bconv2dOutput {
  void* data = nullptr;
  const Epilogue* epilogue = nullptr;  // instead of `data`; needs TakesEpilogue()
};

class Bconv2d {
 public:
  virtual ~Bconv2d() = default;
  // `input` and the output are as large as the geometry says. `workspace` is scratch memory that
  // calls of different convolutions may share, one call at a time.
  // Returns false if memory could not be had.
  virtual bool RunTo(const Bconv2dOutput& output, const uint32_t* input, Workspace* workspace,
                     ThreadPool* threads) const = 0;
  bool Run(const uint32_t* input, void* output, Workspace* workspace,
           ThreadPool* threads) const {
    return RunTo({output, nullptr}, input, workspace, threads);
  }
  // Whether RunTo takes an epilogue.
  virtual bool TakesEpilogue() const { return false; }
  // What runs: "xnor", "codebook" or "reference"; and its instruction set and tile.
  virtual const char* kernel() const = 0;
  virtual std::string description() const = 0;
};

// Prepares a convolution. Returns null and sets `error` to one line when the geometry is
// impossible, memory is short, or the kernel asked for does not do this layer.
std::unique_ptr<Bconv2d> MakeBconv2d(const Geometry& geometry, const FilterReader& filter,
                                     OutputTransform transform, const Bconv2dOptions& options,
                                     std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_BCONV2D_H_
