// Runs the fuzzers' inputs through the same code, with any compiler and any sanitizer.
//
//   fuzz_corpus_test FOLDER ...      each with a folder for each fuzzer
// Before all includes: on 32-bit machines readdir() else fails where a folder's positions have 64 bits.
#define _FILE_OFFSET_BITS 64

#include <dirent.h>

#include <cstdio>
#include <string>
#include <vector>

#include "testing/flexbuffer_lookup.h"
#include "testing/fuzz_model.h"

namespace sparsebnn {
namespace {

std::vector<uint8_t> ReadFile(const std::string& path) {
  std::vector<uint8_t> bytes;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return bytes;
  for (int c; (c = std::fgetc(file)) != EOF;) bytes.push_back(static_cast<uint8_t>(c));
  std::fclose(file);
  return bytes;
}

// The number of files that were run.
template <typename Run>
int RunFolder(const std::string& folder, const Run& run) {
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return 0;
  int files = 0;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    const std::vector<uint8_t> bytes = ReadFile(folder + "/" + entry->d_name);
    run(bytes.data(), bytes.size());
    ++files;
  }
  closedir(entries);
  return files;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  int models = 0, options = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string folder = argv[i];
    models += sparsebnn::RunFolder(folder + "/fuzz_delegate", sparsebnn::RunFuzzBytes);
    options += sparsebnn::RunFolder(folder + "/fuzz_flexbuffer", sparsebnn::LookUpAllOptions);
  }
  std::printf("%d models, %d options\n", models, options);
  if (models >= 100 && options >= 20) return 0;
  std::fprintf(stderr, "Expected folders of inputs as arguments, got too few files.\n");
  return 1;
}
