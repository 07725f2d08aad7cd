package io.github.keras_sparsebnn.demo.file;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Reads tables of a FlatBuffer that need not be trusted: every offset is checked against the file.
 *
 * <p>A table is known by its position; field {@code n} is the schema's n-th. A reader asks for what
 * it needs, so a file of a newer schema is read, too.
 *
 * <p>Reference: FlatBuffers, "Internals", the sections on tables, vectors and strings.
 */
final class FlatBuffer {
  /** Longer vectors are refused, so that a damaged length costs no time. */
  static final int MAX_ITEMS = 1 << 20;

  private final ByteBuffer bytes;

  FlatBuffer(ByteBuffer bytes) {
    this.bytes = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The root table, of a file with this identifier in its bytes 4 to 7. */
  int root(String identifier) throws BadFile {
    for (int i = 0; i < 4; ++i) {
      if (u8(4 + i) != identifier.charAt(i)) throw new BadFile("no " + identifier + " file");
    }
    return follow(0);
  }

  /** Where a field of a table lies; 0 if it has its default. */
  private int field(int table, int number) throws BadFile {
    long vtable = (long) table - i32(table);
    int entry = 4 + 2 * number;
    if (entry + 2 > u16(vtable)) return 0;
    int offset = u16(vtable + entry);
    return offset == 0 ? 0 : table + offset;
  }

  int integer(int table, int number, int otherwise) throws BadFile {
    int at = field(table, number);
    return at == 0 ? otherwise : i32(at);
  }

  int octet(int table, int number, int otherwise) throws BadFile {
    int at = field(table, number);
    return at == 0 ? otherwise : u8(at);
  }

  /** The string of a field, "" if there is none. */
  String text(int table, int number) throws BadFile {
    int at = vector(table, number);
    if (at == 0) return "";
    byte[] data = new byte[length(at, 1)];
    ByteBuffer from = bytes.duplicate();
    from.position(at + 4);
    from.get(data);
    return new String(data, StandardCharsets.UTF_8);
  }

  /** The tables of a vector of tables. */
  int[] tables(int table, int number) throws BadFile {
    int at = vector(table, number);
    int[] tables = new int[at == 0 ? 0 : length(at, 4)];
    for (int i = 0; i < tables.length; ++i) tables[i] = follow(at + 4 + 4 * i);
    return tables;
  }

  int[] integers(int table, int number) throws BadFile {
    int at = vector(table, number);
    int[] values = new int[at == 0 ? 0 : length(at, 4)];
    for (int i = 0; i < values.length; ++i) values[i] = i32(at + 4 + 4 * i);
    return values;
  }

  /** Whether a vector of bytes has any. */
  boolean hasBytes(int table, int number) throws BadFile {
    int at = vector(table, number);
    return at != 0 && i32(at) != 0;
  }

  private int vector(int table, int number) throws BadFile {
    int at = field(table, number);
    return at == 0 ? 0 : follow(at);
  }

  private int length(int vector, int size) throws BadFile {
    int length = i32(vector);
    if (length < 0 || length > MAX_ITEMS || (long) length * size > bytes.limit() - vector - 4L) {
      throw new BadFile("a vector leaves the file");
    }
    return length;
  }

  private int follow(int at) throws BadFile {
    long to = at + (i32(at) & 0xFFFFFFFFL);
    check(to, 4);
    return (int) to;
  }

  private int i32(long at) throws BadFile {
    check(at, 4);
    return bytes.getInt((int) at);
  }

  private int u16(long at) throws BadFile {
    check(at, 2);
    return bytes.getShort((int) at) & 0xFFFF;
  }

  private int u8(long at) throws BadFile {
    check(at, 1);
    return bytes.get((int) at) & 0xFF;
  }

  private void check(long at, int size) throws BadFile {
    if (at < 0 || at + size > bytes.limit()) throw new BadFile("an offset leaves the file");
  }
}
