package io.github.keras_sparsebnn.demo.file;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import io.github.keras_sparsebnn.demo.Fixture;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Random;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;

/** The reader agrees with Python's, and a damaged file does no harm. */
@RunWith(RobolectricTestRunner.class)
public class ModelFactsTest {
  private static byte[] bytes(String path) throws Exception {
    return Files.readAllBytes(java.nio.file.Path.of(path));
  }

  @Test
  public void agreesWithPython() throws Exception {
    JSONArray files = Fixture.expected().getJSONArray("facts");
    assertTrue(files.length() > 7);
    for (int i = 0; i < files.length(); ++i) {
      JSONObject expected = files.getJSONObject(i);
      String path = expected.getString("path");
      ModelFacts facts = ModelFacts.read(ByteBuffer.wrap(bytes(path)));
      assertEquals(path, expected.getString("kind"), facts.kind().name());
      assertEquals(path, expected.getInt("operators"), facts.operators());
      assertEquals(path, expected.getInt("binary"), facts.binaryOperators());
      assertEquals(path, expected.getString("inputs"), facts.inputs().toString());
      assertEquals(path, expected.getString("outputs"), facts.outputs().toString());
      assertEquals(path, expected.getString("labels"), String.join(",", facts.labels()));
    }
  }

  @Test
  public void damageIsFoundOrHarmless() throws Exception {
    byte[] good = bytes(Fixture.expected().getJSONArray("facts").getJSONObject(0).getString("path"));
    Random random = new Random(20260101);
    int refused = 0;
    for (int i = 0; i < 20_000; ++i) {
      byte[] bad = good.clone();
      for (int k = 0; k <= i % 4; ++k) {
        bad[random.nextInt(bad.length)] = (byte) random.nextInt();
        // Where the tables are.
        bad[random.nextInt(2000)] = (byte) random.nextInt();
      }
      int length = i % 3 == 0 ? random.nextInt(bad.length) : bad.length;
      try {
        ModelFacts.read(ByteBuffer.wrap(bad, 0, length).slice());
      } catch (BadFile error) {
        ++refused;
      }
    }
    assertTrue("refused " + refused, refused > 1000);
  }
}
