#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "x86_features.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace sparsebnn {
namespace {

constexpr const char* kNames[] = {"scalar", "avx2", "avx512", "neon"};
constexpr const char* kCoreNames[kCores] = {"out-of-order", "cortex-a72", "in-order"};

// The part number in the main ID register, which Linux lets programs read, or 0.
unsigned ArmPart() {
#if defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapCpuid = 1 << 11;
  if (getauxval(AT_HWCAP) & kHwcapCpuid) {
    unsigned long midr;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    constexpr unsigned kArmLimited = 0x41;
    if (midr >> 24 == kArmLimited) return midr >> 4 & 0xFFF;
  }
#endif
  return 0;
}

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
  for (int i = 3; i > 0; --i) {
    if (IsaAvailable(static_cast<Isa>(i))) return static_cast<Isa>(i);
  }
  return Isa::kScalar;
}

bool HasDotProducts(Isa isa) {
#if defined(__x86_64__)
  return isa == Isa::kAvx512 && DetectX86Features().vnni;
#elif defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapAsimdDp = 1 << 20;
  return isa == Isa::kNeon && (getauxval(AT_HWCAP) & kHwcapAsimdDp);
#elif defined(__aarch64__) && defined(__APPLE__)
  return isa == Isa::kNeon;  // every Mac has them
#else
  static_cast<void>(isa);
  return false;
#endif
}

Core ThisCore() {
  if (const char* pinned = std::getenv("SPARSEBNN_CORE")) {
    for (int i = 0; i < kCores; ++i) {
      if (std::strcmp(pinned, kCoreNames[i]) == 0) return static_cast<Core>(i);
    }
  }
  switch (ArmPart()) {
    case 0xD03:  // Cortex-A53
    case 0xD04:  // A35
    case 0xD05:  // A55
    case 0xD46:  // A510
    case 0xD80:  // A520
      return Core::kInOrder;
    case 0xD07:  // A57
    case 0xD08:  // A72
    case 0xD09:  // A73
      return Core::kCortexA72;
    default:
      return Core::kOutOfOrder;
  }
}

}  // namespace sparsebnn
