// The ops, one file each: op_quantize.cc, op_max_pool.cc, op_bconv2d.cc, op_stem.cc,
// op_int8_convolution.cc, op_float_pool.cc, op_average_pool.cc, op_pointwise.cc, op_filter.cc.
#ifndef SPARSEBNN_TFLITE_OPS_H_
#define SPARSEBNN_TFLITE_OPS_H_

#include <cstddef>
#include <memory>

#include "op.h"

namespace sparsebnn {

// LceQuantize: float32, int8 or bool to bits; 1 where the value is below zero (or false).
std::unique_ptr<Op> MakeQuantize(const void* options, size_t options_size);
// LceDequantize: bits to +-1 in float32, int8 or bool.
std::unique_ptr<Op> MakeDequantize(const void* options, size_t options_size);
// LceBMaxPool2d.
std::unique_ptr<Op> MakeMaxPool(const void* options, size_t options_size);
// LceBconv2d, whose filter is stored bit by bit.
std::unique_ptr<Op> MakeLceBconv2d(const void* options, size_t options_size);
// SparsebnnBconv2d, whose filter is stored as a codebook and indices into it.
std::unique_ptr<Op> MakeCodebookBconv2d(const void* options, size_t options_size);

class DequantizedFilters;
struct Int8ConvolutionNodes;

// CONV_2D of float32 with few input channels, as a network begins with, or DEPTHWISE_CONV_2D with at
// least 8 output channels for each input channel (kernels/stem/stem.h). Null for every node that is
// not one; reads what the file says. Where the filter is one of `filters`, the op's second input is to
// be the constant that it is made of.
std::unique_ptr<Op> MakeStem(const TfLiteContext* context, const TfLiteNode& node,
                             const TfLiteRegistration& registration,
                             const DequantizedFilters& filters);

// The first `end` nodes of a convolution in 8 bits (int8_convolutions.h), as one op of map, filter and
// bias. Null if one of them is not what it should be, likewise. `is_stem`: whether it is of few
// channels, as a network begins with.
std::unique_ptr<Op> MakeInt8Convolution(TfLiteContext* context,
                                        const Int8ConvolutionNodes& nodes, size_t end,
                                        bool* is_stem = nullptr);

// MAX_POOL_2D of float32 without an activation, likewise.
std::unique_ptr<Op> MakeFloatPool(const TfLiteContext* context, const TfLiteNode& node,
                                  const TfLiteRegistration& registration);

// AVERAGE_POOL_2D of float32, 2x2, without an activation, likewise.
std::unique_ptr<Op> MakeAveragePool(const TfLiteContext* context, const TfLiteNode& node,
                                    const TfLiteRegistration& registration);

// CONV_2D of float32, 1x1, stride 1, likewise; of more channels than a stem has, or as many.
std::unique_ptr<Op> MakePointwise(const TfLiteContext* context, const TfLiteNode& node,
                                  const TfLiteRegistration& registration,
                                  const DequantizedFilters& filters);

// DEQUANTIZE of a convolution's filter (dequantized_filters.h), likewise.
std::unique_ptr<Op> MakeFilter(const TfLiteContext* context, const TfLiteNode& node,
                               const TfLiteRegistration& registration);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_OPS_H_
