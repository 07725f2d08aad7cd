"""What the plots show, read back from their figures."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from keras_sparsebnn.analysis import plots
from keras_sparsebnn.errors import SparseBNNError

LEARNED = {"conv_a": np.r_[np.full(4, 10), np.zeros(508, int)], "conv_b": np.arange(512)}
ONE_BIT = {"conv_a": np.full(512, 3)}


def texts(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def history(*selections, layer: str = "conv_a") -> list[dict]:
    return [{"epoch": epoch, "selection": {layer: ids}} for epoch, ids in enumerate(selections)]


class TestCodewordUsage:
    def test_lines_are_sorted_shares(self, tmp_path):
        path = tmp_path / "usage.png"
        figure = plots.codeword_usage({"learned": LEARNED, "1 bit": ONE_BIT}, path)
        assert path.read_bytes().startswith(b"\x89PNG")
        axes = figure.axes[0]
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        a, b, mean, one_bit, one_bit_mean, _ = axes.get_lines()
        np.testing.assert_array_equal(a.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(a.get_ydata(), 0.25)
        np.testing.assert_allclose(b.get_ydata(), np.arange(511, 0, -1) / (511 * 256))
        np.testing.assert_allclose(
            mean.get_ydata()[:5],
            [
                (first + rank / (511 * 256)) / 2
                for first, rank in zip([0.25] * 4 + [0], range(511, 506, -1), strict=True)
            ],
        )
        np.testing.assert_allclose(one_bit.get_ydata(), 1 / 512)
        np.testing.assert_array_equal(one_bit.get_ydata(), one_bit_mean.get_ydata())
        assert "learned: 4-511 codewords per layer" in texts(figure)
        assert "1 bit: 512 codewords per layer" in texts(figure)
        assert axes.get_xlabel()
        assert axes.get_ylabel()

    def test_images_are_the_favourites(self):
        figure = plots.codeword_usage(
            {"x": {"conv": np.bincount([5] * 3 + [511], minlength=512)}}
        )
        images = [image.get_array() for axes in figure.axes for image in axes.get_images()]
        assert len(images) == 2  # no more codewords are used
        # id 5 = binary 101: taps 0 and 2 are -1.
        np.testing.assert_array_equal(images[0], [[-1, 1, -1], [1, 1, 1], [1, 1, 1]])
        np.testing.assert_array_equal(images[1], -np.ones((3, 3)))
        assert "75.0%" in texts(figure)

    def test_draws_keras_models(self, seeded):
        from keras_sparsebnn.models import small
        from keras_sparsebnn.quantizers import SparseKernel

        model = small((8, 8, 1), 2, kernel_quantizer=lambda n: SparseKernel(4), widths=(8, 8))
        figure = plots.codeword_usage({"small": model})
        assert "small: 4 codewords per layer" in texts(figure)

    @pytest.mark.parametrize("suffix", ["svg", "pdf"])
    def test_other_formats(self, tmp_path, suffix):
        path = tmp_path / f"usage.{suffix}"
        plots.codeword_usage({"x": ONE_BIT}, path)
        assert path.stat().st_size > 1000

    @pytest.mark.parametrize(
        ("models", "message"),
        [
            ({}, "1 to 6 models to draw, got 0"),
            ({str(i): ONE_BIT for i in range(7)}, "1 to 6 models to draw, got 7"),
            ({"x": {}}, r"binary 3x3 layers .* got none \(x\)"),
            ({"x": {"conv": np.zeros(512, int)}}, "got none"),
            ({"x": {"conv1x1": [3, 4]}}, "got none"),
        ],
    )
    def test_nothing_to_draw(self, models, message):
        with pytest.raises(SparseBNNError, match=message):
            plots.codeword_usage(models)

    def test_unknown_format(self, tmp_path):
        with pytest.raises(SparseBNNError, match=r"usage\.png, \.svg or \.pdf, got .*\.xyz"):
            plots.codeword_usage({"x": ONE_BIT}, tmp_path / "usage.xyz")

    def test_no_matplotlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(SparseBNNError, match=r"matplotlib .*keras-sparsebnn\[train\]"):
            plots.codeword_usage({"x": ONE_BIT})


class TestSelectionOverlap:
    def test_shares_and_swaps(self, tmp_path):
        path = tmp_path / "overlap.png"
        # Order does not matter: slots may change places.
        figure = plots.selection_overlap(
            history([1, 2, 3, 4], [4, 3, 9, 8], [4, 3, 9, 7]), path
        )
        assert path.read_bytes().startswith(b"\x89PNG")
        to_last, to_first, swaps = (axes.get_lines()[0] for axes in figure.axes)
        np.testing.assert_allclose(to_last.get_ydata(), [0.5, 0.75, 1])
        np.testing.assert_allclose(to_first.get_ydata(), [1, 0.5, 0.5])
        np.testing.assert_array_equal(swaps.get_ydata(), [2, 1])
        np.testing.assert_array_equal(swaps.get_xdata(), [1, 2])

    def test_chance_level(self):
        figure = plots.selection_overlap(history([1, 2, 3, 4], [1, 2, 3, 5]))
        np.testing.assert_allclose(figure.axes[0].get_lines()[-1].get_ydata(), 4 / 512)

    def test_epochs_without_selection_are_left_out(self):
        entries = [{"epoch": 0}, *history([1], [2])]
        entries[1]["epoch"], entries[2]["epoch"] = 3, 5
        lines = plots.selection_overlap(entries).axes[0].get_lines()
        np.testing.assert_array_equal(lines[0].get_xdata(), [3, 5])

    def test_many_layers_name_three(self):
        layers = {f"conv{i}": [i, i + 1] for i in range(30)}
        entries = [{"epoch": e, "selection": layers} for e in range(2)]
        (legend,) = plots.selection_overlap(entries).legends
        names = [text.get_text() for text in legend.get_texts()]
        assert names == ["conv0", "conv15", "conv29"]

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ([], "a history with selections, got none"),
            ([{"epoch": 0, "loss": 1.0}], "a history with selections, got none"),
            (history([1, 2]), "at least 2 epochs to compare, got 1"),
            (history([1, 2], [600, 2]), r"codeword ids in \[0, 511\], got 600"),
            (history([1], []), "something else: ValueError Expected integer codeword ids"),
            (
                [{"epoch": 0, "selection": {"a": [1]}}, {"epoch": 1, "selection": {"b": [1]}}],
                "something else: KeyError 'a'",
            ),
            ([{"epoch": 0, "selection": [1]}] * 2, "something else"),
            ([{"selection": {"a": [1]}}], "something else: KeyError 'epoch'"),
            (["no dictionary"], "something else"),
        ],
    )
    def test_nothing_to_draw(self, entries, message):
        with pytest.raises(SparseBNNError, match=message):
            plots.selection_overlap(entries)


SUMMARY = {
    "model": "small",
    "layers": [
        {
            "name": name,
            "kernel_shape": [3, 3, 16, 32],
            "codewords": codewords,
            "distinct": 16,
            "bits_per_weight": bits,
            "mbit": bits * 4608 / 1e6,
            "codebook_bits": codebook_bits,
            "bops": None,
            "usage_entropy": 3.6,
        }
        for name, codewords, bits, codebook_bits in (
            ("first", 16, 4 / 9, 144),
            ("second", None, 1.0, 0),
        )
    ],
}


class TestBitsPerLayer:
    def test_bars(self, tmp_path):
        path = tmp_path / "bits.png"
        figure = plots.bits_per_layer(SUMMARY, path)
        assert path.read_bytes().startswith(b"\x89PNG")
        rate, storage = figure.axes
        assert [t.get_text() for t in rate.get_yticklabels()] == ["first", "second"]
        np.testing.assert_allclose([bar.get_width() for bar in rate.patches], [4 / 9, 1])
        np.testing.assert_allclose(rate.get_lines()[0].get_xdata(), [0.4, 0.4])
        widths = np.reshape([bar.get_width() for bar in storage.patches], (3, 2))
        np.testing.assert_allclose(widths, [[4.608, 4.608], [2.048, 4.608], [0.144, 0]])
        assert "2.2 of 4.6" in texts(figure)

    def test_accepts_a_real_summary(self, seeded):
        from keras_sparsebnn.analysis.summaries import summary
        from keras_sparsebnn.models import small

        figure = plots.bits_per_layer(summary(small((8, 8, 1), 2, widths=(8, 16))).to_dict())
        bars = [bar.get_width() for bar in figure.axes[0].patches]
        np.testing.assert_allclose(bars, [5 / 9, 5 / 9])

    def test_nothing_to_draw(self):
        with pytest.raises(SparseBNNError, match=r"binary layers, got none \(model float\)"):
            plots.bits_per_layer({"model": "float", "layers": []})


def test_no_global_state():
    import matplotlib

    backend = matplotlib.get_backend(auto_select=False)
    plots.codeword_usage({"x": ONE_BIT})
    assert matplotlib.get_backend(auto_select=False) == backend
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
