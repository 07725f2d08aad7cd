// The sums of the bit-sliced convolution: bit-sliced numbers, one for each output channel, to
// which the table entries of a chunk are added by full adders.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_SUMS_INL_H_
#define SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_SUMS_INL_H_

#include <cstdint>

#include "codebook_tables_inl.h"

namespace sparsebnn {
namespace {

template <class V>
class CodebookSums {
  using Register = typename V::Register;
  static constexpr int kBytes = V::kBits / 8;
  static constexpr int kRowBytes = CodebookTables<V>::kRowBytes;
  // The planes of a sum that AddChunk keeps in registers. The upper ones are pairs, see there.
  static constexpr int kLowPlanes = 6;

 public:
  // The bytes of a sum of `chunks` chunks.
  static int Stride(size_t chunks) {
    int upper_planes = 1;
    while (chunks >> upper_planes != 0) ++upper_planes;
    return (kLowPlanes + 2 * upper_planes) * kBytes;
  }

  // sums[o] += the entries of 16 groups, two-bit numbers. 31 full adders and a half adder; each
  // adder takes the running sum last, so that only one operation of it is on the chain from
  // adder to adder.
  //
  // A carry out of the low planes waits until there is a second one to add with it, so that the
  // upper planes cost one adder a chunk: each plane is a pair, bits and a waiting carry. Before
  // the k-th chunk, carries wait in the planes where k has a 1; `carried` is how many of these
  // there are before the first 0, kCarried whether there are any.
  //
  // `others`: the entries of the second chunk, of a half block.
  template <int kHalves, bool kCarried>
  static void AddChunk(const uint8_t* tables, const uint8_t* entries, const uint8_t* others,
                       int channels, int carried, int sum_stride, uint8_t* sum) {
    for (int o = 0; o < channels; ++o, sum += sum_stride) {
      Register ones = V::Load(sum);
      Register twos = V::Load(sum + kBytes);
      Register fours = V::Load(sum + 2 * kBytes);
      Register eights = V::Load(sum + 3 * kBytes);
      Register sixteens = V::Load(sum + 4 * kBytes);
      Register thirty_twos = V::Load(sum + 5 * kBytes);
      Register carry[6];  // of weight 8
      AddEightGroups<kHalves, 0>(tables, entries, &ones, &twos, &fours, carry);
      AddEightGroups<kHalves, 8>(tables, kHalves == 1 ? entries + 8 : others, &ones, &twos,
                                 &fours, carry + 3);
      entries += kChunkGroups;
      others += kChunkGroups;
      V::Store(sum, ones);
      V::Store(sum + kBytes, twos);
      V::Store(sum + 2 * kBytes, fours);
      Register sixteen[3], thirty_two[2], sixty_four;
      eights = V::FullAdd(carry[0], carry[1], eights, &sixteen[0]);
      eights = V::FullAdd(carry[2], carry[3], eights, &sixteen[1]);
      eights = V::FullAdd(carry[4], carry[5], eights, &sixteen[2]);
      V::Store(sum + 3 * kBytes, eights);
      sixteens = V::FullAdd(sixteen[0], sixteen[1], sixteens, &thirty_two[0]);
      thirty_two[1] = V::And(sixteens, sixteen[2]);
      V::Store(sum + 4 * kBytes, V::Xor(sixteens, sixteen[2]));
      thirty_twos = V::FullAdd(thirty_two[0], thirty_two[1], thirty_twos, &sixty_four);
      V::Store(sum + 5 * kBytes, thirty_twos);
      uint8_t* upper = sum + kLowPlanes * kBytes;
      for (int plane = 0; kCarried && plane < carried; ++plane, upper += 2 * kBytes) {
        V::Store(upper,
                 V::FullAdd(V::Load(upper), V::Load(upper + kBytes), sixty_four, &sixty_four));
      }
      V::Store(upper + kBytes, sixty_four);
    }
  }

