"""Where a run says how it goes: lines, and a progress bar on a terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import SupportsFloat

from tqdm import tqdm

__all__ = ["SILENT", "Console", "StepBar"]


class StepBar:
    """The progress bar of one epoch; nothing is shown unless stderr is a terminal."""

    def __init__(self, label: str, step: int, steps: int, *, shown: bool) -> None:
        self._bar = tqdm(
            total=steps,
            initial=step,
            desc=label,
            unit="step",
            leave=False,
            disable=None if shown else True,  # None: only on a terminal
        )

    def __enter__(self) -> StepBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, logs: Mapping[str, SupportsFloat]) -> None:
        """One more step; every tenth, and the last, shows `logs`."""
        bar = self._bar
        if not bar.disable and ((bar.n + 1) % 10 == 0 or bar.n + 1 == bar.total):
            bar.set_postfix({k: f"{float(v):.4f}" for k, v in logs.items()}, False)
        bar.update()


@dataclasses.dataclass(frozen=True)
class Console:
    """What a run reports.

    Attributes:
        report: gets one line at a time.
        progress: whether to show bars.
    """

    report: Callable[[str], None]
    progress: bool = False

    def prefixed(self, prefix: str) -> Console:
        """The same, with `prefix` before each line."""
        return Console(lambda line: self.report(f"{prefix}{line}"), self.progress)

    def steps(self, label: str, step: int, steps: int) -> StepBar:
        """A bar from `step` to `steps`."""
        return StepBar(label, step, steps, shown=self.progress)


SILENT = Console(lambda line: None)
"""For all workers but the first."""
