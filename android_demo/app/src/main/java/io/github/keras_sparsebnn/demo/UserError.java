package io.github.keras_sparsebnn.demo;

import android.content.Context;

/** What went wrong, in one line for the person at the screen: a string resource and its values. */
public final class UserError extends Exception {
  private static final long serialVersionUID = 1;

  private final int text;
  private final transient Object[] values;

  public UserError(int text, Object... values) {
    this.text = text;
    this.values = values;
  }

  public UserError(Throwable cause, int text, Object... values) {
    super(cause);
    this.text = text;
    this.values = values;
  }

  /** The line, in the language of the context. */
  public String line(Context context) {
    return context.getString(text, values);
  }

  /** A message of another library as a part of one line: no line breaks, no full stop. */
  public static String reason(Throwable error) {
    String message = error.getMessage();
    if (message == null || message.trim().isEmpty()) return error.getClass().getSimpleName();
    message = message.trim().replaceAll("\\s+", " ");
    return message.endsWith(".") ? message.substring(0, message.length() - 1) : message;
  }

  /** For any error: a {@code UserError}'s own line, or one that says what kind it was. */
  public static String line(Context context, Throwable error) {
    if (error instanceof UserError known) return known.line(context);
    if (error instanceof OutOfMemoryError) return context.getString(R.string.error_memory);
    return context.getString(R.string.error_other, reason(error));
  }
}
