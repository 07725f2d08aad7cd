#include "pointwise.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel_blocks.h"

namespace sparsebnn {
namespace {

constexpr size_t kBlockFloats = 1 << 15;  // of inputs and outputs, about
constexpr size_t kMinBlockPixels = 56;    // each block reads all weights once
// A tile may read as many pixels beyond the last of a block.
constexpr size_t kBeyond = kMaxStemPixels - 1;

size_t RoundUp(size_t value, size_t to) { return (value + to - 1) / to * to; }

}  // namespace

Pointwise::Pointwise(int channels_in, int channels_out, const float* filter, const float* bias,
                     float minimum, float maximum, Isa isa)
    : channels_in_(channels_in),
      channels_out_(channels_out),
      tile_(StemTileFor(isa, channels_out)),
      minimum_(minimum),
      maximum_(maximum),
      weights_(PackStemWeights(channels_out, channels_in, tile_.lanes, filter, bias)) {}

bool Pointwise::Run(const float* input, size_t pixels, float* output, const Epilogue* epilogue,
                    Workspace* workspace, ThreadPool* threads) const {
  return RunBlocks(input, nullptr, pixels, output, epilogue, workspace, threads);
}

bool Pointwise::RunAveraged(const float* map, const AveragePool& pool, const Epilogue& epilogue,
                            Workspace* workspace, ThreadPool* threads) const {
  return RunBlocks(map, &pool, pool.pixels(), nullptr, &epilogue, workspace, threads);
}

// Whole tiles; less for each thread the more threads there are.
size_t Pointwise::BlockPixels(size_t pixels, size_t workers) const {
  const size_t floats = static_cast<size_t>(channels_in_) + static_cast<size_t>(channels_out_);
  const size_t parts = PartsFor(workers);
  return RoundUp(
      std::min(std::max(kBlockFloats / floats, kMinBlockPixels), (pixels + parts - 1) / parts),
      static_cast<size_t>(tile_.pixels));
}

bool Pointwise::RunBlocks(const float* input, const AveragePool* pool, size_t pixels,
                          float* output, const Epilogue* epilogue, Workspace* workspace,
                          ThreadPool* threads) const {
  const size_t in = static_cast<size_t>(channels_in_), out = static_cast<size_t>(channels_out_);
  const double products = static_cast<double>(pixels) * channels_in_ * channels_out_;
  const size_t workers =
      static_cast<size_t>(threads->ThreadsFor(products / tile_.products_per_microsecond()));
  const size_t block = BlockPixels(pixels, workers);
  const size_t inputs = (block + kBeyond) * in;
  const auto run = [&](size_t first, size_t count, float* scratch) {
    const float* from = input + first * in;
    if (pool != nullptr || first + count + kBeyond > pixels) {
      if (pool != nullptr) {
        pool->Run(input, first, count, scratch);
      } else {
        std::memcpy(scratch, from, count * in * sizeof(float));
      }
      // What was there could be denormal numbers, which are slow.
      std::memset(scratch + count * in, 0, kBeyond * in * sizeof(float));
      from = scratch;
    }
    float* const to = output != nullptr ? output + first * out : scratch + inputs;
    const int rows = static_cast<int>(count);
    tile_.run(
        {&from, 1, in, in, weights_.data(), minimum_, maximum_, to, rows, channels_out_, 1});
    if (output == nullptr) epilogue->Run({to, out, first, rows, 0, channels_out_});
  };
  const size_t scratch_floats = inputs + (output == nullptr ? block * out : 0);
  return ParallelBlocks(pixels, block, workers, scratch_floats, workspace, threads, run);
}

}  // namespace sparsebnn
