package io.github.keras_sparsebnn.demo.ui;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.text.TextPaint;
import android.text.TextUtils;
import android.util.AttributeSet;
import android.util.TypedValue;
import android.view.View;
import io.github.keras_sparsebnn.demo.R;
import java.util.List;

/** Horizontal bars, one below the other, each with its name above and its value behind. */
public final class BarChart extends View {
  /**
   * A bar.
   *
   * @param name what it is of
   * @param value its length, not negative
   * @param text the value as text
   * @param strong whether to colour it
   */
  public record Bar(String name, double value, String text, boolean strong) {}

  private final TextPaint names = new TextPaint(Paint.ANTI_ALIAS_FLAG);
  private final TextPaint values = new TextPaint(Paint.ANTI_ALIAS_FLAG);
  private final Paint bars = new Paint(Paint.ANTI_ALIAS_FLAG);
  private final float gap = pixels(TypedValue.COMPLEX_UNIT_DIP, 6);
  private final float thickness = pixels(TypedValue.COMPLEX_UNIT_DIP, 14);
  private List<Bar> data = List.of();

  public BarChart(Context context, AttributeSet attributes) {
    super(context, attributes);
    names.setTextSize(pixels(TypedValue.COMPLEX_UNIT_SP, 13));
    names.setColor(context.getColor(R.color.text_secondary));
    values.setTextSize(pixels(TypedValue.COMPLEX_UNIT_SP, 14));
    values.setColor(context.getColor(R.color.text));
    values.setFakeBoldText(true);
  }

  private float pixels(int unit, float size) {
    return TypedValue.applyDimension(unit, size, getResources().getDisplayMetrics());
  }

  /** Shows these bars; a screen reader reads their names and values. */
  public void show(String title, List<Bar> bars) {
    data = List.copyOf(bars);
    StringBuilder words = new StringBuilder(title);
    for (Bar bar : data) words.append(". ").append(bar.name()).append(": ").append(bar.text());
    setContentDescription(words);
    requestLayout();
    invalidate();
  }

  private float row() {
    return names.getFontSpacing() + Math.max(thickness, values.getFontSpacing()) + 2 * gap;
  }

  @Override
  protected void onMeasure(int width, int height) {
    int wanted = (int) Math.ceil(row() * data.size());
    setMeasuredDimension(MeasureSpec.getSize(width), resolveSize(wanted, height));
  }

  @Override
  protected void onDraw(Canvas canvas) {
    double longest = 0;
    float widest = 0;
    for (Bar bar : data) {
      longest = Math.max(longest, bar.value());
      widest = Math.max(widest, values.measureText(bar.text()));
    }
    float room = getWidth() - widest - 2 * gap;
    float top = gap;
    for (Bar bar : data) {
      CharSequence name =
          TextUtils.ellipsize(bar.name(), names, getWidth(), TextUtils.TruncateAt.MIDDLE);
      canvas.drawText(name, 0, name.length(), 0, top - names.ascent(), names);
      float line = Math.max(thickness, values.getFontSpacing());
      float middle = top + names.getFontSpacing() + line / 2;
      float length = longest > 0 ? (float) (room * bar.value() / longest) : 0;
      length = Math.max(length, thickness / 2);
      bars.setColor(getContext().getColor(bar.strong() ? R.color.accent : R.color.bar));
      canvas.drawRoundRect(
          0, middle - thickness / 2, length, middle + thickness / 2, gap / 2, gap / 2, bars);
      float baseline = middle - (values.ascent() + values.descent()) / 2;
      canvas.drawText(bar.text(), length + gap, baseline, values);
      top += row();
    }
  }
}
