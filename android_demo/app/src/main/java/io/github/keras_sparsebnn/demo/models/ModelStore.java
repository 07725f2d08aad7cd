package io.github.keras_sparsebnn.demo.models;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.util.Log;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.file.BadFile;
import io.github.keras_sparsebnn.demo.file.ModelFacts;
import io.github.keras_sparsebnn.demo.run.Network;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The models that came with the app, and those that were added to it. */
public final class ModelStore {
  /** Larger files are refused: TFLite's own limit. */
  public static final long MAX_BYTES = Integer.MAX_VALUE;

  private static final String SUFFIX = ".tflite";
  private static final float LOW = -1, HIGH = 1;
  private static final String UNKNOWN = "";

  private final Context context;
  private final File folder;
  private final List<Model> models = new ArrayList<>();
  private final List<Sample> samples = new ArrayList<>();

  /** Reads what is there; a file that cannot be read any more is left out. */
  public ModelStore(Context context) {
    this.context = context;
    folder = new File(context.getFilesDir(), "models");
    readBundled();
    File[] files = folder.listFiles((parent, name) -> name.endsWith(SUFFIX));
    if (files == null) return;
    Arrays.sort(files);
    for (File file : files) {
      try {
        models.add(open(file));
      } catch (IOException | BadFile error) {
        Log.w("sparsebnn", file + ": " + error.getMessage());
      }
    }
  }

  /** All of them, the bundled ones first. */
  public synchronized List<Model> all() {
    return Collections.unmodifiableList(new ArrayList<>(models));
  }

  /** The model of that name; null if there is none. */
  public synchronized Model find(String name) {
    for (Model model : models) if (model.name().equals(name)) return model;
    return null;
  }

  /** The samples for a model: of its own set, or all of them if that is unknown. */
  public List<Sample> samples(Model model) {
    List<Sample> found = new ArrayList<>();
    for (Sample sample : samples) {
      if (model.samples().isEmpty() || model.samples().equals(sample.set())) found.add(sample);
    }
    return found;
  }

  /**
   * Copies a model into the app, and runs it once before it is kept.
   *
   * @param name the file's name where it came from; another one is found if it is taken
   * @throws UserError it is not a model, cannot run, or does not fit on the device
   */
  public Model add(String name, InputStream from) throws UserError {
    if (!folder.isDirectory() && !folder.mkdirs()) throw new UserError(R.string.error_storage);
    File temporary = new File(folder, "incoming");
    try {
      copy(from, temporary);
      check(temporary, name);
      synchronized (this) {
        File file = new File(folder, free(name));
        if (!temporary.renameTo(file)) throw new UserError(R.string.error_storage);
        Model model = open(file);
        models.add(model);
        return model;
      }
    } catch (BadFile error) {
      throw new UserError(error, R.string.error_not_a_model, name, UserError.reason(error));
    } catch (IOException error) {
      throw new UserError(error, R.string.error_copy, name, UserError.reason(error));
    } finally {
      temporary.delete();
    }
  }

  /** Removes a model that was added. */
  public synchronized void remove(Model model) {
    if (model.bundled()) throw new IllegalArgumentException(model.name());
    models.remove(model);
    new File(folder, model.name()).delete();
  }

  private void copy(InputStream from, File to) throws IOException, UserError {
    long room = folder.getUsableSpace();
    byte[] block = new byte[1 << 16];
    long size = 0;
    try (FileOutputStream out = new FileOutputStream(to)) {
      for (int n; (n = from.read(block)) >= 0; size += n) {
        if (size + n > MAX_BYTES) throw new UserError(R.string.error_too_large);
        if (size + n > room) throw new UserError(R.string.error_storage);
        out.write(block, 0, n);
      }
    }
  }

  private static void check(File file, String name) throws IOException, BadFile, UserError {
    ByteBuffer bytes = mapped(file);
    try (Network network = new Network(added(name, bytes), Network.Options.DEFAULT)) {
      network.run();
    }
  }

  private String free(String name) {
    String stem = name.replaceAll("[^\\w. -]", "_");
    if (stem.endsWith(SUFFIX)) stem = stem.substring(0, stem.length() - SUFFIX.length());
    if (stem.trim().isEmpty() || stem.startsWith(".")) stem = "model" + stem;
    if (stem.length() > 80) stem = stem.substring(0, 80);
    String result = stem + SUFFIX;
    for (int i = 2; find(result) != null; ++i) result = stem + " (" + i + ")" + SUFFIX;
    return result;
  }

  /**
   * A model from a file, which stays where it is.
   *
   * @throws BadFile it is not a model
   * @throws IOException it cannot be read
   */
  public static Model open(File file) throws IOException, BadFile {
    return added(file.getName(), mapped(file));
  }

  private static Model added(String name, ByteBuffer bytes) throws BadFile {
    return new Model(
        name, false, bytes, ModelFacts.read(bytes), Double.NaN, 0, LOW, HIGH, UNKNOWN);
  }

  private static ByteBuffer mapped(File file) throws IOException {
    try (FileInputStream in = new FileInputStream(file)) {
      FileChannel channel = in.getChannel();
      return channel
          .map(FileChannel.MapMode.READ_ONLY, 0, channel.size())
          .order(ByteOrder.nativeOrder());
    }
  }

  private void readBundled() {
    try {
      JSONObject contents = new JSONObject(text("models.json"));
      JSONArray list = contents.getJSONArray("models");
      for (int i = 0; i < list.length(); ++i) {
        JSONObject item = list.getJSONObject(i);
        ByteBuffer bytes = asset("models/" + item.getString("file"));
        JSONArray range = item.getJSONArray("range");
        models.add(
            new Model(
                item.getString("file"),
                true,
                bytes,
                ModelFacts.read(bytes),
                item.getDouble("accuracy"),
                item.getInt("images"),
                (float) range.getDouble(0),
                (float) range.getDouble(1),
                item.getString("samples")));
      }
      list = contents.getJSONArray("samples");
      for (int i = 0; i < list.length(); ++i) {
        JSONObject item = list.getJSONObject(i);
        samples.add(
            new Sample(item.getString("set"), item.getString("file"), item.getString("label")));
      }
    } catch (IOException | JSONException | BadFile error) {
      throw new IllegalStateException("the app's own assets are damaged", error);
    }
  }

  private String text(String name) throws IOException {
    ByteBuffer bytes = asset(name);
    return StandardCharsets.UTF_8.decode(bytes).toString();
  }

  /** Mapped if it lies in the APK as it is, read if it is compressed there. */
  private ByteBuffer asset(String name) throws IOException {
    try (AssetFileDescriptor at = context.getAssets().openFd(name)) {
      // Of the whole APK; `at` closes it.
      FileChannel whole = new FileInputStream(at.getFileDescriptor()).getChannel();
      return whole
          .map(FileChannel.MapMode.READ_ONLY, at.getStartOffset(), at.getLength())
          .order(ByteOrder.nativeOrder());
    } catch (FileNotFoundException compressed) {
      try (InputStream in = context.getAssets().open(name)) {
        ByteBuffer bytes =
            ByteBuffer.allocateDirect(in.available()).order(ByteOrder.nativeOrder());
        ReadableByteChannel channel = Channels.newChannel(in);
        while (bytes.hasRemaining() && channel.read(bytes) >= 0) {}
        bytes.rewind();
        return bytes;
      }
    }
  }
}
