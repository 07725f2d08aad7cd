// The dense convolution with a table of the bits in half a byte (W. Mula, 2008).
#include <immintrin.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorAvx2 {
  using Register = __m256i;
  static constexpr int kLanes = 8, kVectors = 2, kPixels = 4;
  static constexpr int kMaxSteps = 31;  // a byte counts at most 8 bits a step

  static Register Zero() { return _mm256_setzero_si256(); }
  static Register Load(const uint32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Register Broadcast(const uint32_t* p) { return _mm256_set1_epi32(static_cast<int>(*p)); }
  static Register Add(Register counts_u8x32, Register a, Register b) {
    const __m256i half_byte_counts =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1,
                         2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(0x0F);
    const __m256i differ = _mm256_xor_si256(a, b);
    const __m256i low_counts =
        _mm256_shuffle_epi8(half_byte_counts, _mm256_and_si256(differ, low));
    const __m256i high_counts = _mm256_shuffle_epi8(
        half_byte_counts, _mm256_and_si256(_mm256_srli_epi16(differ, 4), low));
    return _mm256_add_epi8(counts_u8x32, _mm256_add_epi8(low_counts, high_counts));
  }
  static Register Widen(Register counts_u8x32) {
    const __m256i pairs_u16x16 = _mm256_maddubs_epi16(counts_u8x32, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs_u16x16, _mm256_set1_epi16(1));
  }
  static Register AddWide(Register a, Register b) { return _mm256_add_epi32(a, b); }
  static void StoreWide(uint32_t* p, Register counts) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), counts);
  }
};

}  // namespace

std::unique_ptr<Bconv2d> MakeXnorBconv2d_4x16__avx2(const Geometry& geometry,
                                                    const FilterReader& filter,
                                                    OutputTransform transform,
                                                    std::string* error) {
  return MakeXnorBconv2d<XnorAvx2>(geometry, filter, std::move(transform), "avx2", error);
}

}  // namespace sparsebnn
