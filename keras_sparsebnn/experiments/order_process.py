"""One order in progress, in another process of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from keras_sparsebnn.experiments.executor import Demand, Message, is_last

__all__ = ["OrderProcess"]

_WORKER = "keras_sparsebnn.cli.worker"
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


class OrderProcess:
    """Starts `cli.worker` with an order. It stops when this process is gone.

    Args:
        order: what `Order.to_dict` gives.
        log: gets its stderr.
        demand: how many threads it computes with.
        environment: variables of its own.

    Raises:
        OSError: the process or its log cannot be made.
    """

    def __init__(
        self,
        order: Mapping[str, Any],
        log: Path,
        demand: Demand,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._stopping = False
        self._last: Message = {}
        self._rest = b""
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        threads = dict.fromkeys(_THREADS, str(demand.cpus))
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, **threads, **(environment or {})},
                start_new_session=True,  # Ctrl-C comes to the runner alone, which passes it on
            )
        self._input.write(json.dumps(order).encode() + b"\n")
        self._input.flush()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """Readable when there are messages."""
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self) -> list[Message] | None:
        """The next messages, which it waits for; None once the process has ended."""
        block = self.output.read1()  # type: ignore[attr-defined]
        *lines, self._rest = (self._rest + block).split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # something else printed
                message = json.loads(line)
                if isinstance(message, dict) and is_last(message):
                    self._last = message
                elif isinstance(message, dict):
                    found.append(message)
        return found if block else None

    def stop(self) -> None:
        """Asks it to save a checkpoint and to end."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._input.close()

    def end(self) -> Message:
        """Its last message, made up if it died without; waits for its end."""
        status = self._process.wait()
        if self._last:
            return self._last
        if self._stopping:
            return {"stopped": abs(status)}
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return {"failed": f"Expected the run to finish, got {how}. See {self._log}."}

    def close(self) -> None:
        """Stops it, if it still runs, and waits for its end."""
        self.stop()
        self._process.wait()
        self.output.close()
