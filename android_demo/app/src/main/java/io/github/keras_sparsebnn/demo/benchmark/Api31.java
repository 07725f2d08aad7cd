package io.github.keras_sparsebnn.demo.benchmark;

import android.os.Build;

/** Called on Android 12 and later only. */
final class Api31 {
  private Api31() {}

  static String chip() {
    return Build.SOC_MANUFACTURER + " " + Build.SOC_MODEL;
  }
}
