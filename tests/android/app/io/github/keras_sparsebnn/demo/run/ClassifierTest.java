package io.github.keras_sparsebnn.demo.run;

import static io.github.keras_sparsebnn.demo.Fixture.app;
import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Color;
import io.github.keras_sparsebnn.demo.Fixture;
import io.github.keras_sparsebnn.demo.UserError;
import io.github.keras_sparsebnn.demo.models.Model;
import io.github.keras_sparsebnn.demo.models.Sample;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** What the app says of an image is what Python says of it. */
@RunWith(RobolectricTestRunner.class)
public class ClassifierTest {
  private static List<Bitmap> samples(Model model) throws Exception {
    List<Bitmap> bitmaps = new ArrayList<>();
    for (Sample sample : app().models().samples(model)) {
      try (InputStream in = app().getAssets().open(sample.asset())) {
        bitmaps.add(BitmapFactory.decodeStream(in));
      }
    }
    return bitmaps;
  }

  @Test
  public void scoresArePythons() throws Exception {
    JSONObject expected = Fixture.expected().getJSONObject("probabilities");
    double largest = 0;
    assertEquals(expected.length(), app().models().all().size());
    for (Model model : app().models().all()) {
      JSONArray ofModel = expected.getJSONArray(model.name());
      List<Bitmap> samples = samples(model);
      assertEquals(ofModel.length(), samples.size());
      for (String kernel : new String[] {"auto", "xnor", "codebook", "reference"}) {
        Network.Options options = new Network.Options(2, kernel, false);
        try (ImageClassifier classifier = new ImageClassifier(model, options)) {
          for (int i = 0; i < samples.size(); ++i) {
            ImageClassifier.Result result = classifier.classify(samples.get(i), false, 10);
            assertEquals(10, result.scores().size());
            // Beside them, the delegate runs the float operators between them.
            long binary =
                result.nodes().stream().filter(n -> n.op().matches("(Lce|Sparsebnn).*")).count();
            assertEquals(model.facts().binaryOperators(), binary);
            for (ImageClassifier.Score score : result.scores()) {
              double python = ofModel.getJSONArray(i).getDouble(score.index());
              largest = Math.max(largest, Math.abs(score.score() - python));
              assertEquals(model.facts().labels().get(score.index()), score.label());
            }
          }
        }
      }
    }
    System.out.println(String.format(Locale.ROOT, "largest difference of a score: %.3g", largest));
    // XNNPACK of another version may sum in another order. Measured: 4.8e-7.
    assertTrue("largest difference " + largest, largest < 1e-5);
  }

  @Test
  public void swapsDarkAndLight() throws Exception {
    Model model = app().models().find("digits_subbit.tflite");
    Bitmap digit = samples(model).get(3);
    Bitmap negative = digit.copy(Bitmap.Config.ARGB_8888, true);
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) negative.setPixel(x, y, digit.getPixel(x, y) ^ 0xFFFFFF);
    }
    try (ImageClassifier classifier = new ImageClassifier(model, Network.Options.DEFAULT)) {
      var plain = classifier.classify(digit, false, 10).scores();
      assertEquals(plain, classifier.classify(negative, true, 10).scores());
      assertTrue(!plain.equals(classifier.classify(negative, false, 10).scores()));
    }
  }

  @Test
  public void aLargerImageIsTheMeanOfItsPixels() {
    Bitmap large = Bitmap.createBitmap(64, 32, Bitmap.Config.ARGB_8888);
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 64; ++x) large.setPixel(x, y, (x / 4 + y / 4) % 2 == 0 ? -1 : Color.BLACK);
    }
    Bitmap small = Images.square(large, 8, 8);
    assertEquals(8, small.getWidth());
    assertEquals(Color.WHITE, small.getPixel(0, 0));
    assertEquals(Color.BLACK, small.getPixel(1, 0));
    Bitmap tiny = Images.square(large, 4, 4);
    assertEquals(128, Color.red(tiny.getPixel(1, 2)), 1);
  }

  /** Pixels 1 2 over 3 4, as a camera stores them: where the first row and column are in the end. */
  @Test
  public void photosAreUpright() {
    int[][] upright = {
      {}, {1, 2, 3, 4}, {2, 1, 4, 3}, {4, 3, 2, 1}, {3, 4, 1, 2}, // from here on rows are columns
      {1, 3, 2, 4}, {3, 1, 4, 2}, {4, 2, 3, 1}, {2, 4, 1, 3}
    };
    int[] colors = {0, Color.RED, Color.GREEN, Color.BLUE, Color.WHITE};
    int[] stored = {colors[1], colors[2], colors[3], colors[4]};
    for (int orientation = 1; orientation <= 8; ++orientation) {
      Bitmap image = Bitmap.createBitmap(stored, 2, 2, Bitmap.Config.ARGB_8888);
      Bitmap turned = Images.upright(image, orientation);
      for (int i = 0; i < 4; ++i) {
        int wanted = colors[upright[orientation][i]];
        assertEquals("orientation " + orientation, wanted, turned.getPixel(i % 2, i / 2));
      }
    }
  }

  @Test
  public void logitsBecomeProbabilities() {
    float[] logits = ImageClassifier.probabilities(new float[] {0, (float) Math.log(3)});
    assertArrayEquals(new float[] {0.25f, 0.75f}, logits, 1e-6f);
    float[] already = {0.25f, 0.75f};
    assertArrayEquals(already, ImageClassifier.probabilities(already), 0);
  }

  @Test
  public void saysWhichInputsAModelTakes() throws Exception {
    for (String name : new String[] {"two_inputs.tflite", "no_image.tflite"}) {
      Model model;
      try (InputStream in = Files.newInputStream(Fixture.path("models").resolve(name))) {
        model = app().models().add(name, in);
      }
      UserError error =
          assertThrows(
              UserError.class, () -> new ImageClassifier(model, Network.Options.DEFAULT));
      String line = error.line(app());
      assertTrue(line, line.startsWith("Expected a model that takes one image"));
      assertTrue(line, line.contains(model.facts().inputs().get(0).toString()));
    }
  }

  @Test
  public void anUnknownKernelIsRefused() {
    Model model = app().models().find("digits_lce.tflite");
    UserError error =
        assertThrows(
            UserError.class, () -> new Network(model, new Network.Options(1, "fast", false)));
    String line = error.line(app());
    assertTrue(line, line.startsWith("digits_lce.tflite does not load: Expected"));
    assertEquals(1, line.lines().count());
    assertTrue(Arrays.asList(line.split(" ")).contains("fast,") || line.contains("fast"));
  }
}
