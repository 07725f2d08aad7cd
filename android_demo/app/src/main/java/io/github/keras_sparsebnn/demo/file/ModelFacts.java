package io.github.keras_sparsebnn.demo.file;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/**
 * What a {@code .tflite} says of itself, read without an interpreter.
 *
 * @param kind how its weights are stored
 * @param operators how many it has
 * @param binaryOperators how many of them are LCE's or sub-bit: what the delegate runs
 * @param inputs types and shapes
 * @param outputs types and shapes
 * @param labels names of the classes, from TFLite's metadata; may be empty
 */
public record ModelFacts(
    Kind kind,
    int operators,
    int binaryOperators,
    List<TensorInfo> inputs,
    List<TensorInfo> outputs,
    List<String> labels) {

  /** How the weights are stored. */
  public enum Kind {
    FLOAT, INT8, ONE_BIT, ONE_BIT_INT8, SUBBIT, SUBBIT_INT8;

    /** Whether the delegate is needed. */
    public boolean binary() {
      return ordinal() >= ONE_BIT.ordinal();
    }
  }

  private static final int CUSTOM = 32;
  private static final int INT8 = 9;
  private static final String[] TYPES = {
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64",
    "int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4",
    "bfloat16", "int2"
  };

  /**
   * Reads the file's tables, and none of its weights.
   *
   * @throws BadFile this is no {@code .tflite}, or a damaged one
   */
  public static ModelFacts read(ByteBuffer file) throws BadFile {
    FlatBuffer flat = new FlatBuffer(file);
    int model = flat.root("TFL3");
    List<String> custom = new ArrayList<>();
    for (int code : flat.tables(model, 1)) {
      // The number was a byte once, and 127 there means: see field 3.
      int builtin = Math.max(flat.octet(code, 0, 0), flat.integer(code, 3, 0));
      custom.add(builtin == CUSTOM ? flat.text(code, 1) : "");
    }
    int[] graphs = flat.tables(model, 2);
    int[] buffers = flat.tables(model, 4);
    if (graphs.length == 0) throw new BadFile("a model without a graph");
    int[] tensors = flat.tables(graphs[0], 0);
    int[] operators = flat.tables(graphs[0], 3);

    TreeSet<String> binary = new TreeSet<>();
    int count = 0;
    boolean int8 = false;
    for (int operator : operators) {
      int code = flat.integer(operator, 0, 0);
      if (code < 0 || code >= custom.size()) throw new BadFile("an operator without a name");
      String name = custom.get(code);
      if (name.startsWith("Lce") || name.startsWith("Sparsebnn")) {
        binary.add(name);
        ++count;
        continue;
      }
      for (int input : flat.integers(operator, 1)) {
        if (input < 0) continue;
        int tensor = item(tensors, input);
        int buffer = item(buffers, flat.integer(tensor, 2, 0));
        int8 |= flat.octet(tensor, 1, 0) == INT8 && flat.hasBytes(buffer, 0);
      }
    }
    return new ModelFacts(
        kind(binary, int8),
        operators.length,
        count,
        infos(flat, tensors, flat.integers(graphs[0], 1)),
        infos(flat, tensors, flat.integers(graphs[0], 2)),
        AppendedFiles.labels(file));
  }

  private static Kind kind(TreeSet<String> binary, boolean int8) {
    if (binary.isEmpty()) return int8 ? Kind.INT8 : Kind.FLOAT;
    if (binary.contains("SparsebnnBconv2d")) return int8 ? Kind.SUBBIT_INT8 : Kind.SUBBIT;
    return int8 ? Kind.ONE_BIT_INT8 : Kind.ONE_BIT;
  }

  private static List<TensorInfo> infos(FlatBuffer flat, int[] tensors, int[] indices)
      throws BadFile {
    List<TensorInfo> infos = new ArrayList<>();
    for (int index : indices) {
      int tensor = item(tensors, index);
      int type = flat.octet(tensor, 1, 0);
      int[] signature = flat.integers(tensor, 7);
      int[] shape = signature.length > 0 ? signature : flat.integers(tensor, 0);
      infos.add(new TensorInfo(type < TYPES.length ? TYPES[type] : "type " + type, shape));
    }
    return infos;
  }

  private static int item(int[] items, int index) throws BadFile {
    if (index < 0 || index >= items.length) throw new BadFile("an index leaves its list");
    return items[index];
  }
}
