// Instruction sets: what the kernels are compiled for and what this machine has.
#ifndef SPARSEBNN_KERNELS_ISA_H_
#define SPARSEBNN_KERNELS_ISA_H_

namespace sparsebnn {

// In order of preference, the best last.
enum class Isa { kScalar, kAvx2, kAvx512, kNeon };

// "scalar", "avx2", "avx512", "neon".
const char* IsaName(Isa isa);

// False for a name that is none of the above.
bool ParseIsa(const char* name, Isa* isa);

// Whether this build has kernels for `isa` and this processor runs them.
bool IsaAvailable(Isa isa);

// The best available one, or the one that the environment variable SPARSEBNN_ISA names if that
// is available.
Isa BestIsa();

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_ISA_H_
