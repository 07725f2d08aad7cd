// 128, 256 or 512 bits in an AVX-512 register, with its three-operand logic.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX512_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX512_H_

#include <immintrin.h>

#include <cstdint>

namespace sparsebnn {

// Truth tables of VPTERNLOG: bit 4 a + 2 b + c is the result.
constexpr int kXor3 = 0x96, kMajority = 0xE8, kSelect = 0xCA;

// A vector from two of half as many bytes.
inline __m128i LoadHalves128(const uint8_t* low, const uint8_t* high) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low)),
                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(high)));
}
inline __m256i LoadHalves256(const uint8_t* low, const uint8_t* high) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
}
inline __m512i LoadHalves512(const uint8_t* low, const uint8_t* high) {
  return _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low))),
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high)), 1);
}

#define SPARSEBNN_AVX512_BIT_VECTOR(bits, register_t, prefix, suffix)                      \
  struct BitVectorAvx512x##bits {                                                          \
    using Register = register_t;                                                           \
    static constexpr int kBits = bits;                                                     \
    static Register Load(const uint8_t* p) {                                               \
      return prefix##_loadu_si##bits(reinterpret_cast<const register_t*>(p));              \
    }                                                                                      \
    static Register LoadHalves(const uint8_t* low, const uint8_t* high) {                  \
      return LoadHalves##bits(low, high);                                                  \
    }                                                                                      \
    static void Store(uint8_t* p, Register v) {                                            \
      prefix##_storeu_si##bits(reinterpret_cast<register_t*>(p), v);                       \
    }                                                                                      \
    static void StorePair(uint8_t* p, Register a, Register b) {                            \
      Store(p, a);                                                                         \
      Store(p + kBits / 8, b);                                                             \
    }                                                                                      \
    static Register Zero() { return prefix##_setzero_si##bits(); }                         \
    static Register Not(Register a) { return prefix##_ternarylogic_epi64(a, a, a, 0x0F); } \
    static Register Xor(Register a, Register b) { return prefix##_xor_##suffix(a, b); }    \
    static Register And(Register a, Register b) { return prefix##_and_##suffix(a, b); }    \
    static Register Or(Register a, Register b) { return prefix##_or_##suffix(a, b); }      \
    static Register Select(Register selector, Register a, Register b) {                    \
      return prefix##_ternarylogic_epi64(selector, a, b, kSelect);                         \
    }                                                                                      \
    static Register Carry(Register differ, Register a, Register c) {                       \
      return Select(differ, c, a);                                                         \
    }                                                                                      \
    static Register FullAdd(Register a, Register b, Register c, Register* carry) {         \
      *carry = prefix##_ternarylogic_epi64(a, b, c, kMajority);                            \
      return prefix##_ternarylogic_epi64(a, b, c, kXor3);                                  \
    }                                                                                      \
    static Register SplatByte(uint8_t byte) {                                              \
      return prefix##_set1_epi8(static_cast<char>(byte));                                  \
    }                                                                                      \
    template <int n>                                                                       \
    static Register ShiftLeft(Register a) {                                                \
      return prefix##_slli_epi64(a, n);                                                    \
    }                                                                                      \
    template <int n>                                                                       \
    static Register ShiftRight(Register a) {                                               \
      return prefix##_srli_epi64(a, n);                                                    \
    }                                                                                      \
    static Register LoadShifted(const uint8_t* p, int shift) {                             \
      return Or(prefix##_srl_epi64(Load(p), _mm_cvtsi32_si128(shift)),                     \
                prefix##_sll_epi64(Load(p + 1), _mm_cvtsi32_si128(8 - shift)));            \
    }                                                                                      \
  };

SPARSEBNN_AVX512_BIT_VECTOR(128, __m128i, _mm, si128)
SPARSEBNN_AVX512_BIT_VECTOR(256, __m256i, _mm256, si256)
SPARSEBNN_AVX512_BIT_VECTOR(512, __m512i, _mm512, si512)

#undef SPARSEBNN_AVX512_BIT_VECTOR

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX512_H_
