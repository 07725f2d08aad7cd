// 256 bits in an AVX2 register.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX2_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace sparsebnn {

struct BitVectorAvx2 {
  using Register = __m256i;
  static constexpr int kBits = 256;

  static Register Load(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  // The two halves, each from half as many bytes.
  static Register LoadHalves(const uint8_t* low, const uint8_t* high) {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
  }
  static void Store(uint8_t* p, Register v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static void StorePair(uint8_t* p, Register a, Register b) {
    Store(p, a);
    Store(p + kBits / 8, b);
  }
  static Register Zero() { return _mm256_setzero_si256(); }
  static Register Not(Register a) { return _mm256_xor_si256(a, _mm256_set1_epi8(-1)); }
  static Register Xor(Register a, Register b) { return _mm256_xor_si256(a, b); }
  static Register And(Register a, Register b) { return _mm256_and_si256(a, b); }
  static Register Or(Register a, Register b) { return _mm256_or_si256(a, b); }
  static Register Select(Register selector, Register a, Register b) {
    return Xor(b, And(selector, Xor(a, b)));
  }
  static Register Carry(Register differ, Register a, Register c) {
    return Select(differ, c, a);
  }
  static Register FullAdd(Register a, Register b, Register c, Register* carry) {
    const Register differ = Xor(a, b);
    *carry = Or(And(a, b), And(differ, c));
    return Xor(differ, c);
  }
  static Register SplatByte(uint8_t byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
  template <int n>
  static Register ShiftLeft(Register a) {
    return _mm256_slli_epi64(a, n);
  }
  template <int n>
  static Register ShiftRight(Register a) {
    return _mm256_srli_epi64(a, n);
  }
  static Register LoadShifted(const uint8_t* p, int shift) {
    return Or(_mm256_srl_epi64(Load(p), _mm_cvtsi32_si128(shift)),
              _mm256_sll_epi64(Load(p + 1), _mm_cvtsi32_si128(8 - shift)));
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_AVX2_H_
