// Counts the guest instructions of one stretch of a program under qemu-user, and samples its stream.
//
// A plugin of qemu's TCG (interface version 1, qemu 6 and later). The program marks the stretch by
// the system call getppid, which does nothing:
//   first, second    around a run whose blocks are counted
//   third, fourth    around the same again, of which windows are recorded, at even distances
// A clock_gettime in between begins a new segment: the delegate asks for the time before every group
// of nodes, and without a vDSO that is a system call.
//
// Arguments: out=FILE, windows=N, size=INSTRUCTIONS of a window. Lines of the file:
//   tb ID ADDRESS WORD ...       a translated block, in hexadecimal; an instruction is a word
//   segment                      what follows was executed in the next segment
//   count ID N                   N executions of a block in that segment
//   window SEGMENT:ID ...        consecutive blocks, each with the number of its segment
//
// Debian's qemu-user has no header for plugins; what is used of qemu's interface is declared here.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*TranslationCallback)(qemu_plugin_id_t, struct qemu_plugin_tb*);
typedef void (*ExecutionCallback)(unsigned vcpu, void* data);
typedef void (*SyscallCallback)(qemu_plugin_id_t, unsigned vcpu, int64_t number, uint64_t, uint64_t,
                                uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*ExitCallback)(qemu_plugin_id_t, void* data);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, TranslationCallback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb*, ExecutionCallback, int flags,
                                          void* data);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, SyscallCallback);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, ExitCallback, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { kGetppid = 173, kClockGettime = 113 };  // AArch64's numbers
enum { kBefore, kCounting, kBetween, kSampling, kAfter };

typedef struct Block {
  struct Block* next;
  uint64_t address, count;
  unsigned id, instructions, used;
  uint32_t words[];
} Block;

static Block* blocks;
static unsigned number_of_blocks, number_of_windows = 60, window_size = 3000, counted_vcpu;
static int phase = kBefore, in_window;
static uint64_t executed, total, segment, window, window_end;
static FILE* out;

static void BeginWindow(void) {
  // In the middle of its equal part of the whole.
  const uint64_t begin = (2 * window + 1) * total / (2 * number_of_windows) - window_size / 2;
  if (window >= number_of_windows || executed < begin) return;
  in_window = 1;
  window_end = executed + window_size;
  fputs("window", out);
}

static void Execute(unsigned vcpu, void* data) {
  Block* block = data;
  if ((phase != kCounting && phase != kSampling) || vcpu != counted_vcpu) return;
  if (phase == kCounting) {
    ++block->count;
  } else {
    if (!in_window) BeginWindow();
    if (in_window) fprintf(out, " %" PRIu64 ":%u", segment, block->id);
  }
  block->used = 1;
  executed += block->instructions;
  if (in_window && executed >= window_end) {
    in_window = 0;
    ++window;
    fputc('\n', out);
  }
}

static void Translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(tb);
  Block* block = malloc(sizeof(Block) + n * sizeof(uint32_t));
  if (block == NULL) abort();
  block->next = blocks;
  block->address = qemu_plugin_tb_vaddr(tb);
  block->count = 0;
  block->used = 0;
  block->id = number_of_blocks++;
  block->instructions = (unsigned)n;
  for (size_t i = 0; i < n; ++i) {
    memcpy(&block->words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
  }
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, Execute, 0 /* reads no registers */, block);
}

static void WriteSegment(void) {
  fputs("segment\n", out);
  for (Block* block = blocks; block != NULL; block = block->next) {
    if (block->count > 0) fprintf(out, "count %u %" PRIu64 "\n", block->id, block->count);
    block->count = 0;
  }
}

static void Syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b,
                    uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != kGetppid && number != kClockGettime) return;
  if (number == kClockGettime && vcpu == counted_vcpu && phase == kSampling) ++segment;
  if (phase == kCounting && vcpu == counted_vcpu) WriteSegment();
  if (number != kGetppid || phase == kAfter) return;
  if (in_window) fputc('\n', out);
  in_window = 0;
  ++phase;
  counted_vcpu = vcpu;
  if (phase == kBetween) {
    total = executed;
    if ((uint64_t)number_of_windows * window_size > total) {
      number_of_windows = (unsigned)(total / window_size);  // they must not overlap
    }
  }
  executed = 0;
}

static void Exit(qemu_plugin_id_t id, void* data) {
  (void)id, (void)data;
  for (const Block* block = blocks; block != NULL; block = block->next) {
    if (!block->used) continue;
    fprintf(out, "tb %u %" PRIx64, block->id, block->address);
    for (unsigned i = 0; i < block->instructions; ++i) fprintf(out, " %08" PRIx32, block->words[i]);
    fputc('\n', out);
  }
  fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
    if (strncmp(argv[i], "windows=", 8) == 0) number_of_windows = (unsigned)atoi(argv[i] + 8);
    if (strncmp(argv[i], "size=", 5) == 0) window_size = (unsigned)atoi(argv[i] + 5);
  }
  if (out == NULL || window_size == 0) {
    fputs("count_plugin: expected out=FILE that can be written, and size=1 or more\n", stderr);
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, Translate);
  qemu_plugin_register_vcpu_syscall_cb(id, Syscall);
  qemu_plugin_register_atexit_cb(id, Exit, NULL);
  return 0;
}