  // Adds the waiting carries; the planes then follow each other.
  static void SettleCarries(int chunks, uint8_t* sum) {
    uint8_t* plane = sum + kLowPlanes * kBytes;
    Register carry = V::Zero();
    for (const uint8_t* upper = plane; chunks != 0; chunks >>= 1, upper += 2 * kBytes) {
      const Register waiting = chunks & 1 ? V::Load(upper + kBytes) : V::Zero();
      V::Store(plane, V::FullAdd(V::Load(upper), waiting, carry, &carry));
      plane += kBytes;
    }
    V::Store(plane, carry);
  }

  // Adds the upper half of a sum to its lower one.
  static void AddHalves(int planes, uint8_t* sum) {
    Register carry = V::Zero();
    for (int k = 0; k < planes; ++k, sum += kBytes) {
      V::Store(sum, V::FullAdd(V::Load(sum), V::Load(sum + kBytes / 2), carry, &carry));
    }
  }

 private:
  // Adds the vectors kFirst to kFirst + 7 of 16, whose first entry is *entries; three carries
  // of weight 8 are left.
  template <int kHalves, int kFirst>
  __attribute__((always_inline)) static void AddEightGroups(const uint8_t* tables,
                                                            const uint8_t* entries,
                                                            Register* ones, Register* twos,
                                                            Register* fours,
                                                            Register* eight_carry) {
    Register carry[6];  // of weight 4
    AddFourGroups<kHalves, kFirst>(tables, entries, ones, twos, carry);
    AddFourGroups<kHalves, kFirst + 4>(tables, entries + 4 * kHalves, ones, twos, carry + 3);
    *fours = V::FullAdd(carry[0], carry[1], *fours, &eight_carry[0]);
    *fours = V::FullAdd(carry[2], carry[3], *fours, &eight_carry[1]);
    *fours = V::FullAdd(carry[4], carry[5], *fours, &eight_carry[2]);
  }

  // Vector kIndex of the entries of its group, or of its two groups.
  template <int kHalves, int kIndex>
  __attribute__((always_inline)) static void LoadEntry(const uint8_t* tables,
                                                       const uint8_t* entries, Register* middle,
                                                       Register* high) {
    const uint8_t* low = Entry(tables, entries[0]) + kIndex * kBytes;
    if (kHalves == 1) {
      *middle = V::Load(low);
      *high = V::Load(low + kRowBytes);
    } else {
      const uint8_t* upper = Entry(tables, entries[1]) + kIndex * kBytes + kBytes / 2;
      *middle = V::LoadHalves(low, upper);
      *high = V::LoadHalves(low + kRowBytes, upper + kRowBytes);
    }
  }

  // The empty statement keeps compilers from adding a group's offset first, which would want a
  // register for each group, instead of leaving it to the load.
  __attribute__((always_inline)) static const uint8_t* Entry(const uint8_t* tables, int entry) {
    const uint8_t* p = tables + entry * (2 * kRowBytes);
    asm("" : "+r"(p));
    return p;
  }

  template <int kHalves, int kFirst>
  __attribute__((always_inline)) static void AddFourGroups(const uint8_t* tables,
                                                           const uint8_t* entries,
                                                           Register* ones, Register* twos,
                                                           Register* four_carry) {
    Register middle[4], high[4];
    LoadEntry<kHalves, kFirst>(tables, entries, &middle[0], &high[0]);
    LoadEntry<kHalves, kFirst + 1>(tables, entries + kHalves, &middle[1], &high[1]);
    LoadEntry<kHalves, kFirst + 2>(tables, entries + 2 * kHalves, &middle[2], &high[2]);
    LoadEntry<kHalves, kFirst + 3>(tables, entries + 3 * kHalves, &middle[3], &high[3]);
    Register carry[2];  // of weight 2
    *ones = V::FullAdd(middle[0], middle[1], *ones, &carry[0]);
    *ones = V::FullAdd(middle[2], middle[3], *ones, &carry[1]);
    *twos = V::FullAdd(high[0], high[1], *twos, &four_carry[0]);
    *twos = V::FullAdd(high[2], high[3], *twos, &four_carry[1]);
    *twos = V::FullAdd(carry[0], carry[1], *twos, &four_carry[2]);
  }
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_SUMS_INL_H_
