// Instruction sets: what the kernels are compiled for and what this machine has.
#ifndef SPARSEBNN_KERNELS_CPU_ISA_H_
#define SPARSEBNN_KERNELS_CPU_ISA_H_

namespace sparsebnn {

// In order of preference, the best last.
enum class Isa { kScalar, kAvx2, kAvx512, kNeon };

// "scalar", "avx2", "avx512", "neon".
const char* IsaName(Isa isa);

// False for any other name.
bool ParseIsa(const char* name, Isa* isa);

// Whether this build has kernels for `isa` and this processor runs them.
bool IsaAvailable(Isa isa);

// The best available one.
Isa BestIsa();

// Floats of a vector: a rough measure of how fast a processor with `isa` is.
constexpr int FloatLanes(Isa isa) {
  return isa == Isa::kAvx512 ? 16 : isa == Isa::kAvx2 ? 8 : isa == Isa::kNeon ? 4 : 1;
}

// Whether this processor has instructions, beside those of `isa`, that multiply and add up four
// bytes a lane: AVX-512 VNNI, and AArch64's dotprod.
bool HasDotProducts(Isa isa);

// How much an instruction costs differs between cores of one instruction set, and with it which
// kernel is best. AArch64 cores by their pipelines:
enum class Core {
  kOutOfOrder,  // Cortex-A76, Neoverse N1 and later: two or more 128-bit operations a cycle
  kCortexA72,   // and A57, A73: out of order, but stores and selections of 128 bits are slow
  kInOrder,     // Cortex-A35, A53, A55, A510: one 128-bit operation a cycle
};
constexpr int kCores = 3;

// The core that this thread runs on, or the one that the environment variable SPARSEBNN_CORE
// names: "out-of-order", "cortex-a72" or "in-order". kOutOfOrder if that cannot be told, and on
// x86.
Core ThisCore();

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CPU_ISA_H_
