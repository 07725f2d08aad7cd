"""Where results and shapes lie, and how a result is written: one record a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SHAPES = ROOT / "benchmarks" / "shapes"


def shapes(name: str) -> list[str]:
    """The layers in shapes/`name`.txt, a line each, without comments."""
    lines = (SHAPES / f"{name}.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _has_records(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in value)
    return isinstance(value, dict) and any(map(_has_records, value.values()))


def to_text(data: Any, *, indent: str = "") -> str:
    """`data` as JSON: an object in a list on a line of its own, as is each value beside it."""
    inner = indent + " "
    if isinstance(data, list) and _has_records(data):
        lines = [json.dumps(item, allow_nan=False) for item in data]
        return "[\n" + ",\n".join(inner + line for line in lines) + f"\n{indent}]"
    if isinstance(data, dict) and (not indent or _has_records(data)):
        lines = [f"{json.dumps(str(k))}: {to_text(v, indent=inner)}" for k, v in data.items()]
        return "{\n" + ",\n".join(inner + line for line in lines) + f"\n{indent}}}"
    return json.dumps(data, allow_nan=False)


def write(name: str, result: dict[str, Any], path: Path | None = None) -> Path:
    """Writes results/`name`-<date>.json, or `path`, and says where."""
    environment = result["environment"]
    path = path or RESULTS / f"{name}-{environment['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_text(result) + "\n", "utf-8")
    print(f"Wrote {path}")
    if str(environment["commit"]).endswith("-dirty"):
        print("The checkout has uncommitted changes, and the tables will say so.")
    return path


def newest(name: str) -> dict[str, Any]:
    """The result of the latest date.

    Raises:
        SystemExit: there is no such result.
    """
    files = sorted(RESULTS.glob(f"{name}-*.json"))
    if not files:
        raise SystemExit(f"Expected {RESULTS}/{name}-DATE.json. Run the benchmark first.")
    result: dict[str, Any] = json.loads(files[-1].read_text("utf-8"))
    return result
