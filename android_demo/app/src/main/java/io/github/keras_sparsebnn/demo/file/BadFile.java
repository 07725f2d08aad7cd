package io.github.keras_sparsebnn.demo.file;

/** The bytes are not what they should be. */
public final class BadFile extends Exception {
  private static final long serialVersionUID = 1;

  BadFile(String what) {
    super(what);
  }
}
