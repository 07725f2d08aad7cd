package io.github.keras_sparsebnn.demo.file;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * The files that TFLite Metadata keeps in a zip behind a model: labels, mostly.
 *
 * <p>Reference: PKWARE, "APPNOTE.TXT", 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
 */
final class AppendedFiles {
  private static final int END = 0x06054b50;
  private static final int MEMBER = 0x02014b50;
  private static final int LOCAL = 0x04034b50;
  private static final int STORED = 0;
  private static final int DEFLATED = 8;
  private static final int END_SIZE = 22;
  private static final int MAX_COMMENT = 0xFFFF;
  private static final int MAX_BYTES = 1 << 20;

  private final ByteBuffer bytes;

  private AppendedFiles(ByteBuffer model) {
    bytes = model.duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The lines of the first text file; none if there is no zip or no text file in it. */
  static List<String> labels(ByteBuffer model) throws BadFile {
    try {
      return new AppendedFiles(model).firstText();
    } catch (IndexOutOfBoundsException | IllegalArgumentException | DataFormatException error) {
      throw new BadFile("the zip behind the model is damaged");
    }
  }

  private List<String> firstText() throws DataFormatException {
    int end = end();
    if (end < 0) return List.of();
    int members = u16(end + 10);
    int at = bytes.getInt(end + 16);
    for (int i = 0; i < members; ++i) {
      if (bytes.getInt(at) != MEMBER) throw new DataFormatException();
      int nameLength = u16(at + 28);
      String name = new String(slice(at + 46, nameLength), StandardCharsets.UTF_8);
      if (name.toLowerCase(Locale.ROOT).endsWith(".txt")) return lines(content(at));
      at += 46 + nameLength + u16(at + 30) + u16(at + 32);
    }
    return List.of();
  }

  private int end() {
    int first = Math.max(0, bytes.limit() - END_SIZE - MAX_COMMENT);
    for (int at = bytes.limit() - END_SIZE; at >= first; --at) {
      if (bytes.getInt(at) == END && at + END_SIZE + u16(at + 20) == bytes.limit()) return at;
    }
    return -1;
  }

  private byte[] content(int member) throws DataFormatException {
    int method = u16(member + 10);
    int packed = size(member + 20);
    int size = size(member + 24);
    int local = bytes.getInt(member + 42);
    if (bytes.getInt(local) != LOCAL) throw new DataFormatException();
    byte[] data = slice(local + 30 + u16(local + 26) + u16(local + 28), packed);
    if (method == STORED) return data;
    if (method != DEFLATED) throw new DataFormatException();
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(data);
      byte[] content = new byte[size];
      if (inflater.inflate(content) != size) throw new DataFormatException();
      return content;
    } finally {
      inflater.end();
    }
  }

  private int size(int at) throws DataFormatException {
    int size = bytes.getInt(at);
    if (size < 0 || size > MAX_BYTES) throw new DataFormatException();
    return size;
  }

  private int u16(int at) {
    return bytes.getShort(at) & 0xFFFF;
  }

  private byte[] slice(int at, int length) {
    ByteBuffer from = bytes.duplicate();
    from.position(at);
    byte[] data = new byte[Math.min(length, from.remaining())];
    from.get(data);
    if (data.length < length) throw new IndexOutOfBoundsException();
    return data;
  }

  private static List<String> lines(byte[] content) {
    List<String> lines = new ArrayList<>();
    for (String line : new String(content, StandardCharsets.UTF_8).split("\\R")) {
      if (!line.trim().isEmpty()) lines.add(line.trim());
    }
    return lines;
  }
}
