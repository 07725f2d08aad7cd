package io.github.keras_sparsebnn.demo.camera;

import static org.junit.Assert.assertEquals;

import android.graphics.Bitmap;
import android.graphics.Color;
import java.nio.ByteBuffer;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** Frames become images of the right colours, the right way up. */
@RunWith(RobolectricTestRunner.class)
public class YuvFrameTest {
  /** A plane of one value but for its first row, with bytes between samples and rows. */
  private static YuvFrame.Plane plane(int width, int height, int value, int first, int step) {
    int stride = width * step + 3;
    ByteBuffer bytes = ByteBuffer.allocate(stride * height);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        bytes.put(y * stride + x * step, (byte) (y == 0 ? first : value));
      }
    }
    return new YuvFrame.Plane(bytes, stride, step);
  }

  private static Bitmap image(int y, int u, int v) {
    return YuvFrame.of(
        plane(12, 8, y, y, 1), plane(6, 4, u, u, 2), plane(6, 4, v, v, 2), 12, 8, 0, false, 480);
  }

  @Test
  public void coloursAreThoseOfTheFormula() {
    for (int y = 0; y < 256; y += 17) {
      for (int u = 0; u < 256; u += 15) {
        for (int v = 0; v < 256; v += 15) {
          int color = image(y, u, v).getPixel(3, 3);
          assertEquals(clamp(y + 1.402 * (v - 128)), Color.red(color), 1);
          double green = y - 0.344136 * (u - 128) - 0.714136 * (v - 128);
          assertEquals(clamp(green), Color.green(color), 1);
          assertEquals(clamp(y + 1.772 * (u - 128)), Color.blue(color), 1);
        }
      }
    }
  }

  private static double clamp(double value) {
    return Math.max(0, Math.min(255, value));
  }

  private static Bitmap turned(int degrees, boolean mirrored, int largest) {
    return YuvFrame.of(
        plane(16, 8, 0, 255, 1), plane(8, 4, 128, 128, 1), plane(8, 4, 128, 128, 1),
        16, 8, degrees, mirrored, largest);
  }

  @Test
  public void theTopGoesWhereItBelongs() {
    assertEquals(8, turned(0, false, 480).getWidth());
    assertEquals(Color.WHITE, turned(0, false, 480).getPixel(5, 0));
    assertEquals(Color.WHITE, turned(90, false, 480).getPixel(7, 5));
    assertEquals(Color.WHITE, turned(180, false, 480).getPixel(5, 7));
    assertEquals(Color.WHITE, turned(270, false, 480).getPixel(0, 5));
    assertEquals(Color.WHITE, turned(90, true, 480).getPixel(0, 5));
    assertEquals(4, turned(0, false, 5).getWidth());
  }

  @Test
  public void turnsAsTheDisplayDoes() {
    assertEquals(90, CameraFeed.turn(90, 0, false));
    assertEquals(0, CameraFeed.turn(90, 90, false));
    assertEquals(180, CameraFeed.turn(90, 270, false));
    assertEquals(270, CameraFeed.turn(270, 0, true));
    assertEquals(0, CameraFeed.turn(270, 90, true));
  }
}
