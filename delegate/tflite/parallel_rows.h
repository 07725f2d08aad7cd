// Shares the rows of a tensor out among threads.
#ifndef SPARSEBNN_TFLITE_PARALLEL_ROWS_H_
#define SPARSEBNN_TFLITE_PARALLEL_ROWS_H_

#include <algorithm>
#include <cstddef>

#include "kernels/cpu/thread_pool.h"

namespace sparsebnn {

// Calls body(first_row, rows) for parts of [0, rows), in parallel if that pays: a thread does about
// `rows_per_microsecond`.
template <typename Body>
void ParallelRows(size_t rows, double rows_per_microsecond, ThreadPool* threads,
                  const Body& body) {
  const double microseconds = static_cast<double>(rows) / rows_per_microsecond;
  const size_t most =
      std::min<size_t>(rows, static_cast<size_t>(threads->ThreadsFor(microseconds)));
  const size_t rows_per_task = (rows + most - 1) / most;
  const int tasks = static_cast<int>((rows + rows_per_task - 1) / rows_per_task);
  threads->ParallelFor(tasks, [&](int task, int) {
    const size_t first = static_cast<size_t>(task) * rows_per_task;
    body(first, std::min(rows_per_task, rows - first));
  });
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_PARALLEL_ROWS_H_
