package io.github.keras_sparsebnn.demo.file;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Type and shape of an input or output of a model; -1 is a side that the caller chooses. */
public record TensorInfo(String type, int[] shape) {
  /** "float32 1x8x8x1" */
  @Override
  public String toString() {
    String sides = Arrays.stream(shape).mapToObj(String::valueOf).collect(Collectors.joining("x"));
    return sides.isEmpty() ? type : type + " " + sides;
  }
}
