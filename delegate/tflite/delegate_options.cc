#include "delegate_options.h"

#include <cstdlib>
#include <cstring>

namespace sparsebnn {
namespace {

constexpr const char* kKernelNames[] = {"auto", "reference", "xnor", "codebook"};
static_assert(static_cast<int>(KernelKind::kCodebook) == 3, "kKernelNames is in this order");

// The text comes from outside and may be long; a message is one line of a bounded length.
std::string Quoted(const char* text) {
  std::string quoted = "'";
  for (int i = 0; text[i] != '\0'; ++i) {
    if (i == 60) return quoted + "...'";
    const bool printable = text[i] >= ' ' && text[i] <= '~';
    quoted += printable ? text[i] : '?';
  }
  return quoted + "'";
}

bool ParseBool(const char* value, bool* flag) {
  if ((value[0] != '0' && value[0] != '1') || value[1] != '\0') return false;
  *flag = value[0] == '1';
  return true;
}

bool ParseThreads(const char* value, int* threads) {
  *threads = 0;
  for (int i = 0; value[i] != '\0'; ++i) {
    if (value[i] < '0' || value[i] > '9' || i == 3) return false;
    *threads = *threads * 10 + (value[i] - '0');
  }
  return *threads >= 1 && *threads <= DelegateOptions::kMaxThreads;
}

bool ParseKernel(const char* value, KernelKind* kernel) {
  for (int i = 0; i < 4; ++i) {
    if (std::strcmp(value, kKernelNames[i]) == 0) {
      *kernel = static_cast<KernelKind>(i);
      return true;
    }
  }
  return false;
}

bool IsUsable(const char* who, Isa isa, std::string* error) {
  if (IsaAvailable(isa)) return true;
  *error = std::string("Expected ") + who + " to be an instruction set of this machine, got '" +
           IsaName(isa) + "'. Use auto";
  return false;
}

}  // namespace

bool DelegateOptions::Set(const char* key, const char* value, std::string* error) {
  if (key == nullptr || value == nullptr) {
    *error = "Expected options as pairs of strings, got a null pointer";
    return false;
  }
  const char* range = nullptr;
  bool valid = false;
  if (std::strcmp(key, "num_threads") == 0) {
    range = "1..256";
    valid = ParseThreads(value, &num_threads);
  } else if (std::strcmp(key, "kernel") == 0) {
    range = "auto, xnor, codebook or reference";
    valid = ParseKernel(value, &kernel);
  } else if (std::strcmp(key, "isa") == 0) {
    range = "auto, scalar, avx2, avx512 or neon";
    isa_is_pinned = std::strcmp(value, "auto") != 0;
    valid = !isa_is_pinned || ParseIsa(value, &isa);
  } else if (bool* flag = FindFlag(key)) {
    range = "0 or 1";
    valid = ParseBool(value, flag);
  } else {
    *error = "Expected option num_threads, kernel, isa, glue, stem, profile or verbose, got " +
             Quoted(key);
    return false;
  }
  if (!valid) {
    *error =
        std::string("Expected option ") + key + " to be " + range + ", got " + Quoted(value);
  }
  return valid;
}

bool* DelegateOptions::FindFlag(const char* key) {
  if (std::strcmp(key, "glue") == 0) return &glue;
  if (std::strcmp(key, "stem") == 0) return &stem;
  if (std::strcmp(key, "profile") == 0) return &profile;
  if (std::strcmp(key, "verbose") == 0) return &verbose;
  return nullptr;
}

bool DelegateOptions::Resolve(std::string* error) {
  if (isa_is_pinned) return IsUsable("option isa", isa, error);
  const char* pinned = std::getenv("SPARSEBNN_ISA");
  if (pinned != nullptr && *pinned != '\0' && std::strcmp(pinned, "auto") != 0) {
    if (!ParseIsa(pinned, &isa)) {
      *error = "Expected SPARSEBNN_ISA to be auto, scalar, avx2, avx512 or neon, got " +
               Quoted(pinned);
      return false;
    }
    return IsUsable("SPARSEBNN_ISA", isa, error);
  }
  isa = BestIsa();
  return true;
}

}  // namespace sparsebnn
