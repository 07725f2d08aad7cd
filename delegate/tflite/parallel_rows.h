// Shares the rows of a tensor out among threads.
#ifndef SPARSEBNN_TFLITE_PARALLEL_ROWS_H_
#define SPARSEBNN_TFLITE_PARALLEL_ROWS_H_

#include <algorithm>
#include <cstddef>

#include "kernels/cpu/thread_pool.h"

namespace sparsebnn {

// Values that one thread should have at least: below, waking another costs more than it saves.
constexpr size_t kValuesPerTask = 1 << 14;

// Calls body(first_row, rows) for parts of [0, rows), in parallel.
template <typename Body>
void ParallelRows(size_t rows, int channels, ThreadPool* threads, const Body& body) {
  const size_t values = rows * static_cast<size_t>(channels);
  const size_t most = std::min<size_t>(
      {values / kValuesPerTask + 1, rows, static_cast<size_t>(threads->threads())});
  const size_t rows_per_task = (rows + most - 1) / most;
  const int tasks = static_cast<int>((rows + rows_per_task - 1) / rows_per_task);
  threads->ParallelFor(tasks, [&](int task, int) {
    const size_t first = static_cast<size_t>(task) * rows_per_task;
    body(first, std::min(rows_per_task, rows - first));
  });
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_PARALLEL_ROWS_H_
