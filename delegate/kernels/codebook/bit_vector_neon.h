// 128 bits in a NEON register.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_NEON_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_NEON_H_

#include <arm_neon.h>

#include <cstdint>

namespace sparsebnn {

struct BitVectorNeon {
  using Register = uint8x16_t;
  static constexpr int kBits = 128;

  static Register Load(const uint8_t* p) { return vld1q_u8(p); }
  // The two halves, each from half as many bytes.
  static Register LoadHalves(const uint8_t* low, const uint8_t* high) {
    return vcombine_u8(vld1_u8(low), vld1_u8(high));
  }
  static void Store(uint8_t* p, Register v) { vst1q_u8(p, v); }
  // One instruction that some cores do in half the time of two stores.
  static void StorePair(uint8_t* p, Register a, Register b) {
    const uint8x16x2_t pair = {{a, b}};
    vst1q_u8_x2(p, pair);
  }
  static Register Zero() { return vdupq_n_u8(0); }
  static Register Not(Register a) { return vmvnq_u8(a); }
  static Register Xor(Register a, Register b) { return veorq_u8(a, b); }
  static Register And(Register a, Register b) { return vandq_u8(a, b); }
  static Register Or(Register a, Register b) { return vorrq_u8(a, b); }
  // BIT, which overwrites `b`: see Carry for why it is written out.
  static Register Select(Register selector, Register a, Register b) {
    asm("bit %0.16b, %1.16b, %2.16b" : "+w"(b) : "w"(a), "w"(selector));
    return b;
  }
  // The carry of a + b + c, for differ = a ^ b. Compilers that see the selection and where
  // `differ` comes from turn it into four simple operations.
  static Register Carry(Register differ, Register a, Register c) {
    asm("bsl %0.16b, %1.16b, %2.16b" : "+w"(differ) : "w"(c), "w"(a));
    return differ;
  }
  // Three instructions: EOR, EOR, BIT. Unlike BSL, BIT overwrites what is not needed any more.
  static Register FullAdd(Register a, Register b, Register c, Register* carry) {
    const Register differ = veorq_u8(a, b);
    asm("bit %0.16b, %1.16b, %2.16b" : "+w"(a) : "w"(c), "w"(differ));
    *carry = a;
    return veorq_u8(differ, c);
  }
  static Register SplatByte(uint8_t byte) { return vdupq_n_u8(byte); }
  template <int n>
  static Register ShiftLeft(Register a) {
    return vshlq_n_u8(a, n);
  }
  template <int n>
  static Register ShiftRight(Register a) {
    return vshrq_n_u8(a, n);
  }
  static Register LoadShifted(const uint8_t* p, int shift) {
    // To the left; loading them is faster than copying a general register.
    alignas(16) static constexpr int8_t kShifts[] = {
#define SPARSEBNN_16(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
        SPARSEBNN_16(0),  SPARSEBNN_16(-1), SPARSEBNN_16(-2),
        SPARSEBNN_16(-3), SPARSEBNN_16(-4), SPARSEBNN_16(-5),
        SPARSEBNN_16(-6), SPARSEBNN_16(-7), SPARSEBNN_16(8),
        SPARSEBNN_16(7),  SPARSEBNN_16(6),  SPARSEBNN_16(5),
        SPARSEBNN_16(4),  SPARSEBNN_16(3),  SPARSEBNN_16(2),
        SPARSEBNN_16(1)
#undef SPARSEBNN_16
    };
    const int8_t* right = kShifts + 16 * shift;
    return vorrq_u8(vshlq_u8(vld1q_u8(p), vld1q_s8(right)),
                    vshlq_u8(vld1q_u8(p + 1), vld1q_s8(right + 128)));
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_NEON_H_
