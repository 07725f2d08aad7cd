package io.github.keras_sparsebnn.demo.benchmark;

/**
 * One node that the delegate runs: the fields of {@code keras_sparsebnn.runtime.NodeTiming}.
 *
 * @param node its index in the file
 * @param op its operator
 * @param input shape of its first input
 * @param output shape of its output
 * @param kernel the kernel that runs it, and its instruction set
 * @param meanMs mean over the runs
 */
public record NodeTiming(
    int node, String op, int[] input, int[] output, String kernel, double meanMs) {}
