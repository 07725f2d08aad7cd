package io.github.keras_sparsebnn.demo.models;

import io.github.keras_sparsebnn.demo.file.ModelFacts;
import java.nio.ByteBuffer;

/**
 * A model that the app can run.
 *
 * @param name its file's name, unique in the app
 * @param bundled whether it came with the app
 * @param file its bytes, mapped
 * @param facts what the file says of itself
 * @param accuracy top-1 on {@code images} test images; NaN if unknown
 * @param images how many test images the accuracy is of
 * @param low what a black channel of a float input is
 * @param high what a white one is
 * @param samples the set of samples that it is for; empty if unknown
 */
public record Model(
    String name,
    boolean bundled,
    ByteBuffer file,
    ModelFacts facts,
    double accuracy,
    int images,
    float low,
    float high,
    String samples) {

  /** The same object only: two files may have the same bytes, and comparing them takes time. */
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return name.hashCode();
  }

  /** Size of the file. */
  public long bytes() {
    return file.limit();
  }
}
