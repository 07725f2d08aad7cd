package io.github.keras_sparsebnn.demo.benchmark;

import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.os.BatteryManager;
import android.os.Build;
import android.os.PowerManager;

/**
 * What slows a device down: its battery's and its temperature's state.
 *
 * @param batteryPercent charge; -1 if unknown
 * @param charging whether it is plugged in
 * @param batteryCelsius temperature of the battery; NaN if unknown
 * @param powerSave whether the system saves power
 * @param thermal Android's thermal status, 0 (none) to 6 (shutdown); -1 if unknown (API 28)
 */
public record DeviceState(
    int batteryPercent, boolean charging, double batteryCelsius, boolean powerSave, int thermal) {

  /** Now. */
  public static DeviceState read(Context context) {
    Intent battery =
        context.registerReceiver(null, new IntentFilter(Intent.ACTION_BATTERY_CHANGED));
    int percent = -1;
    boolean charging = false;
    double celsius = Double.NaN;
    if (battery != null) {
      int level = battery.getIntExtra(BatteryManager.EXTRA_LEVEL, -1);
      int scale = battery.getIntExtra(BatteryManager.EXTRA_SCALE, -1);
      if (level >= 0 && scale > 0) percent = 100 * level / scale;
      charging = battery.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0) != 0;
      int tenths = battery.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Integer.MIN_VALUE);
      if (tenths != Integer.MIN_VALUE) celsius = tenths / 10.0;
    }
    PowerManager power = context.getSystemService(PowerManager.class);
    int thermal = Build.VERSION.SDK_INT >= 29 ? Api29.thermalStatus(power) : -1;
    return new DeviceState(percent, charging, celsius, power.isPowerSaveMode(), thermal);
  }
}
