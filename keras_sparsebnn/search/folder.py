"""The folder of one search: its files, and whose it is. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from keras_sparsebnn._files import LOCK, write_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.search.settings import SearchConfig

__all__ = ["SearchFolder"]


class SearchFolder:
    """Where one search keeps everything.

    Attributes:
        path: the folder.
        settings: `search.json`, see `SearchConfig`.
        candidates: `candidates.jsonl`, a line for each evaluated candidate.
        result: `result.json`: settings, machine, the best candidate and the Pareto front.
        winner: `winner.json`: a recipe that trains the best from scratch.
        model: `winner.keras`: the best, with the supernet's weights.
        supernet: results and run of the supernet, unless one was given.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings = self.path / "search.json"
        self.candidates = self.path / "candidates.jsonl"
        self.result = self.path / "result.json"
        self.winner = self.path / "winner.json"
        self.model = self.path / "winner.keras"
        self.supernet = self.path / "supernet"

    def log(self, worker: int) -> Path:
        """What a worker wrote to stderr."""
        return self.path / f"worker{worker}.log"

    def claim(self, config: SearchConfig) -> None:
        """Writes `search.json`.

        Raises:
            SparseBNNError: the folder is another search's, or holds something else.
        """
        if self.settings.exists():
            config.check_is_of(self.settings)
            return
        others = sorted(p.name for p in self.path.iterdir() if p.name != LOCK)
        if others:
            raise SparseBNNError(
                f"Expected a new folder or one with a search.json, found {others[0]} without "
                f"it ({self.path}). Choose another folder."
            )
        write_json(self.settings, config.to_dict())
