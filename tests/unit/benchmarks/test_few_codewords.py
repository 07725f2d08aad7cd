"""Atoms of two channels, and the tables of docs/few-codewords.md."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.accuracy.pair_atoms import NearestAtom, facility_location, from_rows, to_rows
from keras_sparsebnn._keras import tf


@pytest.fixture
def kernel(rng):
    return rng.uniform(-1.5, 1.5, (3, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_rows_are_neighbouring_channels_of_an_output(kernel, channels):
    rows = to_rows(tf.constant(kernel), channels)
    assert rows.shape == (4 // channels * 5, 9 * channels)
    # The second row: the first channels of the second output channel.
    expected = np.concatenate([kernel[:, :, c, 1].ravel() for c in range(channels)])
    np.testing.assert_array_equal(rows[1], expected)
    np.testing.assert_array_equal(from_rows(rows, channels, kernel.shape), kernel)


def test_a_kernel_becomes_its_nearest_atom_and_gradients_are_clipped(kernel):
    quantizer = NearestAtom()
    quantizer.channels, quantizer.atoms = 2, facility_location(kernel, 2, 3)
    w = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(w)
        binary = quantizer.call(w)
    gradient = tape.gradient(binary, w)
    np.testing.assert_array_equal(gradient, np.abs(kernel) <= 1)
    # Which of all atoms is nearest, in a loop.
    for i in range(2):
        for o in range(5):
            latent = np.concatenate([kernel[:, :, 2 * i + c, o].ravel() for c in range(2)])
            distances = [np.sum((atom - latent) ** 2) for atom in quantizer.atoms]
            own = np.concatenate([binary[:, :, 2 * i + c, o].numpy().ravel() for c in range(2)])
            nearest = quantizer.atoms[int(np.argmin(distances))]
            np.testing.assert_allclose(own, nearest, atol=1e-6)


def test_without_atoms_it_is_the_sign(kernel):
    binary = NearestAtom().call(tf.constant(kernel))
    np.testing.assert_array_equal(binary, np.where(kernel < 0, -1, 1))


def test_atoms_are_patterns_of_the_layer(kernel):
    rows = np.sign(to_rows(tf.constant(kernel), 2).numpy())
    atoms = facility_location(kernel, 2, 4)
    assert len(atoms) == 4
    assert {atom.tobytes() for atom in atoms} <= {row.tobytes() for row in rows}
    assert len(facility_location(kernel, 2, 64)) == len(np.unique(rows, axis=0))


@pytest.fixture
def tables(monkeypatch, tmp_path):
    """The tables of made-up counts: a layer of 128 triples in all ways."""
    from docs.generate import few_codewords as generator

    def row(kernel, instructions, width=1.0, **own):
        cycles = {"cycles": instructions // 2}
        return {
            **{"network": generator.NETWORK, "layer_width": width, "kernel": kernel},
            **{"channels_in": round(128 * width), "height": 28, "codewords": 512, "atoms": 0},
            **{"triples": 128, "instructions": instructions, "table_bytes": 1024},
            "cores": {"cortex-a72": cycles, "neoverse-n1": cycles},
            "phases": {
                name: {"instructions": instructions // 2} for name in ("Gather", "AddChunk")
            },
            **{"channels_out": 128, **own},
        }

    layers = [row("xnor", 40)]
    layers += [row("codebook", n + 10, codewords=n) for n in (4, 8, 16, 32)]
    layers += [row("xnor", 30, w) for w in (0.75, 0.5)]
    layers += [row("codebook", int(42 * w**2), w, codewords=32) for w in (0.75, 0.5)]
    layers += [row("pair_sums", 60, codewords=n, group=1) for n in (16, 32)]
    layers += [row("pair_sums", 21, codewords=n, group=2) for n in (4, 8, 16)]
    layers += [row("pair_sums", 80, codewords=0, group=2, atoms=n) for n in (64, 128)]
    environment = {"date": "2026-01-01", "commit": "0" * 12}
    counts = {"environment": environment, "layers": layers}
    monkeypatch.setattr(generator, "newest", lambda name: counts)
    full, runs = [32, 32, 64, 64, 64], []
    for seed in range(2):
        for way in {way[:3] for way in generator.WAYS} | {(512, 1, 1.0), (256, 2, 1.0)}:
            own = {"atoms": way[0], "channels": way[1], "test_accuracy": 0.8 + seed / 100}
            runs.append({**own, "seed": seed, "widths": [round(w * way[2]) for w in full]})
    record = tmp_path / "pair_atoms.json"
    record.write_text(json.dumps({"environment": environment, "runs": runs}))
    monkeypatch.setattr(generator, "ACCURACY", record)
    return generator


def test_planes_are_those_of_the_derivation(tables):
    # docs/bit-sliced.md: 3 to 3.2. Pairs: 18 positions make 5 bits, the lowest is pooled.
    assert [tables.planes(1, pool) for pool in (6, 7)] == pytest.approx([3.2, 3])
    assert [tables.planes(2, pool) for pool in (6, 7)] == pytest.approx([2.2, 13 / 6])
    assert [tables.planes(3, pool) for pool in (6, 7)] == pytest.approx([4.4 / 3, 13 / 9])


def test_bounds_leave_everything_but_the_sums(tables):
    # 18 instructions, half of them sums: 9 + 9 * 2.2 / 3.2 and 9 + 9 * 1.467 / 3.2.
    line = tables.bounds().splitlines()[2]
    assert line == "| 128 ch, 28x28 | 18.0 | 9.0 | 15.2, 1.19x | 13.1, 1.37x |"


def test_counts_name_the_better_kernel(tables):
    lines = tables.counts().splitlines()
    assert lines[0] == "| weights, kernel | 128 ch, 28x28 |"
    assert "| n = 32, today's kernels | 40.0 (dense) |" in lines
    assert "| n = 4, today's kernels | 14.0 |" in lines
    assert "| n' = 64 atoms, sums of bytes, pairs | 80.0 |" in lines


def test_costs_are_relative_to_todays_kernels_with_32_codewords(tables):
    text = tables.costs()
    assert "| n = 32 | today's kernels | 0.56 | 80.5 ± 0.7 | 2 | 1.00 | 1.00 | 1.00 |" in text
    assert (
        "| n = 8 | sums of bytes, pairs | 0.33 | 80.5 ± 0.7 | 2 | 0.53 | 0.50 | 0.50 |" in text
    )
    assert "| n' = 64 atoms | sums of bytes, pairs | 0.33 |" in text
    assert (
        "| n = 32, 0.5 of the channels | today's kernels | 0.56 | 80.5 ± 0.7 | 2 | 0.25 |"
        in text
    )


def test_phases_add_up(tables):
    lines = tables.phases().splitlines()
    assert lines[0] == "| 128 to 128 ch, 28x28 | n = 8, pairs | n = 4, pairs | n' = 64 atoms |"
    assert lines[2].endswith("| 10.0 | 10.0 | 40.0 |")
    assert "| **all** | 21.0 | 21.0 | 80.0 |" in lines


def test_the_figure_is_drawn(tables, tmp_path):
    tables.draw(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
