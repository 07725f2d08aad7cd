// 64 bits in a general register.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_SCALAR_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_SCALAR_H_

#include <cstdint>
#include <cstring>

namespace sparsebnn {

struct BitVectorScalar {
  using Register = uint64_t;
  static constexpr int kBits = 64;

  static Register Load(const uint8_t* p) {
    Register v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  // The two halves, each from half as many bytes.
  static Register LoadHalves(const uint8_t* low, const uint8_t* high) {
    uint32_t halves[2];
    std::memcpy(&halves[0], low, sizeof halves[0]);
    std::memcpy(&halves[1], high, sizeof halves[1]);
    return halves[0] | static_cast<Register>(halves[1]) << 32;
  }
  static void Store(uint8_t* p, Register v) { std::memcpy(p, &v, sizeof v); }
  static void StorePair(uint8_t* p, Register a, Register b) {
    Store(p, a);
    Store(p + kBits / 8, b);
  }
  static Register Zero() { return 0; }
  static Register Not(Register a) { return ~a; }
  static Register Xor(Register a, Register b) { return a ^ b; }
  static Register And(Register a, Register b) { return a & b; }
  static Register Or(Register a, Register b) { return a | b; }
  // selector ? a : b, bit by bit.
  static Register Select(Register selector, Register a, Register b) {
    return b ^ (selector & (a ^ b));
  }
  // The carry of a + b + c, for differ = a ^ b.
  static Register Carry(Register differ, Register a, Register c) {
    return Select(differ, c, a);
  }
  // Returns the sum bit of a + b + c.
  static Register FullAdd(Register a, Register b, Register c, Register* carry) {
    const Register differ = a ^ b;
    *carry = Carry(differ, a, c);
    return differ ^ c;
  }
  static Register SplatByte(uint8_t byte) { return 0x0101010101010101u * byte; }
  template <int n>
  static Register ShiftLeft(Register a) {
    return a << n;
  }
  template <int n>
  static Register ShiftRight(Register a) {
    return a >> n;
  }
  // kBits bits from bit `shift` of p on, shift < 8. Reads one byte past them.
  static Register LoadShifted(const uint8_t* p, int shift) {
    return Load(p) >> shift | Load(p + 1) << (8 - shift);
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BIT_VECTOR_SCALAR_H_
