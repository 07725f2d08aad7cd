package io.github.keras_sparsebnn.demo.run;

import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * A node that the delegate runs.
 *
 * @param node its index in the file
 * @param op its operator
 * @param input shape of its first input; the last side counts int32 words if bit-packed
 * @param output shape of its output, likewise
 * @param kernel the kernel that runs it, and its instruction set
 * @param nanos time of all runs so far, if it is taken
 */
public record NodeProfile(
    int node, String op, int[] input, int[] output, String kernel, long nanos) {

  /** All nodes of the delegate's profile, of which one interpreter uses it. */
  static List<NodeProfile> read(String json) {
    List<NodeProfile> nodes = new ArrayList<>();
    try {
      JSONArray partitions = new JSONObject(json).getJSONArray("partitions");
      for (int i = 0; i < partitions.length(); ++i) {
        JSONArray part = partitions.getJSONObject(i).getJSONArray("nodes");
        for (int k = 0; k < part.length(); ++k) {
          JSONObject node = part.getJSONObject(k);
          nodes.add(
              new NodeProfile(
                  node.getInt("node"),
                  node.getString("op"),
                  shape(node.getJSONArray("input")),
                  shape(node.getJSONArray("output")),
                  node.getString("kernel"),
                  node.optLong("ns")));
        }
      }
    } catch (JSONException error) {
      throw new IllegalStateException("the delegate's profile is not what it promises", error);
    }
    return nodes;
  }

  private static int[] shape(JSONArray sides) throws JSONException {
    int[] shape = new int[sides.length()];
    for (int i = 0; i < shape.length; ++i) shape[i] = sides.getInt(i);
    return shape;
  }
}
