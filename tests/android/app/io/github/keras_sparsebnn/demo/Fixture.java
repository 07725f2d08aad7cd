package io.github.keras_sparsebnn.demo;

import static org.robolectric.Shadows.shadowOf;

import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.os.Looper;
import android.view.View;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.json.JSONException;
import org.json.JSONObject;
import org.robolectric.RuntimeEnvironment;

/** What the tests share. */
public final class Fixture {
  private Fixture() {}

  public static App app() {
    return (App) RuntimeEnvironment.getApplication();
  }

  /** A folder or file that pytest names. */
  public static Path path(String property) {
    return Path.of(System.getProperty(property));
  }

  public static JSONObject expected() throws IOException, JSONException {
    return new JSONObject(Files.readString(path("expected")));
  }

  /** Until the worker thread and the main thread have nothing to do. */
  public static void settle() throws Exception {
    for (int i = 0; i < 4; ++i) {
      shadowOf(Looper.getMainLooper()).idle();
      app().worker().submit(() -> {}).get();
    }
    shadowOf(Looper.getMainLooper()).idle();
  }

  /** An image of a window, into the folder that pytest names. */
  public static void screenshot(View view, String name) throws IOException {
    Bitmap bitmap =
        Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
    view.draw(new Canvas(bitmap));
    File file = path("screenshots").resolve(name + ".png").toFile();
    try (FileOutputStream out = new FileOutputStream(file)) {
      bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
    }
  }
}
