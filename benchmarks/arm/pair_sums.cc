// A binary 3x3 convolution by sums of bytes, for counting: what few codewords could save on NEON.
//
//   pair_sums CHANNELS_IN CHANNELS_OUT CODEWORDS HEIGHT WIDTH GROUP VECTORS ENTRIES [check]
//
//   popcount[o] = sum_g table[g][pattern of o in g]      g: GROUP = 1 or 2 input channels
//
// A register is 16 pixels, a byte each. For a block of 16 VECTORS pixels and a chunk of groups:
//   bytes:    the bits of a channel, as 0 and 1
//   rows:     the 8 sign patterns of 3 taps in a row                        for a channel
//   singles:  a codeword is three of those                                  for a channel
//   table:    GROUP = 2: the sum of two singles, once for every pair that occurs
//   gather:   for each output channel, add its entry of every group, in bytes; then widen
// At last: to float, multiplier and bias, transposed to NHWC.
//
// ENTRIES: 0 for a codebook of CODEWORDS for single channels; else a pair of channels has that many
// atoms of 18 bits, and a table entry is the sum of six rows.
//
// Rows of pixels have a column of padding between them, so the edges need no masks. Stride is 1,
// padding is "same" with ones. What surrounds the op in the delegate is not here: the planes of
// bits are the input. Nothing is read beyond the planes' margins.
#include <arm_neon.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" __attribute__((noinline, used)) void KernelCostBegin() {
  asm volatile("" ::: "memory");
}
extern "C" __attribute__((noinline, used)) void KernelCostEnd() {
  asm volatile("" ::: "memory");
}

