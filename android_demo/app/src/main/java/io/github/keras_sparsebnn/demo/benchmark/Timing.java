package io.github.keras_sparsebnn.demo.benchmark;

import java.util.Arrays;

/**
 * How long one inference of a model takes, and how much memory: the fields of
 * {@code keras_sparsebnn.runtime.Timing}, and what only an app can say.
 *
 * @param model its file's name
 * @param kind how its weights are stored
 * @param runtime what ran it
 * @param threads of one inference
 * @param initMs loading the model, until it can run
 * @param firstMs the very first inference, which allocates
 * @param warmup inferences before timing began, the first included
 * @param runs inferences timed
 * @param medianMs median
 * @param p90Ms 90th percentile
 * @param minMs fastest
 * @param spread interquartile range / median
 * @param memoryBytes by how much loading and warming up raised the app's resident memory; -1 where
 *     the system does not say
 * @param fileBytes size of the file
 */
public record Timing(
    String model,
    String kind,
    String runtime,
    int threads,
    double initMs,
    double firstMs,
    int warmup,
    int runs,
    double medianMs,
    double p90Ms,
    double minMs,
    double spread,
    long memoryBytes,
    long fileBytes) {

  /** The q-th quantile of sorted values, linear between neighbours, as NumPy's percentile. */
  static double quantile(double[] sorted, double q) {
    double at = q * (sorted.length - 1);
    int below = (int) Math.floor(at);
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  }

  /** Sorted milliseconds of nanoseconds. */
  static double[] sortedMs(long[] nanos, int count) {
    return Arrays.stream(nanos, 0, count).sorted().mapToDouble(ns -> ns * 1e-6).toArray();
  }
}
