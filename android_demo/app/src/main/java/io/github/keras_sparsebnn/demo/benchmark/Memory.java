package io.github.keras_sparsebnn.demo.benchmark;

import java.io.BufferedReader;
import java.io.FileReader;
import java.io.IOException;

/** The memory of this process. */
final class Memory {
  private Memory() {}

  /** Bytes of physical memory that it occupies; -1 where the system does not say. */
  static long resident() {
    try (BufferedReader status = new BufferedReader(new FileReader("/proc/self/status"))) {
      for (String line; (line = status.readLine()) != null; ) {
        if (line.startsWith("VmRSS:")) return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    } catch (IOException | NumberFormatException error) {
      return -1;
    }
    return -1;
  }
}
