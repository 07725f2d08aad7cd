package io.github.keras_sparsebnn.demo.ui;

import android.graphics.Insets;
import android.view.View;
import android.view.WindowInsets;

/** Called on Android 11 and later only. */
final class Api30 {
  private Api30() {}

  static WindowInsets pad(View root, WindowInsets insets) {
    int around =
        WindowInsets.Type.systemBars()
            | WindowInsets.Type.displayCutout()
            | WindowInsets.Type.ime();
    Insets size = insets.getInsets(around);
    root.setPadding(size.left, size.top, size.right, size.bottom);
    return WindowInsets.CONSUMED;
  }
}
