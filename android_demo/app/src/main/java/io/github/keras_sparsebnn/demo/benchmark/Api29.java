package io.github.keras_sparsebnn.demo.benchmark;

import android.os.PowerManager;

/** Called on Android 10 and later only. */
final class Api29 {
  private Api29() {}

  static int thermalStatus(PowerManager power) {
    return power.getCurrentThermalStatus();
  }
}
