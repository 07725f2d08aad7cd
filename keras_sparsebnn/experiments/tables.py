"""Comparisons as text for terminals and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.experiments.comparison import TARGET_DIFFERENCE, Comparison, Row
from keras_sparsebnn.experiments.statistics import Difference

__all__ = ["as_markdown", "as_text", "budget", "power_note"]


def _accuracy(row: Row) -> str:
    spread = "" if row.deviation is None else f" ± {100 * row.deviation:.2f}"
    return f"{100 * row.mean:.2f}{spread}"


def _difference(difference: Difference | None) -> str:
    """Points, and the interval; a star where it excludes 0."""
    if difference is None:
        return "-"
    return difference.in_points() + (" *" if difference.separated else "")


def _needed(row: Row, comparison: Comparison) -> str:
    known = next((name for name in comparison.baselines if name in row.differences), None)
    if known is None or row.differences[known].deviation is None:
        return "-"
    seeds = row.seeds_needed(known)
    return "over 10,000" if seeds is None else str(seeds)


def _cells(comparison: Comparison) -> list[list[str]]:
    header = ["variant", "n", "bits/weight", "test accuracy [%]", "seeds"]
    header += [f"minus {name} [points]" for name in comparison.baselines]
    header += ["seeds for 0.5", "CPU s"]
    rows = [header]
    for row in comparison.rows:
        differences = [_difference(row.differences.get(name)) for name in comparison.baselines]
        rows.append(
            [
                row.variant,
                str(row.codewords),
                f"{row.bits_per_weight:.2f}",
                _accuracy(row),
                str(len(row.accuracies)),
                *differences,
                _needed(row, comparison),
                f"{row.cpu_seconds:.0f}",
            ]
        )
    return rows


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def budget(settings: Mapping[str, Any]) -> str:
    """The settings that differ from the defaults, and the most important others."""
    from keras_sparsebnn.training.settings.config import RunConfig

    asked = ("epochs", "batch_size", "learning_rate", "schedule", "augmentation")
    usual = RunConfig().to_dict()
    hidden = ("version", "recipe", "dataset", "model", "seed", "deterministic")
    shown = {
        key: value
        for key, value in settings.items()
        if key in asked or (key not in hidden and usual.get(key) != value)
    }
    return ", ".join(f"{key} {_plain(value)}" for key, value in shown.items())


def power_note(comparison: Comparison) -> list[str]:
    """What difference the number of seeds can show, one sentence for each baseline."""
    notes = []
    for name in comparison.baselines:
        deviation = comparison.pooled_deviation(name)
        seeds, detected = comparison.power(name)
        if deviation is None:
            continue
        needed = "more than 10,000" if seeds is None else str(seeds)
        notes.append(
            f"Paired differences to {name} deviate by {100 * deviation:.2f} points from seed "
            f"to seed (pooled over rows): detecting {100 * TARGET_DIFFERENCE:g} points takes "
            f"{needed} seeds (power 80 %, level 5 %); "
            + ", ".join(f"{s} seeds detect {100 * d:.2f} points" for s, d in detected.items())
            + "."
        )
    return notes


def _notes(comparison: Comparison) -> list[str]:
    lines = [f"Budget: {budget(comparison.settings)}."]
    for row in comparison.rows:
        if row.own_settings:
            lines.append(f"{row.variant}, n = {row.codewords}: {budget(row.own_settings)}.")
    lines.append(
        "Mean ± standard deviation over seeds; differences are paired by seed, with 95 % t "
        "intervals; * excludes 0. Intervals are not corrected for multiple comparisons."
    )
    return lines + power_note(comparison)


def as_text(comparison: Comparison) -> str:
    """For a terminal."""
    title = f"{comparison.dataset}, {comparison.network}"
    return "\n".join([title, *aligned(_cells(comparison), left=1), "", *_notes(comparison)])


def as_markdown(comparison: Comparison, *, notes: bool = True) -> str:
    """For a page: variants as code, starred differences in bold."""
    header, *rows = _cells(comparison)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for row in rows:
        cells = [f"**{cell[:-2]}**" if cell.endswith(" *") else cell for cell in row[1:]]
        lines.append([f"`{row[0]}`", *cells])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    if not notes:
        return table
    text = " ".join(_notes(comparison)).replace("; * excludes 0", "; bold excludes 0")
    return f"{table}\n\n{text}"
