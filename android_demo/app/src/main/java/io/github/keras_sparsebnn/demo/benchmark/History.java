package io.github.keras_sparsebnn.demo.benchmark;

import android.content.Context;
import android.util.AtomicFile;
import android.util.Log;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import org.json.JSONException;

/** Reports in the app's storage, a JSON file each, which is whole at any time. */
public final class History {
  private static final String SUFFIX = ".json";

  private final File folder;

  public History(Context context) {
    folder = new File(context.getFilesDir(), "benchmarks");
  }

  /** The file's name of a report: its start, in UTC. */
  public static String name(Report report) {
    SimpleDateFormat format = new SimpleDateFormat("yyyyMMdd-HHmmss-SSS", Locale.ROOT);
    format.setTimeZone(TimeZone.getTimeZone("UTC"));
    return "benchmark-" + format.format(new Date(report.started())) + SUFFIX;
  }

  /** The file of that name, which need not exist. */
  public File file(String name) {
    return new File(folder, name);
  }

  /** Writes a report, in place of what was written of it before. */
  public synchronized void write(Report report) throws IOException {
    if (!folder.isDirectory() && !folder.mkdirs()) throw new IOException("no folder " + folder);
    AtomicFile file = new AtomicFile(file(name(report)));
    FileOutputStream out = file.startWrite();
    try {
      out.write(ReportJson.write(report).getBytes(StandardCharsets.UTF_8));
      file.finishWrite(out);
    } catch (IOException error) {
      file.failWrite(out);
      throw error;
    }
  }

  /** All that can be read, the newest first. */
  public synchronized List<Report> all() {
    String[] names = folder.list((parent, name) -> name.endsWith(SUFFIX));
    if (names == null) return List.of();
    Arrays.sort(names, Collections.reverseOrder());
    List<Report> reports = new ArrayList<>();
    for (String name : names) {
      try {
        byte[] text = new AtomicFile(file(name)).readFully();
        reports.add(ReportJson.read(new String(text, StandardCharsets.UTF_8)));
      } catch (IOException | JSONException error) {
        Log.w("sparsebnn", name + ": " + error.getMessage());
      }
    }
    return reports;
  }

  /** Forgets a report. */
  public synchronized void remove(Report report) {
    new AtomicFile(file(name(report))).delete();
  }
}