namespace {

constexpr int kLane = 16;

struct Shape {
  int channels_in, channels_out, codewords, height, width, group, atoms;
  int pitch() const { return width + 1; }
  int places() const { return height * pitch(); }
  int groups() const { return channels_in / group; }
  int margin() const { return (pitch() + kLane) / kLane; }  // vectors before and after a block
};

// What the tables and sums of a filter are made of.
struct Filter {
  std::vector<uint16_t> codebook;           // [codewords], 9 bits; or [atoms], 9 and 9
  std::vector<std::vector<int32_t>> lists;  // [groups]: what the entries are sums of
  std::vector<int32_t> singles;             // the rows of each codeword, [codewords, 3]
  std::vector<uint16_t> entries;            // [chunk, channels_out, groups of the chunk]
  int most_entries = 0;                     // of a group
};

// --- Kernel -----------------------------------------------------------------------------------

// 128 bits to bytes of 0 and 1.
void ExpandBits(const uint8_t* bits, int vectors, uint8_t* bytes) {
  static constexpr int8_t kShifts[16] = {0, -1, -2, -3, -4, -5, -6, -7,
                                         0, -1, -2, -3, -4, -5, -6, -7};
  const int8x16_t shifts = vld1q_s8(kShifts);
  const uint8x16_t one = vdupq_n_u8(1);
  for (int v = 0; v < vectors; ++v) {
    const uint8x16_t both =
        vcombine_u8(vld1_dup_u8(bits + 2 * v), vld1_dup_u8(bits + 2 * v + 1));
    vst1q_u8(bytes + kLane * v, vandq_u8(vshlq_u8(both, shifts), one));
  }
}

// rows[pattern][place] = x[-1] ^ p0 + x[0] ^ p1 + x[1] ^ p2.
void SumRows(const uint8_t* x, int vectors, int stride, uint8_t* rows) {
  const uint8x16_t one = vdupq_n_u8(1), three = vdupq_n_u8(3);
  for (int v = 0; v < vectors; ++v, x += kLane, rows += kLane) {
    const uint8x16_t a = vld1q_u8(x - 1), b = vld1q_u8(x), c = vld1q_u8(x + 1);
    const uint8x16_t not_c = veorq_u8(c, one);
    const uint8x16_t same = vaddq_u8(a, b), differ = vaddq_u8(veorq_u8(a, one), b);
    const uint8x16_t p0 = vaddq_u8(same, c), p1 = vaddq_u8(differ, c);
    const uint8x16_t p4 = vaddq_u8(same, not_c), p5 = vaddq_u8(differ, not_c);
    vst1q_u8(rows, p0);
    vst1q_u8(rows + stride, p1);
    vst1q_u8(rows + 2 * stride, vsubq_u8(three, p5));
    vst1q_u8(rows + 3 * stride, vsubq_u8(three, p4));
    vst1q_u8(rows + 4 * stride, p4);
    vst1q_u8(rows + 5 * stride, p5);
    vst1q_u8(rows + 6 * stride, vsubq_u8(three, p1));
    vst1q_u8(rows + 7 * stride, vsubq_u8(three, p0));
  }
}

// entry = the sum of kTerms vectors, for each entry of a list of their offsets.
template <int kVectors, int kTerms>
void SumListed(const uint8_t* base, const int32_t* offsets, int entries, uint8_t* table) {
  for (int e = 0; e < entries; ++e, offsets += kTerms, table += kVectors * kLane) {
    const uint8_t* p[kTerms];
    for (int t = 0; t < kTerms; ++t) p[t] = base + offsets[t];
    uint8x16_t sum[kVectors];  // all of it before a store, so that loads are pairs
    for (int v = 0; v < kVectors; ++v) sum[v] = vld1q_u8(p[0] + v * kLane);
    for (int t = 1; t < kTerms; ++t) {
      for (int v = 0; v < kVectors; ++v) sum[v] = vaddq_u8(sum[v], vld1q_u8(p[t] + v * kLane));
    }
    for (int v = 0; v < kVectors; ++v) vst1q_u8(table + v * kLane, sum[v]);
  }
}

// All pairs of kCodewords singles.
template <int kVectors, int kCodewords>
void SumPairs(const uint8_t* first, const uint8_t* second, uint8_t* table) {
  constexpr int kStride = kVectors * kLane;
  for (int v = 0; v < kVectors; v += 2) {
    uint8x16_t b[kCodewords][2];
    for (int j = 0; j < kCodewords; ++j) {
      b[j][0] = vld1q_u8(second + j * kStride + v * kLane);
      b[j][1] = vld1q_u8(second + j * kStride + (v + 1) * kLane);
    }
    uint8_t* entry = table + v * kLane;
#pragma GCC unroll 1
    for (int i = 0; i < kCodewords; ++i) {
      const uint8x16_t a0 = vld1q_u8(first + i * kStride + v * kLane);
      const uint8x16_t a1 = vld1q_u8(first + i * kStride + (v + 1) * kLane);
#pragma GCC unroll 8
      for (int j = 0; j < kCodewords; ++j, entry += kStride) {
        vst1q_u8(entry, vaddq_u8(a0, b[j][0]));
        vst1q_u8(entry + kLane, vaddq_u8(a1, b[j][1]));
      }
    }
  }
}

// sums[o] += the entries of a chunk. At most 255 / (9 GROUP) groups, so that bytes suffice.
template <int kVectors>
void Gather(const uint8_t* tables, const uint16_t* entries, int groups, int channels,
            uint16_t* sums) {
  for (int o = 0; o < channels; ++o) {
    uint8x16_t acc[kVectors];
    const uint8_t* p = tables + static_cast<size_t>(*entries++) * (kVectors * kLane);
    for (int v = 0; v < kVectors; ++v) acc[v] = vld1q_u8(p + v * kLane);
#pragma GCC unroll 2
    for (int g = 1; g < groups; ++g) {
      p = tables + static_cast<size_t>(*entries++) * (kVectors * kLane);
      for (int v = 0; v < kVectors; ++v) acc[v] = vaddq_u8(acc[v], vld1q_u8(p + v * kLane));
    }
    for (int v = 0; v < kVectors; ++v, sums += kLane) {
      vst1q_u16(sums, vaddw_u8(vld1q_u16(sums), vget_low_u8(acc[v])));
      vst1q_u16(sums + 8, vaddw_high_u8(vld1q_u16(sums + 8), acc[v]));
    }
  }
}

void Transpose8x8(uint16x8_t* r) {
  uint16x8_t s[8];
  for (int i = 0; i < 8; i += 2) {
    s[i] = vtrn1q_u16(r[i], r[i + 1]);
    s[i + 1] = vtrn2q_u16(r[i], r[i + 1]);
  }
  uint32x4_t t[8];
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; ++k) {
      const uint32x4_t a = vreinterpretq_u32_u16(s[i + k]);
      const uint32x4_t b = vreinterpretq_u32_u16(s[i + 2 + k]);
      t[i + k] = vtrn1q_u32(a, b);
      t[i + 2 + k] = vtrn2q_u32(a, b);
    }
  }
  for (int i = 0; i < 4; ++i) {
    const uint64x2_t a = vreinterpretq_u64_u32(t[i]), b = vreinterpretq_u64_u32(t[4 + i]);
    r[i] = vreinterpretq_u16_u64(vtrn1q_u64(a, b));
    r[4 + i] = vreinterpretq_u16_u64(vtrn2q_u64(a, b));
  }
}

