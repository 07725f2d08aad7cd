package io.github.keras_sparsebnn.demo.camera;

import android.annotation.SuppressLint;
import android.content.Context;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.ImageFormat;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.os.HandlerThread;
import android.util.Size;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.UserError;
import java.util.List;

/**
 * Live images of the camera, square and upright. What is shown is what the model is given, so the
 * frames are converted here instead of drawn by the system.
 */
public final class CameraFeed implements AutoCloseable {
  /**
   * Hears of images and of the end. Called on a thread of the feed's own, and so perhaps when the
   * listener has another feed already.
   */
  public interface Listener {
    void image(CameraFeed from, Bitmap image);

    void failed(CameraFeed from, UserError error);
  }

  private static final int LARGEST = 480;
  private static final int WIDTH = 640, HEIGHT = 480;

  private final HandlerThread thread = new HandlerThread("camera");
  private final Listener listener;
  private final int displayDegrees;
  private Handler handler;
  private CameraDevice device;
  private ImageReader reader;
  private int degrees;
  private boolean mirrored;
  private boolean closed;

  /**
   * A feed that is not open yet.
   *
   * @param displayDegrees by which the display is turned, counter-clockwise: 0, 90, 180 or 270
   */
  public CameraFeed(int displayDegrees, Listener listener) {
    this.displayDegrees = displayDegrees;
    this.listener = listener;
  }

  /** Whether the device has a camera. */
  public static boolean exists(Context context) {
    return context.getPackageManager().hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY);
  }

  /** Begins; the app must have the permission. */
  @SuppressLint("MissingPermission")
  public void open(Context context) {
    thread.start();
    handler = new Handler(thread.getLooper());
    CameraManager cameras = context.getSystemService(CameraManager.class);
    try {
      String id = choose(cameras);
      CameraCharacteristics facts = cameras.getCameraCharacteristics(id);
      mirrored = facing(facts) == CameraCharacteristics.LENS_FACING_FRONT;
      Integer sensor = facts.get(CameraCharacteristics.SENSOR_ORIENTATION);
      degrees = turn(sensor == null ? 0 : sensor, displayDegrees, mirrored);
      Size size = size(facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP));
      reader =
          ImageReader.newInstance(size.getWidth(), size.getHeight(), ImageFormat.YUV_420_888, 2);
      reader.setOnImageAvailableListener(this::convert, handler);
      cameras.openCamera(id, new Opened(), handler);
    } catch (CameraAccessException | SecurityException | IllegalArgumentException error) {
      fail(error);
    } catch (UserError error) {
      fail(error);
    }
  }

  /** Clockwise degrees from the sensor's image to an upright one. */
  static int turn(int sensorDegrees, int displayDegrees, boolean front) {
    int turned = front ? sensorDegrees + displayDegrees : sensorDegrees - displayDegrees;
    return (turned + 360) % 360;
  }

  /** The camera at the back if there is one. */
  private static String choose(CameraManager cameras) throws CameraAccessException, UserError {
    String[] ids = cameras.getCameraIdList();
    if (ids.length == 0) throw new UserError(R.string.error_no_camera);
    for (String id : ids) {
      if (facing(cameras.getCameraCharacteristics(id)) == CameraCharacteristics.LENS_FACING_BACK) {
        return id;
      }
    }
    return ids[0];
  }

  private static int facing(CameraCharacteristics facts) {
    Integer facing = facts.get(CameraCharacteristics.LENS_FACING);
    return facing == null ? CameraCharacteristics.LENS_FACING_EXTERNAL : facing;
  }

  /** The offered size that is nearest to 640x480, which every camera is to have. */
  private static Size size(StreamConfigurationMap offered) {
    Size[] sizes = offered == null ? null : offered.getOutputSizes(ImageFormat.YUV_420_888);
    Size best = new Size(WIDTH, HEIGHT);
    if (sizes == null || sizes.length == 0) return best;
    best = sizes[0];
    for (Size size : sizes) if (distance(size) < distance(best)) best = size;
    return best;
  }

  private static int distance(Size size) {
    return Math.abs(size.getWidth() - WIDTH) + Math.abs(size.getHeight() - HEIGHT);
  }

  private final class Opened extends CameraDevice.StateCallback {
    @Override
    public void onOpened(CameraDevice opened) {
      synchronized (CameraFeed.this) {
        if (closed) {
          opened.close();
          return;
        }
        device = opened;
      }
      try {
        start(opened);
      } catch (CameraAccessException | IllegalStateException | IllegalArgumentException error) {
        fail(error);
      }
    }

    @Override
    public void onDisconnected(CameraDevice gone) {
      gone.close();
      fail(new UserError(R.string.error_camera_gone));
    }

    @Override
    public void onError(CameraDevice broken, int code) {
      broken.close();
      fail(new UserError(R.string.error_camera, String.valueOf(code)));
    }
  }

  // Android 9 has a newer form of the call, Android 8 this one only.
  @SuppressWarnings("deprecation")
  private void start(CameraDevice opened) throws CameraAccessException {
    opened.createCaptureSession(
        List.of(reader.getSurface()),
        new CameraCaptureSession.StateCallback() {
          @Override
          public void onConfigured(CameraCaptureSession session) {
            try {
              CaptureRequest.Builder request =
                  opened.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
              request.addTarget(reader.getSurface());
              session.setRepeatingRequest(request.build(), null, handler);
            } catch (CameraAccessException | IllegalStateException error) {
              fail(error);
            }
          }

          @Override
          public void onConfigureFailed(CameraCaptureSession session) {
            fail(new UserError(R.string.error_camera, "session"));
          }
        },
        handler);
  }

  private void convert(ImageReader from) {
    Bitmap image;
    try (Image frame = from.acquireLatestImage()) {
      if (frame == null) return;
      Image.Plane[] planes = frame.getPlanes();
      image =
          YuvFrame.of(
              plane(planes[0]),
              plane(planes[1]),
              plane(planes[2]),
              frame.getWidth(),
              frame.getHeight(),
              degrees,
              mirrored,
              LARGEST);
    } catch (IllegalStateException closing) {
      return;
    }
    listener.image(this, image);
  }

  private static YuvFrame.Plane plane(Image.Plane plane) {
    return new YuvFrame.Plane(
        plane.getBuffer(), plane.getRowStride(), plane.getPixelStride());
  }

  private void fail(Exception error) {
    fail(new UserError(error, R.string.error_camera, UserError.reason(error)));
  }

  private void fail(UserError error) {
    synchronized (this) {
      if (closed) return;
    }
    listener.failed(this, error);
  }

  /** Ends the feed; an image that is being converted may still come. */
  @Override
  public void close() {
    synchronized (this) {
      if (closed) return;
      closed = true;
      if (device != null) device.close();
    }
    // After the frame that is perhaps being read: its memory goes with the reader.
    if (reader != null) handler.post(reader::close);
    thread.quitSafely();
  }
}
