package io.github.keras_sparsebnn.demo.run;

import android.content.ContentResolver;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Matrix;
import android.graphics.Paint;
import android.graphics.Rect;
import android.media.ExifInterface;
import android.net.Uri;
import io.github.keras_sparsebnn.demo.UserError;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Decoding and scaling of images. */
public final class Images {
  /** Longest side of a decoded image: larger than any model's input, small in memory. */
  private static final int LONGEST = 1024;

  private Images() {}

  /**
   * An image from storage, upright, and no larger than about {@code LONGEST} pixels a side.
   *
   * @throws IOException it cannot be read or is no image
   */
  public static Bitmap decode(ContentResolver resolver, Uri uri) throws IOException {
    BitmapFactory.Options size = new BitmapFactory.Options();
    size.inJustDecodeBounds = true;
    try (InputStream in = open(resolver, uri)) {
      BitmapFactory.decodeStream(in, null, size);
    }
    BitmapFactory.Options options = new BitmapFactory.Options();
    options.inSampleSize = 1;
    while (Math.max(size.outWidth, size.outHeight) / options.inSampleSize > 2 * LONGEST) {
      options.inSampleSize *= 2;
    }
    Bitmap image;
    try (InputStream in = open(resolver, uri)) {
      image = BitmapFactory.decodeStream(in, null, options);
    }
    if (image == null) throw new IOException("no image");
    return upright(image, orientation(resolver, uri));
  }

  private static InputStream open(ContentResolver resolver, Uri uri) throws IOException {
    InputStream in;
    try {
      in = resolver.openInputStream(uri);
    } catch (SecurityException error) {
      throw new IOException("no permission to read it", error);
    } catch (RuntimeException error) { // whatever the other app throws comes through
      throw new IOException(UserError.reason(error), error);
    }
    if (in == null) throw new FileNotFoundException(String.valueOf(uri));
    return in;
  }

  private static int orientation(ContentResolver resolver, Uri uri) {
    try (InputStream in = open(resolver, uri)) {
      return new ExifInterface(in)
          .getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
    } catch (IOException noExif) {
      return ExifInterface.ORIENTATION_NORMAL;
    }
  }

  static Bitmap upright(Bitmap image, int orientation) {
    Matrix turn = new Matrix();
    switch (orientation) {
      case ExifInterface.ORIENTATION_ROTATE_90 -> turn.postRotate(90);
      case ExifInterface.ORIENTATION_ROTATE_180 -> turn.postRotate(180);
      case ExifInterface.ORIENTATION_ROTATE_270 -> turn.postRotate(270);
      case ExifInterface.ORIENTATION_FLIP_HORIZONTAL -> turn.postScale(-1, 1);
      case ExifInterface.ORIENTATION_FLIP_VERTICAL -> turn.postScale(1, -1);
      case ExifInterface.ORIENTATION_TRANSPOSE -> {
        turn.postRotate(90);
        turn.postScale(-1, 1);
      }
      case ExifInterface.ORIENTATION_TRANSVERSE -> {
        turn.postRotate(270);
        turn.postScale(-1, 1);
      }
      default -> {
        return image;
      }
    }
    return Bitmap.createBitmap(
        image, 0, 0, image.getWidth(), image.getHeight(), turn, true);
  }

  /**
   * The largest rectangle of the target's aspect in the middle, scaled to it. Halved as often as
   * possible first: bilinear scaling alone would skip pixels.
   */
  static Bitmap square(Bitmap image, int width, int height) {
    if (image.getWidth() == width && image.getHeight() == height) return image;
    Rect from = middle(image.getWidth(), image.getHeight(), width, height);
    Bitmap current = image;
    while (from.width() >= 2 * width && from.height() >= 2 * height) {
      int halfWidth = Math.max(width, from.width() / 2);
      int halfHeight = Math.max(height, from.height() / 2);
      Bitmap half = drawn(current, from, halfWidth, halfHeight);
      if (current != image) current.recycle();
      current = half;
      from = new Rect(0, 0, halfWidth, halfHeight);
    }
    Bitmap result = drawn(current, from, width, height);
    if (current != image) current.recycle();
    return result;
  }

  private static Rect middle(int width, int height, int toWidth, int toHeight) {
    int cutWidth = (int) Math.min(width, (long) height * toWidth / toHeight);
    int cutHeight = (int) Math.min(height, (long) width * toHeight / toWidth);
    int left = (width - Math.max(1, cutWidth)) / 2;
    int top = (height - Math.max(1, cutHeight)) / 2;
    return new Rect(left, top, left + Math.max(1, cutWidth), top + Math.max(1, cutHeight));
  }

  private static Bitmap drawn(Bitmap image, Rect from, int width, int height) {
    Bitmap result = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888);
    Paint smooth = new Paint(Paint.FILTER_BITMAP_FLAG);
    new Canvas(result).drawBitmap(image, from, new Rect(0, 0, width, height), smooth);
    return result;
  }

  /** Luminance of a colour, 0 to 255: ITU-R BT.601, as Pillow and TensorFlow compute it. */
  static float luma(int color) {
    // Whole numbers first, so that a grey is itself.
    return (299 * Color.red(color) + 587 * Color.green(color) + 114 * Color.blue(color)) / 1000f;
  }
}
