// What this x86-64 processor and its operating system offer, by CPUID and XGETBV.
// __builtin_cpu_supports would need compiler-rt's __cpu_model, which zig leaves out.
#ifndef SPARSEBNN_KERNELS_CPU_X86_FEATURES_H_
#define SPARSEBNN_KERNELS_CPU_X86_FEATURES_H_

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>

namespace sparsebnn {

struct X86Features {
  bool avx2 = false;    // AVX2, BMI2, FMA, POPCNT
  bool avx512 = false;  // F, BW, VL, DQ, VPOPCNTDQ, and those of avx2
  bool vnni = false;    // avx512, and its dot products of bytes
};

inline X86Features DetectX86Features() {
  X86Features features;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool fma = c >> 12 & 1, popcnt = c >> 23 & 1, osxsave = c >> 27 & 1;
  if (!fma || !popcnt || !osxsave) return features;
  uint32_t saved, saved_high;  // register state that the system saves
  __asm__("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  const bool avx2 = b >> 5 & 1, bmi2 = b >> 8 & 1;
  features.avx2 = avx2 && bmi2 && (saved & 0x06) == 0x06;  // XMM, YMM
  const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
  const bool vpopcntdq = c >> 14 & 1;
  features.avx512 = features.avx2 && f && dq && bw && vl && vpopcntdq &&
                    (saved & 0xe6) == 0xe6;  // and opmask, ZMM
  features.vnni = features.avx512 && (c >> 11 & 1);
  return features;
}

}  // namespace sparsebnn
#endif

#endif  // SPARSEBNN_KERNELS_CPU_X86_FEATURES_H_
