package io.github.keras_sparsebnn.demo.ui;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.os.Build;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowInsets;
import android.widget.Toast;
import io.github.keras_sparsebnn.demo.R;
import java.util.List;

/** The app's only activity: three screens, and tabs to choose one. */
public final class MainActivity extends Activity {
  private static final String SELECTED = "selected";

  private static final int[] TABS = {R.id.tab_classify, R.id.tab_benchmark, R.id.tab_models};

  private List<Screen> screens;
  private int selected;
  private boolean resumed;

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    setContentView(R.layout.main);
    View root = findViewById(R.id.root);
    root.setOnApplyWindowInsetsListener(MainActivity::insetsToPadding);
    ViewGroup content = findViewById(R.id.content);
    screens =
        List.of(
            new ClassifyScreen(this, content),
            new BenchmarkScreen(this, content),
            new ModelsScreen(this, content));
    for (int i = 0; i < TABS.length; ++i) {
      int index = i;
      findViewById(TABS[i]).setOnClickListener(tab -> select(index));
    }
    if (state != null) {
      selected = state.getInt(SELECTED);
      for (Screen screen : screens) screen.restore(state);
    }
    select(selected);
  }

  /** Android 15 draws apps behind its bars; older versions ask for the same padding. */
  private static WindowInsets insetsToPadding(View root, WindowInsets insets) {
    return Build.VERSION.SDK_INT >= 30 ? Api30.pad(root, insets) : padBefore30(root, insets);
  }

  @SuppressWarnings("deprecation")
  private static WindowInsets padBefore30(View root, WindowInsets insets) {
    root.setPadding(
        insets.getSystemWindowInsetLeft(),
        insets.getSystemWindowInsetTop(),
        insets.getSystemWindowInsetRight(),
        insets.getSystemWindowInsetBottom());
    return insets.consumeSystemWindowInsets();
  }

  private void select(int index) {
    if (resumed && index != selected) screens.get(selected).hidden();
    boolean changed = index != selected;
    selected = index;
    for (int i = 0; i < TABS.length; ++i) {
      screens.get(i).view.setVisibility(i == index ? View.VISIBLE : View.GONE);
      findViewById(TABS[i]).setSelected(i == index);
    }
    if (resumed && changed) screens.get(index).shown();
  }

  @Override
  protected void onResume() {
    super.onResume();
    resumed = true;
    screens.get(selected).shown();
  }

  @Override
  protected void onPause() {
    resumed = false;
    screens.get(selected).hidden();
    super.onPause();
  }

  @Override
  protected void onStop() {
    if (!isChangingConfigurations()) for (Screen screen : screens) screen.left();
    super.onStop();
  }

  @Override
  protected void onDestroy() {
    for (Screen screen : screens) screen.destroyed();
    super.onDestroy();
  }

  @Override
  protected void onSaveInstanceState(Bundle state) {
    super.onSaveInstanceState(state);
    state.putInt(SELECTED, selected);
    for (Screen screen : screens) screen.save(state);
  }

  /** Lets the user choose something in another app; {@link Screen#chosen} is told. */
  void choose(Intent intent, int request) {
    try {
      startActivityForResult(intent, request);
    } catch (ActivityNotFoundException error) {
      Toast.makeText(this, R.string.error_no_app, Toast.LENGTH_LONG).show();
    }
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    super.onActivityResult(request, result, data);
    if (result != RESULT_OK || data == null || data.getData() == null) return;
    for (Screen screen : screens) screen.chosen(request, data.getData());
  }

  @Override
  public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
    super.onRequestPermissionsResult(request, permissions, results);
    boolean granted = results.length > 0 && results[0] == PackageManager.PERMISSION_GRANTED;
    for (Screen screen : screens) screen.permitted(granted);
  }
}