// Eight channels of eight places to floats, channels last.
void Store8x8(const uint16_t* sums, int stride, const float* multiplier, const float* bias,
              const int32_t* offsets, float* output) {
  uint16x8_t r[8];
  for (int i = 0; i < 8; ++i) r[i] = vld1q_u16(sums + i * stride);
  Transpose8x8(r);
  const float32x4_t m0 = vld1q_f32(multiplier), m1 = vld1q_f32(multiplier + 4);
  const float32x4_t b0 = vld1q_f32(bias), b1 = vld1q_f32(bias + 4);
  for (int i = 0; i < 8; ++i) {
    if (offsets[i] < 0) continue;
    float* out = output + offsets[i];
    const float32x4_t low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(r[i])));
    const float32x4_t high = vcvtq_f32_u32(vmovl_high_u16(r[i]));
    vst1q_f32(out, vaddq_f32(vmulq_f32(low, m0), b0));
    vst1q_f32(out + 4, vaddq_f32(vmulq_f32(high, m1), b1));
  }
}

struct Scratch {
  std::vector<uint8_t> bytes, rows, singles, tables;
  std::vector<uint16_t> sums;
};

template <int kVectors>
void RunBlock(const Shape& s, const Filter& filter, const uint8_t* planes, int plane_bytes,
              int block, int chunk_groups, const float* multiplier, const float* bias,
              float* output, Scratch* scratch) {
  constexpr int kBlock = kVectors * kLane;
  const int margin = s.margin();
  const int row_vectors = kVectors + 2 * ((s.pitch() + kLane - 1) / kLane);
  const int row_stride = row_vectors * kLane;
  const int first_row = (row_vectors - kVectors) / 2 * kLane;  // where the block begins
  std::fill(scratch->sums.begin(), scratch->sums.end(), 0);
  const uint16_t* entries = filter.entries.data();
  for (int first = 0; first < s.groups(); first += chunk_groups) {
    const int groups = std::min(chunk_groups, s.groups() - first);
    uint8_t* table = scratch->tables.data();
    for (int g = first; g < first + groups; ++g) {
      for (int c = 0; c < s.group; ++c) {
        const uint8_t* bits = planes + static_cast<size_t>(g * s.group + c) * plane_bytes +
                              block * (kBlock / 8);  // begins `margin` vectors before the block
        uint8_t* bytes = scratch->bytes.data() + kLane;
        ExpandBits(bits, kVectors + 2 * margin, bytes);
        uint8_t* rows = scratch->rows.data() + c * 8 * row_stride;
        SumRows(bytes + margin * kLane - first_row, row_vectors, row_stride, rows);
      }
      const std::vector<int32_t>& list = filter.lists[g];
      int made = s.codewords;
      if (s.atoms != 0) {
        made = s.atoms;
        SumListed<kVectors, 6>(scratch->rows.data() + first_row, list.data(), made, table);
      } else {
        uint8_t* singles = s.group == 1 ? table : scratch->singles.data();
        uint8_t* second = singles + s.codewords * kBlock;
        SumListed<kVectors, 3>(scratch->rows.data() + first_row, filter.singles.data(),
                               s.codewords, singles);
        if (s.group == 2) {
          SumListed<kVectors, 3>(scratch->rows.data() + first_row + 8 * row_stride,
                                 filter.singles.data(), s.codewords, second);
          made *= s.codewords;
          if (s.codewords == 4) {
            SumPairs<kVectors, 4>(singles, second, table);
          } else if (s.codewords == 8) {
            SumPairs<kVectors, 8>(singles, second, table);
          } else {
            made = static_cast<int>(list.size() / 2);
            SumListed<kVectors, 2>(singles, list.data(), made, table);
          }
        }
      }
      table += made * kBlock;
    }
    Gather<kVectors>(scratch->tables.data(), entries, groups, s.channels_out,
                     scratch->sums.data());
    entries += static_cast<size_t>(groups) * s.channels_out;
  }
  int32_t offsets[kBlock];
  for (int i = 0, place = block * kBlock; i < kBlock; ++i, ++place) {
    const int y = place / s.pitch(), x = place % s.pitch();
    offsets[i] = x < s.width && y < s.height ? (y * s.width + x) * s.channels_out : -1;
  }
  for (int o = 0; o < s.channels_out; o += 8) {
    for (int i = 0; i < kBlock; i += 8) {
      Store8x8(&scratch->sums[o * kBlock + i], kBlock, multiplier + o, bias + o, offsets + i,
               output + o);
    }
  }
}

