package io.github.keras_sparsebnn.demo.ui;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.database.Cursor;
import android.database.MatrixCursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import android.provider.OpenableColumns;
import io.github.keras_sparsebnn.demo.App;
import io.github.keras_sparsebnn.demo.benchmark.History;
import io.github.keras_sparsebnn.demo.benchmark.Report;
import java.io.File;
import java.io.FileNotFoundException;

/** Lets another app read a report that the user shares with it, and nothing else. */
public final class ReportProvider extends ContentProvider {
  static final String AUTHORITY = "io.github.keras_sparsebnn.demo.reports";
  static final String TYPE = "application/json";

  /** The address of a report in the history. */
  static Uri uri(Report report) {
    return new Uri.Builder()
        .scheme("content")
        .authority(AUTHORITY)
        .appendPath(History.name(report))
        .build();
  }

  private File file(Uri uri) throws FileNotFoundException {
    String name = uri.getLastPathSegment();
    if (name == null || !name.matches("benchmark-[0-9-]+\\.json")) {
      throw new FileNotFoundException(String.valueOf(uri));
    }
    return App.of(getContext()).history().file(name);
  }

  @Override
  public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
    if (!"r".equals(mode)) throw new FileNotFoundException("read only: " + uri);
    return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY);
  }

  @Override
  public Cursor query(Uri uri, String[] columns, String where, String[] values, String order) {
    try {
      File file = file(uri);
      String[] all = {OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE};
      MatrixCursor cursor = new MatrixCursor(all, 1);
      cursor.addRow(new Object[] {file.getName(), file.length()});
      return cursor;
    } catch (FileNotFoundException unknown) {
      return null;
    }
  }

  @Override
  public boolean onCreate() {
    return true;
  }

  @Override
  public String getType(Uri uri) {
    return TYPE;
  }

  @Override
  public Uri insert(Uri uri, ContentValues values) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int delete(Uri uri, String where, String[] values) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int update(Uri uri, ContentValues values, String where, String[] arguments) {
    throw new UnsupportedOperationException();
  }
}
