#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "x86_features.h"

namespace sparsebnn {
namespace {

constexpr const char* kNames[] = {"scalar", "avx2", "avx512", "neon"};

}  // namespace

const char* IsaName(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool ParseIsa(const char* name, Isa* isa) {
  for (int i = 0; i < 4; ++i) {
    if (std::strcmp(name, kNames[i]) == 0) {
      *isa = static_cast<Isa>(i);
      return true;
    }
  }
  return false;
}

bool IsaAvailable(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(__x86_64__)
    case Isa::kAvx2:
      return DetectX86Features().avx2;
    case Isa::kAvx512:
      return DetectX86Features().avx512;
#elif defined(__aarch64__)
    case Isa::kNeon:
      return true;
#endif
    default:
      return false;
  }
}

Isa BestIsa() {
  Isa isa;
  const char* pinned = std::getenv("SPARSEBNN_ISA");
  if (pinned != nullptr && ParseIsa(pinned, &isa) && IsaAvailable(isa)) return isa;
  for (int i = 3; i > 0; --i) {
    if (IsaAvailable(static_cast<Isa>(i))) return static_cast<Isa>(i);
  }
  return Isa::kScalar;
}

}  // namespace sparsebnn