// --- Filters, and the test --------------------------------------------------------------------

struct RandomConvolution {
  Shape s;
  int vectors, chunk_groups, plane_bytes, blocks;
  Filter filter;
  std::vector<uint16_t> kernels;  // [channels_out, channels_in], 9 bits each
  std::vector<uint8_t> planes;    // [channels_in], from `margin` vectors before the first place
  std::vector<float> multiplier, bias;

  RandomConvolution(const Shape& shape, int vectors)
      : s(shape), vectors(vectors), chunk_groups(255 / (9 * shape.group)) {
    std::mt19937 random(1);
    const int block = vectors * kLane;
    blocks = (s.places() + block - 1) / block;
    plane_bytes = (blocks * block + 2 * s.margin() * kLane) / 8;
    planes.assign(static_cast<size_t>(s.channels_in) * plane_bytes, 0);
    for (int c = 0; c < s.channels_in; ++c) {
      for (int y = 0; y < s.height; ++y) {
        for (int x = 0; x < s.width; ++x) {
          const int bit = s.margin() * kLane + y * s.pitch() + x;
          planes[static_cast<size_t>(c) * plane_bytes + bit / 8] |= (random() & 1) << (bit % 8);
        }
      }
    }
    for (int o = 0; o < s.channels_out; ++o) {
      multiplier.push_back(1.0f + o);
      bias.push_back(0.5f * o);
    }
    MakeFilter(&random);
  }

  int row_stride() const { return (vectors + 2 * ((s.pitch() + kLane - 1) / kLane)) * kLane; }

  // Where in the rows of a channel the three of a codeword are.
  void AddRows(int codeword, int channel, std::vector<int32_t>* offsets) const {
    for (int row = 0; row < 3; ++row) {
      const int pattern = codeword >> (3 * row) & 7;
      offsets->push_back((8 * channel + pattern) * row_stride() + (row - 1) * s.pitch());
    }
  }

  void MakeFilter(std::mt19937* random) {
    const int block = vectors * kLane;
    const int kinds = s.atoms != 0 ? s.atoms : s.codewords;
    for (int i = 0; i < s.codewords; ++i) {  // distinct by their numbers' spread
      filter.codebook.push_back((*random)() % 512);
      AddRows(filter.codebook[i], 0, &filter.singles);
    }
    kernels.resize(static_cast<size_t>(s.channels_out) * s.channels_in);
    std::vector<uint16_t> numbers(static_cast<size_t>(s.groups()) * s.channels_out);
    std::vector<int> begin(s.groups() + 1);
    filter.lists.resize(s.groups());
    for (int g = 0; g < s.groups(); ++g) {
      std::vector<int32_t>& list = filter.lists[g];
      std::vector<uint32_t> atoms;  // of 18 bits
      for (int a = 0; s.atoms != 0 && a < s.atoms; ++a) {
        atoms.push_back((*random)() & 0x3FFFF);
        AddRows(atoms[a] & 511, 0, &list);
        AddRows(atoms[a] >> 9, 1, &list);
      }
      std::vector<int> listed(kinds * kinds, -1);  // pairs that occur
      int made = s.group == 2 && s.atoms == 0 && s.codewords <= 8 ? kinds * kinds : 0;
      for (int o = 0; o < s.channels_out; ++o) {
        const int first = (*random)() % kinds, second = (*random)() % kinds;
        uint16_t* kernel = &kernels[static_cast<size_t>(o) * s.channels_in + g * s.group];
        int number = first;
        if (s.atoms != 0) {
          kernel[0] = atoms[first] & 511;
          kernel[1] = atoms[first] >> 9;
        } else {
          kernel[0] = filter.codebook[first];
          if (s.group == 2) {
            kernel[1] = filter.codebook[second];
            number = first * kinds + second;
            if (s.codewords > 8) {
              if (listed[number] < 0) {
                listed[number] = made++;
                list.push_back(first * block);
                list.push_back((s.codewords + second) * block);
              }
              number = listed[number];
            }
          }
        }
        numbers[static_cast<size_t>(g) * s.channels_out + o] = number;
      }
      if (made == 0) made = kinds;
      begin[g + 1] = (g + 1) % chunk_groups == 0 ? 0 : begin[g] + made;  // in the chunk's table
      filter.most_entries = std::max(filter.most_entries, begin[g] + made);
    }
    for (int first = 0; first < s.groups(); first += chunk_groups) {
      const int last = std::min(first + chunk_groups, s.groups());
      for (int o = 0; o < s.channels_out; ++o) {
        for (int g = first; g < last; ++g) {
          filter.entries.push_back(begin[g] +
                                   numbers[static_cast<size_t>(g) * s.channels_out + o]);
        }
      }
    }
  }

