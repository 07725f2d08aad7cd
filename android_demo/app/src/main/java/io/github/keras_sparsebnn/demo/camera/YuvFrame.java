package io.github.keras_sparsebnn.demo.camera;

import android.graphics.Bitmap;
import java.nio.ByteBuffer;

/**
 * Turns a camera's YUV 4:2:0 frame into a square image, upright.
 *
 * <p>R = Y + 1.402 V, G = Y - 0.344136 U - 0.714136 V, B = Y + 1.772 U, with U and V minus 128:
 * JFIF's matrix, which Android's cameras use.
 */
final class YuvFrame {
  /**
   * A plane of a frame.
   *
   * @param bytes its samples
   * @param rowStride bytes between rows
   * @param pixelStride bytes between samples of a row
   */
  record Plane(ByteBuffer bytes, int rowStride, int pixelStride) {
    int at(int x, int y) {
      return bytes.get(y * rowStride + x * pixelStride) & 0xFF;
    }
  }

  private YuvFrame() {}

  /**
   * The largest square in the middle of a frame.
   *
   * @param y brightness, of {@code width x height} samples
   * @param u blue minus brightness, of half as many each way
   * @param v red minus brightness, likewise
   * @param degrees clockwise by which the frame must turn to be upright: 0, 90, 180 or 270
   * @param mirrored whether left and right change places afterwards
   * @param largest side of the image; every n-th sample is taken of a larger frame
   */
  static Bitmap of(
      Plane y, Plane u, Plane v, int width, int height, int degrees, boolean mirrored, int largest) {
    int square = Math.min(width, height);
    int step = Math.max(1, (square + largest - 1) / largest);
    int side = square / step;
    int left = (width - side * step) / 2;
    int top = (height - side * step) / 2;
    int[] pixels = new int[side * side];
    for (int row = 0; row < side; ++row) {
      for (int column = 0; column < side; ++column) {
        int x = left + column * step;
        int line = top + row * step;
        int to = target(row, column, side, degrees, mirrored);
        pixels[to] = rgb(y.at(x, line), u.at(x / 2, line / 2) - 128, v.at(x / 2, line / 2) - 128);
      }
    }
    return Bitmap.createBitmap(pixels, side, side, Bitmap.Config.ARGB_8888);
  }

  private static int target(int row, int column, int side, int degrees, boolean mirrored) {
    int last = side - 1;
    int toRow =
        switch (degrees) {
          case 90 -> column;
          case 180 -> last - row;
          case 270 -> last - column;
          default -> row;
        };
    int toColumn =
        switch (degrees) {
          case 90 -> last - row;
          case 180 -> last - column;
          case 270 -> row;
          default -> column;
        };
    return toRow * side + (mirrored ? last - toColumn : toColumn);
  }

  private static int rgb(int y, int u, int v) {
    // The factors times 2^16.
    int red = y + ((91881 * v + 32768) >> 16);
    int green = y - ((22553 * u + 46802 * v + 32768) >> 16);
    int blue = y + ((116130 * u + 32768) >> 16);
    return 0xFF000000 | clamp(red) << 16 | clamp(green) << 8 | clamp(blue);
  }

  private static int clamp(int value) {
    return Math.max(0, Math.min(255, value));
  }
}
