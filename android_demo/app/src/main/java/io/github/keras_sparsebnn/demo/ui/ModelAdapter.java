package io.github.keras_sparsebnn.demo.ui;

import android.content.Context;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import android.widget.BaseAdapter;
import android.widget.TextView;
import io.github.keras_sparsebnn.demo.R;
import io.github.keras_sparsebnn.demo.models.Model;
import java.util.List;

/** Models in a list to choose from: how the weights are stored, and the file's name. */
final class ModelAdapter extends BaseAdapter {
  private final Context context;
  private List<Model> models;

  ModelAdapter(Context context, List<Model> models) {
    this.context = context;
    this.models = models;
  }

  void update(List<Model> newModels) {
    if (models.equals(newModels)) return;
    models = newModels;
    notifyDataSetChanged();
  }

  @Override
  public int getCount() {
    return models.size();
  }

  @Override
  public Model getItem(int position) {
    return models.get(position);
  }

  @Override
  public long getItemId(int position) {
    return models.get(position).name().hashCode();
  }

  @Override
  public View getView(int position, View reused, ViewGroup parent) {
    View row =
        reused != null
            ? reused
            : LayoutInflater.from(context).inflate(R.layout.model_choice, parent, false);
    Model model = models.get(position);
    ((TextView) row.findViewById(R.id.choice_kind))
        .setText(Texts.kind(context, model.facts().kind()));
    ((TextView) row.findViewById(R.id.choice_name)).setText(model.name());
    return row;
  }
}
