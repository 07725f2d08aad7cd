// The dense convolution with VPOPCNTD: three instructions for 512 bits.
#include <immintrin.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorAvx512 {
  using Register = __m512i;
  static constexpr int kLanes = 16, kVectors = 2, kPixels = 8;
  static constexpr int kMaxSteps = 1 << 26;

  static Register Zero() { return _mm512_setzero_si512(); }
  static Register Load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static Register Broadcast(const uint32_t* p) { return _mm512_set1_epi32(static_cast<int>(*p)); }
  static Register Add(Register counts, Register a, Register b) {
    return _mm512_add_epi32(counts, _mm512_popcnt_epi32(_mm512_xor_si512(a, b)));
  }
  static Register Widen(Register counts) { return counts; }
  static Register AddWide(Register a, Register b) { return _mm512_add_epi32(a, b); }
  static void StoreWide(uint32_t* p, Register counts) { _mm512_storeu_si512(p, counts); }
};

}  // namespace

std::unique_ptr<Bconv2d> MakeXnorBconv2d_8x32__avx512(const Geometry& geometry,
                                                      const FilterReader& filter,
                                                      OutputTransform transform,
                                                      std::string* error) {
  return MakeXnorBconv2d<XnorAvx512>(geometry, filter, std::move(transform), "avx512", error);
}

}  // namespace sparsebnn
