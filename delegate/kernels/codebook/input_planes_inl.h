// Fills the input's bit planes (raster.h), each as far as it is needed.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_INPUT_PLANES_INL_H_
#define SPARSEBNN_KERNELS_CODEBOOK_INPUT_PLANES_INL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bit_planes_inl.h"
#include "kernels/bconv2d/bconv2d.h"
#include "raster.h"

namespace sparsebnn {
namespace {

// The planes of one thread, which follow this head: of each, what blocks have needed so far.
struct alignas(64) Planes {
  int begin = 0, end = 0;  // words
  uint8_t* data() { return reinterpret_cast<uint8_t*>(this + 1); }
};

// Words `first_word` to `last_word` of the planes of one phase, all channels; with the last also
// clears what lies beyond.
inline void FillWords(const Geometry& g, const Raster& raster, const uint32_t* image, int group,
                      size_t phase, int first_word, int last_word, uint8_t* planes) {
  if (first_word >= last_word) return;
  const int group_words = g.group_words();
  for (int word = first_word; word < last_word; ++word) {
    int pixels[32];
    raster.ListPixels(g, raster.phases[phase], word * 32, 32, pixels);
    for (int w = 0; w < group_words; w += 4) {
      u32x4 rows[32];
      const int lanes = std::min(4, group_words - w);
      for (int k = 0; k < 32; ++k) {
        rows[k] = u32x4{};
        if (pixels[k] < 0) continue;
        const uint32_t* pixel =
            image + static_cast<size_t>(pixels[k]) * g.input_words() + group * group_words + w;
        if (lanes == 4) {
          std::memcpy(&rows[k], pixel, sizeof rows[k]);
        } else {
          for (int lane = 0; lane < lanes; ++lane) rows[k][lane] = pixel[lane];
        }
      }
      Transpose32x32_x4(rows);
      uint8_t* plane =
          planes + (phase * Raster::PlanesPerPhase(g) + w * 32) * raster.plane_bytes + word * 4;
      for (int lane = 0; lane < lanes; ++lane) {
        for (int i = 0; i < 32; ++i) {
          const uint32_t bits = rows[i][lane];
          std::memcpy(plane, &bits, sizeof bits);
          plane += raster.plane_bytes;
        }
      }
    }
  }
  if (last_word < raster.words) return;
  for (int c = 0; c < g.channels_in_per_group(); ++c) {
    uint8_t* plane = planes + (phase * Raster::PlanesPerPhase(g) + c) * raster.plane_bytes;
    std::memset(plane + raster.words * 4, 0, raster.plane_bytes - raster.words * 4);
  }
}

// Sees to it that the planes have what `places` outputs from `first` on read, of a group of the
// convolution and its image.
inline void FillPlanes(const Geometry& g, const Raster& raster, const uint32_t* image,
                       int group, int first, int places, Planes* planes) {
  const int begin = first / 32;
  const int end = std::min((first + places + raster.last_shift + 31) / 32, raster.words);
  if (begin > planes->end || end < planes->begin) planes->begin = planes->end = begin;
  for (size_t phase = 0; phase < raster.phases.size(); ++phase) {
    FillWords(g, raster, image, group, phase, begin, std::min(end, planes->begin),
              planes->data());
    FillWords(g, raster, image, group, phase, std::max(begin, planes->end), end,
              planes->data());
  }
  planes->begin = std::min(begin, planes->begin);
  planes->end = std::max(end, planes->end);
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_INPUT_PLANES_INL_H_
