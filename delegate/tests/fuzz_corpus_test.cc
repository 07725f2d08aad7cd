// Runs the fuzzers' corpus through the same code, with any compiler and any sanitizer. The
// inputs that once failed are among it, under names.
#include <dirent.h>

#include <cstdio>
#include <string>
#include <vector>

#include "testing/delegate_model.h"
#include "testing/flexbuffer_lookup.h"

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

int main() {
  const std::string source = __FILE__;
  const std::string corpus =
      source.substr(0, source.rfind("tests/fuzz_corpus_test.cc")) + "fuzz/corpus/";
  const int models = sparsebnn::RunFolder(corpus + "fuzz_delegate", sparsebnn::RunFuzzBytes);
  const int options =
      sparsebnn::RunFolder(corpus + "fuzz_flexbuffer", sparsebnn::LookUpAllOptions);
  std::printf("%d models, %d options\n", models, options);
  if (models >= 100 && options >= 20) return 0;
  std::fprintf(stderr, "Expected the corpus in %s, got too few files.\n", corpus.c_str());
  return 1;
}
