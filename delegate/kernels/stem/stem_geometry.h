// Where a stem's filter lies over its image.
#ifndef SPARSEBNN_KERNELS_STEM_STEM_GEOMETRY_H_
#define SPARSEBNN_KERNELS_STEM_STEM_GEOMETRY_H_

#include <cstddef>

namespace sparsebnn {

struct StemGeometry {
  int batch = 1;
  int input_height = 0, input_width = 0, channels_in = 0;
  int output_height = 0, output_width = 0, channels_out = 0;
  int filter_height = 0, filter_width = 0;
  int stride_height = 1, stride_width = 1;
  int padding_top = 0, padding_left = 0;
  // Or channels_in: then each output channel reads one of them, which is depthwise.
  int groups = 1;

  // Values of a row of the image: that a filter row reads, and from one output to the next.
  int run() const { return filter_width * (channels_in / groups); }
  int step() const { return stride_width * channels_in; }
  // Values of a row of the image, and of a row of outputs.
  size_t image_row() const {
    return static_cast<size_t>(input_width) * static_cast<size_t>(channels_in);
  }
  size_t output_row() const {
    return static_cast<size_t>(output_width) * static_cast<size_t>(channels_out);
  }
  // Values of the padding at the left of a row, and of a row with its padding that `outputs`
  // outputs read.
  size_t before() const {
    return static_cast<size_t>(padding_left) * static_cast<size_t>(channels_in);
  }
  size_t padded_row(size_t outputs) const {
    return (outputs - 1) * static_cast<size_t>(step()) +
           static_cast<size_t>(filter_width) * static_cast<size_t>(channels_in);
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_STEM_GEOMETRY_H_
