// The delegate's parts that no other test reaches one by one: the reader of options, the arena,
// the filters' readers, and entry points, on a runtime in miniature.
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/quantize/quantize.h"
#include "sparsebnn_delegate.h"
#include "testing/expect.h"
#include "testing/fake_runtime.h"
#include "testing/flexbuffer_writer.h"
#include "testing/fuzz_model.h"
#include "testing/thread.h"
#include "tflite/arena.h"
#include "tflite/binary_filter.h"
#include "tflite/flexbuffer.h"

namespace sparsebnn {
namespace {

// ---- Options ----

void FlexBufferValuesOfEveryWidth() {
  for (const int width : {1, 2, 4, 8}) {
    const int64_t greatest = static_cast<int64_t>(~uint64_t{0} >> (65 - 8 * width));
    const std::vector<uint8_t> bytes =
        WriteFlexBufferMap({{"", 1}, {"a", -1}, {"ab", greatest}, {"b", -greatest - 1}}, width);
    FlexBufferMap map;
    EXPECT(map.Parse(bytes.data(), bytes.size()));
    EXPECT(map.size() == 4);
    int64_t value = 0;
    EXPECT(map.Find("", &value) == FlexBufferMap::Result::kFound && value == 1);
    EXPECT(map.Find("a", &value) == FlexBufferMap::Result::kFound && value == -1);
    EXPECT(map.Find("ab", &value) == FlexBufferMap::Result::kFound && value == greatest);
    EXPECT(map.Find("b", &value) == FlexBufferMap::Result::kFound && value == -greatest - 1);
    EXPECT(map.Find("abc", &value) == FlexBufferMap::Result::kMissing);
  }
}

void FlexBufferTypes() {
  // {"k": v} with every one-byte type in turn; the value's byte is 200.
  for (int type = 0; type < 64; ++type) {
    const uint8_t bytes[] = {'k', 0,      1, 3, 1, 1, 1, 200, static_cast<uint8_t>(type << 2),
                             2,   9 << 2, 1};
    FlexBufferMap map;
    EXPECT(map.Parse(bytes, sizeof(bytes)));
    int64_t value = 0;
    const FlexBufferMap::Result result = map.Find("k", &value);
    const bool is_integer = type == 1 || type == 2 || type == 26;
    EXPECT((result == FlexBufferMap::Result::kFound) == is_integer);
    if (type == 0) EXPECT(result == FlexBufferMap::Result::kMissing);
    if (type == 1) EXPECT(value == 200 - 256);
    if (type == 2) EXPECT(value == 200);
    if (type == 26) EXPECT(value == 1);
  }
}

void FlexBufferIndirectIntegers() {
  // {"k": v} with v stored four bytes wide, eight bytes before the value's place.
  for (const bool is_signed : {true, false}) {
    const uint8_t type = static_cast<uint8_t>((is_signed ? 6 : 7) << 2 | 2);
    const uint8_t bytes[] = {0xfe, 0xff, 0xff, 0xff, 'k', 0, 1, 3, 1, 1, 1, 11, type, 2, 36, 1};
    FlexBufferMap map;
    EXPECT(map.Parse(bytes, sizeof(bytes)));
    int64_t value = 0;
    EXPECT(map.Find("k", &value) == FlexBufferMap::Result::kFound);
    EXPECT(value == (is_signed ? int64_t{-2} : int64_t{0xfffffffe}));
  }
}

void FlexBuffersCutAndChangedAnywhere() {
  const std::vector<uint8_t> good =
      WriteFlexBufferMap({{"channels_in", 64}, {"padding", 1}, {"stride_height", 2}});
  FlexBufferMap map;
  int64_t value;
  for (size_t size = 0; size < good.size(); ++size) {
    const std::vector<uint8_t> cut(good.begin(), good.begin() + size);
    if (map.Parse(cut.data(), cut.size())) map.Find("padding", &value);
  }
  for (size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::vector<uint8_t> changed = good;
      changed[at] = static_cast<uint8_t>(byte);
      if (map.Parse(changed.data(), changed.size())) map.Find("padding", &value);
    }
  }
  EXPECT(map.Parse(good.data(), good.size()));
  EXPECT(map.Find("padding", &value) == FlexBufferMap::Result::kFound && value == 1);
}

// ---- Memory ----

void ArenaTensorsDoNotOverlap() {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaTensor> tensors(1 + random() % 30);
    size_t sum = 0;
    for (ArenaTensor& tensor : tensors) {
      tensor.bytes = 1 + random() % 1000;
      tensor.first_op = static_cast<int>(random() % 20);
      tensor.last_op = tensor.first_op + static_cast<int>(random() % 4);
      sum += tensor.bytes + kArenaAlignment;
    }
    const size_t total = PlanArena(&tensors);
    EXPECT(total <= sum);
    for (const ArenaTensor& a : tensors) {
      EXPECT(a.offset % kArenaAlignment == 0 && a.offset + a.bytes <= total);
      for (const ArenaTensor& b : tensors) {
        if (&a == &b || a.last_op < b.first_op || b.last_op < a.first_op) continue;
        EXPECT(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
  }
}

void AChainOfTensorsTakesTwo() {
  std::vector<ArenaTensor> chain(10);
  for (size_t i = 0; i < chain.size(); ++i) {
    chain[i].bytes = 64;
    chain[i].first_op = static_cast<int>(i);
    chain[i].last_op = static_cast<int>(i) + 1;
  }
  EXPECT(PlanArena(&chain) == 128);
}

// ---- Filters ----

void CodebookFilterEqualsItsDefinition() {
  std::mt19937 random(2);
  for (int index_bits = 1; index_bits <= 9; ++index_bits) {
    const int channels_in = 1 + static_cast<int>(random() % 70), channels_out = 5;
    std::vector<uint16_t> codebook(size_t{1} << index_bits);
    for (uint16_t& codeword : codebook) codeword = random() % 512;
    std::vector<uint8_t> stream((channels_in * channels_out * index_bits + 7) / 8);
    for (uint8_t& byte : stream) byte = static_cast<uint8_t>(random());
    const CodebookFilter filter(stream.data(), index_bits, codebook, channels_out, channels_in);
    EXPECT(filter.FirstBadIndex() == -1);
    const int group_words = WordsFor(channels_in);
    std::vector<uint32_t> words(9 * group_words, ~0u);
    for (int o = 0; o < channels_out; ++o) {
      filter.ReadChannel(o, words.data());
      for (int c = 0; c < group_words * 32; ++c) {
        unsigned codeword = 0;
        for (int i = 0; c < channels_in && i < index_bits; ++i) {
          const int bit = (o * channels_in + c) * index_bits + i;
          codeword |= (stream[bit / 8] >> bit % 8 & 1u) << i;
        }
        codeword = c < channels_in ? codebook[codeword] : 0;
        for (int tap = 0; tap < 9; ++tap) {
          EXPECT((words[tap * group_words + c / 32] >> c % 32 & 1u) == (codeword >> tap & 1u));
        }
      }
    }
  }
}

void IndicesOutsideOfTheCodebookAreFound() {
  const uint8_t stream[] = {0b00000110};  // 2, 1, 0, 0
  EXPECT(CodebookFilter(stream, 2, {7, 8}, 2, 2).FirstBadIndex() == 0);
  EXPECT(CodebookFilter(stream, 2, {7, 8, 9}, 2, 2).FirstBadIndex() == -1);
  EXPECT(CodebookFilter(stream, 1, {7}, 2, 2).FirstBadIndex() == 1);
}

void StrayFilterBitsAreFound() {
  // One byte off, as a damaged file may have it.
  std::vector<uint8_t> bytes(1 + 2 * 2 * 2 * 4, 0);
  const BitFilter filter(bytes.data() + 1, 2, 2, 2);
  for (int bit = 0; bit < 2 * 2 * 64; ++bit) {
    bytes[1 + bit / 8] = static_cast<uint8_t>(1 << bit % 8);
    for (int channels = 33; channels <= 64; ++channels) {
      EXPECT(filter.HasBitsBeyond(channels) == (bit % 64 >= channels));
    }
    uint32_t words[4] = {};
    filter.ReadChannel(bit / 128, words);
    EXPECT(words[bit % 128 / 32] == uint32_t{1} << bit % 32);
    bytes[1 + bit / 8] = 0;
  }
}

// ---- Values and bits ----

void EveryQuantizeKernelEqualsItsDefinition() {
  std::mt19937 random(3);
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!IsaAvailable(isa)) continue;
    const QuantizeKernels& kernels = QuantizeKernelsFor(isa);
    for (int channels = 1; channels <= 100; ++channels) {
      const size_t count = 3 * static_cast<size_t>(channels);
      std::vector<float> floats(count);
      std::vector<int8_t> int8s(count);
      std::vector<uint8_t> bools(count);
      for (size_t i = 0; i < count; ++i) {
        const uint32_t bits = random();
        std::memcpy(&floats[i], &bits, sizeof(bits));  // any float at all
        if (random() % 4 == 0) floats[i] = random() % 2 ? -0.0f : -1e-40f;
        int8s[i] = static_cast<int8_t>(random());
        bools[i] = static_cast<uint8_t>(random() % 3);
      }
      const size_t words = 3 * ((static_cast<size_t>(channels) + 31) / 32);
      std::vector<uint32_t> f(words, 5), i8(words, 5), b(words, 5), f_is(words), i8_is(words),
          b_is(words);
      const int8_t zero_point = static_cast<int8_t>(random());
      for (size_t i = 0; i < count; ++i) {
        const size_t word = i / channels * (words / 3) + i % channels / 32;
        const int bit = static_cast<int>(i % channels % 32);
        f_is[word] |= static_cast<uint32_t>(floats[i] <= kGreatestNegative) << bit;
        i8_is[word] |= static_cast<uint32_t>(int8s[i] < zero_point) << bit;
        b_is[word] |= static_cast<uint32_t>(bools[i] == 0) << bit;
      }
      kernels.float32(floats.data(), 3, channels, f.data());
      kernels.int8(int8s.data(), zero_point, 3, channels, i8.data());
      kernels.boolean(bools.data(), 3, channels, b.data());
      EXPECT(f == f_is && i8 == i8_is && b == b_is);
    }
  }
}

// ---- The C interface ----

void OptionsAsAStruct() {
  sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(&options);
  EXPECT(delegate != nullptr);
  sparsebnn_delegate_destroy(delegate);
  delegate = sparsebnn_delegate_create(nullptr);
  EXPECT(delegate != nullptr);
  EXPECT(std::strstr(sparsebnn_delegate_profile_json(delegate), "\"partitions\": []") !=
         nullptr);
  sparsebnn_delegate_destroy(delegate);
  sparsebnn_delegate_destroy(nullptr);
  EXPECT(sparsebnn_delegate_profile_json(nullptr) == nullptr);
  options.num_threads = -3;
  EXPECT(sparsebnn_delegate_create(&options) == nullptr);
  options = sparsebnn_delegate_options_default();
  options.kernel = "fast";
  EXPECT(sparsebnn_delegate_create(&options) == nullptr);
  options.kernel = nullptr;
  EXPECT(sparsebnn_delegate_create(&options) == nullptr);
  EXPECT(std::strlen(sparsebnn_delegate_version()) >= 5);
}

// LceQuantize alone, whose interpreter outlives the delegate.
void APartitionOutlivesTheDelegate() {
  FakeRuntime runtime;
  const int x = runtime.AddTensor(kTfLiteFloat32, {2, 33});
  const int y = runtime.AddTensor(kTfLiteInt32, {2, 2});
  runtime.AddNode("LceQuantize", {x}, {y}, {});
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(nullptr);
  EXPECT(runtime.ApplyDelegate(delegate, {x}, {y}));
  EXPECT(runtime.AllocateTensors());
  static_cast<float*>(runtime.tensor(x)->data)[65] = -1;
  EXPECT(runtime.Invoke());
  EXPECT(static_cast<uint32_t*>(runtime.tensor(y)->data)[3] == 1);
  sparsebnn_delegate_destroy(delegate);
  EXPECT(runtime.Invoke());
  runtime.FreePartition();
}

// For the thread sanitizer; that results are right is compared elsewhere.
void InterpretersInThreadsShareADelegate() {
  sparsebnn_delegate_options options = sparsebnn_delegate_options_default();
  options.num_threads = 2;
  options.profile = 1;
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(&options);
  std::vector<std::unique_ptr<Thread>> threads;
  for (unsigned seed = 0; seed < 3; ++seed) {
    threads.push_back(std::make_unique<Thread>([delegate, seed] {
      std::mt19937 random(seed);
      for (int model = 0; model < 30; ++model) {
        std::vector<uint8_t> data(200);
        for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
        FuzzBytes bytes(data.data(), data.size());
        FuzzModel(&bytes).Run(delegate);
      }
    }));
  }
  threads.clear();
  EXPECT(std::strstr(sparsebnn_delegate_profile_json(delegate), "\"partitions\": []") !=
         nullptr);
  sparsebnn_delegate_destroy(delegate);
}

// The delegate takes the graph's only node and refuses it, in these words.
void ExpectRefused(FakeRuntime* runtime, int input, int output, const char* message) {
  runtime->AddNode("LceQuantize", {input}, {output}, {});
  ::TfLiteDelegate* delegate = sparsebnn_delegate_create(nullptr);
  EXPECT(runtime->ApplyDelegate(delegate, {input}, {output}));
  EXPECT(!runtime->AllocateTensors());
  EXPECT(runtime->errors().find(message) != std::string::npos);
  EXPECT(!runtime->Invoke());
  runtime->FreePartition();
  sparsebnn_delegate_destroy(delegate);
}

void AConstantIsNotWritten() {
  FakeRuntime runtime;
  const int x = runtime.AddTensor(kTfLiteFloat32, {1, 32});
  const int y = runtime.AddConstant(kTfLiteInt32, {1, 1}, {0, 0, 0, 0});
  ExpectRefused(&runtime, x, y, "neither the input nor a constant");
}

// Where shapes come in Invoke, Prepare lets go of the outputs' memory: not of what others read.
void KeepsWhatOthersRead(bool variable) {
  FakeRuntime runtime;
  const int input = runtime.AddTensor(kTfLiteFloat32, {1, 4, 4, 32});
  const std::vector<uint8_t> bytes(64, 7);
  const int output = variable ? runtime.AddTensor(kTfLiteInt32, {1, 4, 4, 1})
                              : runtime.AddConstant(kTfLiteInt32, {1, 4, 4, 1}, bytes);
  runtime.tensor(input)->allocation_type = kTfLiteDynamic;
  runtime.tensor(output)->is_variable = variable;
  const void* const before = runtime.tensor(output)->data;
  ExpectRefused(&runtime, input, output, "Expected an output that is no constant");
  EXPECT(runtime.tensor(output)->data == before);
}

}  // namespace
}  // namespace sparsebnn

int main() {
  using namespace sparsebnn;
  FlexBufferValuesOfEveryWidth();
  FlexBufferTypes();
  FlexBufferIndirectIntegers();
  FlexBuffersCutAndChangedAnywhere();
  ArenaTensorsDoNotOverlap();
  AChainOfTensorsTakesTwo();
  CodebookFilterEqualsItsDefinition();
  IndicesOutsideOfTheCodebookAreFound();
  StrayFilterBitsAreFound();
  EveryQuantizeKernelEqualsItsDefinition();
  OptionsAsAStruct();
  APartitionOutlivesTheDelegate();
  AConstantIsNotWritten();
  KeepsWhatOthersRead(false);
  KeepsWhatOthersRead(true);
  InterpretersInThreadsShareADelegate();
  return Outcome();
}