  template <int kVectors>
  void Run(Scratch* scratch, float* output) const {
    for (int b = 0; b < blocks; ++b) {
      RunBlock<kVectors>(s, filter, planes.data(), plane_bytes, b, chunk_groups,
                         multiplier.data(), bias.data(), output, scratch);
    }
  }

  void Run(Scratch* scratch, float* output) const {
    if (vectors == 2) return Run<2>(scratch, output);
    if (vectors == 4) return Run<4>(scratch, output);
    Run<8>(scratch, output);
  }

  int Bit(int channel, int y, int x) const {
    if (y < 0 || x < 0 || y >= s.height || x >= s.width) return 0;
    const int bit = s.margin() * kLane + y * s.pitch() + x;
    return planes[static_cast<size_t>(channel) * plane_bytes + bit / 8] >> (bit % 8) & 1;
  }

  float Expected(int o, int y, int x) const {
    int popcount = 0;
    for (int c = 0; c < s.channels_in; ++c) {
      for (int tap = 0; tap < 9; ++tap) {
        const int weight = kernels[static_cast<size_t>(o) * s.channels_in + c] >> tap & 1;
        popcount += weight ^ Bit(c, y + tap / 3 - 1, x + tap % 3 - 1);
      }
    }
    return static_cast<float>(popcount) * multiplier[o] + bias[o];
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9 && argc != 10) {
    std::fprintf(stderr, "pair_sums: expected 8 arguments, see the source\n");
    return 2;
  }
  int n[8];
  for (int i = 0; i < 8; ++i) n[i] = std::atoi(argv[i + 1]);
  const Shape shape = {n[0], n[1], n[2], n[3], n[4], n[5], n[7]};
  if (shape.group < 1 || shape.group > 2 || shape.channels_in % shape.group != 0 ||
      shape.channels_out % 8 != 0 || (n[6] != 2 && n[6] != 4 && n[6] != 8) ||
      (shape.atoms != 0 && shape.group != 2)) {
    std::fprintf(stderr, "pair_sums: expected a shape that this is made for, see the source\n");
    return 2;
  }
  const RandomConvolution op(shape, n[6]);
  const int block = op.vectors * kLane;
  Scratch scratch;
  scratch.bytes.resize((op.vectors + 2 * shape.margin() + 2) * kLane);
  scratch.rows.resize(2 * 8 * op.row_stride());
  scratch.singles.resize(2 * std::max(shape.codewords, 1) * block);
  scratch.tables.resize(static_cast<size_t>(op.filter.most_entries) * block);
  scratch.sums.resize(static_cast<size_t>(shape.channels_out) * block);
  std::vector<float> output(static_cast<size_t>(shape.height) * shape.width *
                            shape.channels_out);
  KernelCostBegin();
  op.Run(&scratch, output.data());
  KernelCostEnd();
  std::printf("%d bytes of tables\n", op.filter.most_entries * block);
  if (argc == 10) {
    for (int y = 0; y < shape.height; ++y) {
      for (int x = 0; x < shape.width; ++x) {
        for (int o = 0; o < shape.channels_out; ++o) {
          const float found = output[(y * shape.width + x) * shape.channels_out + o];
          if (found == op.Expected(o, y, x)) continue;
          std::fprintf(stderr, "pair_sums: the sum of channel %d at %d, %d is wrong\n", o, y,
                       x);
          return 1;
        }
      }
    }
  }
  return 0;
}
