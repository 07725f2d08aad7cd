"""`sparsebnn plot`: figures, and what cannot be drawn."""

from __future__ import annotations

import pytest

from keras_sparsebnn.cli import main


class TestPlot:
    @pytest.mark.parametrize("kind", ["usage", "overlap", "bits"])
    def test_draws(self, run_folder, tmp_path, kind, capsys):
        output = tmp_path / "image.png"
        assert main(["plot", str(run_folder), "-o", str(output), "--kind", kind]) == 0
        assert output.read_bytes().startswith(b"\x89PNG")
        assert capsys.readouterr().out == f"Wrote {output}\n"

    def test_compares_runs_that_share_a_name(self, run_folder, tmp_path, monkeypatch):
        from keras_sparsebnn.analysis import plots

        drawn = {}
        monkeypatch.setattr(plots, "codeword_usage", lambda models, path: drawn.update(models))
        twin = tmp_path / run_folder.name
        twin.symlink_to(run_folder)
        other = tmp_path / "other"
        other.mkdir()
        (other / "model.keras").symlink_to(run_folder / "model.keras")
        sources = [str(run_folder), str(other)]
        assert main(["plot", *sources, "-o", str(tmp_path / "x.png")]) == 0
        assert list(drawn) == ["digits16", "other"]

    def test_nothing_to_draw(self, run_folder, tmp_path, fails):
        output = tmp_path / "x.png"
        overlap = ("--kind", "overlap", "-o", output)
        assert "one run for --kind bits, got 2" in fails(
            "plot", run_folder, run_folder, "--kind", "bits", "-o", output
        )
        assert "found no metrics.json" in fails("plot", tmp_path, *overlap)
        (tmp_path / "metrics.json").write_text('{"history": 3}')
        assert 'Expected a list of epochs under "history"' in fails("plot", tmp_path, *overlap)
        (tmp_path / "metrics.json").write_text('{"history": [{"epoch": 0, "selection": {}}]}')
        assert "got none" in fails("plot", tmp_path, *overlap)
        assert not output.exists()
