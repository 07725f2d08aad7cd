package io.github.keras_sparsebnn.demo.ui;

import android.net.Uri;
import android.os.Bundle;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.App;

/** One of the three screens: its views, and what happens on them. */
abstract class Screen {
  final MainActivity activity;
  final App app;
  final View view;

  Screen(MainActivity activity, ViewGroup parent, int layout) {
    this.activity = activity;
    app = App.of(activity);
    view = LayoutInflater.from(activity).inflate(layout, parent, false);
    parent.addView(view);
  }

  final <T extends View> T find(int id) {
    return view.findViewById(id);
  }

  /** Shows a line, or nothing where it is empty. */
  static void show(TextView line, CharSequence text) {
    line.setText(text);
    line.setVisibility(text.length() == 0 ? View.GONE : View.VISIBLE);
  }

  /** It can be seen from now on, and its activity is in front. */
  void shown() {}

  /** It cannot be seen any more. */
  void hidden() {}

  /** The activity leaves the screen, not to come back turned. */
  void left() {}

  /** The activity ends. */
  void destroyed() {}

  void save(Bundle state) {}

  void restore(Bundle state) {}

  /** What the user has chosen in another app. */
  void chosen(int request, Uri uri) {}

  /** The user has answered a request for a permission. */
  void permitted(boolean granted) {}
}
