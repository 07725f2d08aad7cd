"""Runs programs on a device through a program of this machine, within bounds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Output", "Shell", "last_line"]

MAX_LINE = 4 << 20
"""The longest line, a report; all others are short."""

MAX_OUTPUT = 16 << 20

TIMEOUT = 60.0
"""Seconds for a short command."""

SILENCE = 900.0
"""Seconds for a benchmark to say nothing: it does so after every few inferences."""

PUSH_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Output:
    """How a program ended and what it printed.

    Attributes:
        status: its exit status.
        out: what it wrote to stdout.
        err: what it, or the program that reaches the device, wrote to stderr: the end of it.
    """

    status: int
    out: str
    err: str


def last_line(text: str, most: int = 200) -> str:
    """The last line that says something, at most `most` characters of it.

    Example:
        >>> last_line("Traceback\\nOSError: no room\\n\\n")
        'OSError: no room'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:most] if lines else "no message"


def _size(file: IO[bytes]) -> int:
    """Bytes of a file that another process writes."""
    return os.fstat(file.fileno()).st_size


class Shell(ABC):
    """A way to run programs on a device.

    Args:
        spec: what the user calls the device, for messages.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @abstractmethod
    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command of this machine that runs `arguments` on the device."""

    @abstractmethod
    def unreachable(self, output: Output) -> SparseBNNError | None:
        """Why the device could not be reached at all; None if the program itself failed."""

    def run(
        self, arguments: Sequence[str], *, source: Path | None = None, timeout: float = TIMEOUT
    ) -> Output:
        """Runs a program to its end.

        Args:
            arguments: the program and its arguments, which no shell interprets.
            source: a file of this machine that becomes its stdin; empty if None.
            timeout: seconds.

        Raises:
            SparseBNNError: the device cannot be reached, does not answer, or says too much.
        """
        return self.run_here(self.command(arguments), source=source, timeout=timeout)

    def run_here(
        self, command: Sequence[str], *, source: Path | None = None, timeout: float = TIMEOUT
    ) -> Output:
        """`run` of a command of this machine that concerns the device."""
        with tempfile.TemporaryFile() as err:
            if source is None:
                process = self._start(command, subprocess.DEVNULL, err)
            else:
                with source.open("rb") as stdin:
                    process = self._start(command, stdin, err)
            lines = list(self._lines(process, timeout, err, renewed=False))
            output = self._output(process, "\n".join(lines), err)
        if error := self.unreachable(output):
            raise error
        return output

    def stream(self, arguments: Sequence[str], stdin: str = "") -> Iterator[str]:
        """Lines of a program as it prints them. It must end well.

        Raises:
            SparseBNNError: the device cannot be reached or falls silent, the program fails, or
                `stop` was called.
        """
        with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as text:
            text.write(stdin.encode())
            text.seek(0)
            process = self._start(self.command(arguments), text, err)
            if self._stopped:  # before
                self._kill(process)
            yield from self._lines(process, SILENCE, err, renewed=True)
            output = self._output(process, "", err)
        if error := self.unreachable(output) or self.no_room(output):
            raise error
        if output.status:
            raise SparseBNNError(
                f"Expected the benchmark to end well, got status {output.status}: "
                f"{last_line(output.err)} ({self.spec})."
            )

    def stop(self) -> None:
        """Ends what runs now, from another thread, and every later `stream`."""
        self._stopped = True
        if process := self._running:
            self._kill(process)

    def push(self, source: Path, target: str) -> None:
        """Copies a file to the device, under its name only when it is whole.

        Args:
            source: of this machine.
            target: a path on the device, in a folder that is there.

        Raises:
            SparseBNNError: the disk is full, or what else went wrong.
        """
        script = 'cat > "$1" && mv -f "$1" "$2"'
        arguments = ["sh", "-c", script, "sh", f"{target}.part", target]
        self.check(self.run(arguments, source=source, timeout=PUSH_TIMEOUT), "copy a file")

    def check(self, output: Output, purpose: str) -> str:
        """What a program printed, if it ended well.

        Args:
            output: of `run`.
            purpose: what it was to do, after "Expected to".

        Raises:
            SparseBNNError: it did not.
        """
        if error := self.no_room(output):
            raise error
        if output.status:
            raise SparseBNNError(
                f"Expected to {purpose}, got: {last_line(output.err or output.out)} "
                f"({self.spec})."
            )
        return output.out

    def no_room(self, output: Output) -> SparseBNNError | None:
        """Whether a program failed because of a full disk."""
        if output.status and "No space left" in output.err + output.out:
            return SparseBNNError(
                f"Expected room for models and runtime, found the disk full ({self.spec}). "
                "Free some of it."
            )
        return None

    def _start(
        self, command: Sequence[str], stdin: IO[bytes] | int, err: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            # In a session of its own: Ctrl-C is ours, and then there is still to clean up.
            self._running = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise SparseBNNError(
                f"Expected to run {command[0]}, got: {error.strerror} ({self.spec})."
            ) from error
        return self._running

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """Ends it and what it has started, which may hold its output: they are one session."""
        if process.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def _lines(
        self,
        process: subprocess.Popen[bytes],
        seconds: float,
        err: IO[bytes],
        *,
        renewed: bool,
    ) -> Iterator[str]:
        """What it prints until it ends, which takes `seconds` at most: in all, or a line."""
        assert process.stdout is not None
        late, done = threading.Event(), threading.Event()
        end = [time.monotonic() + seconds]  # moves while it speaks

        def watch() -> None:
            while (left := end[0] - time.monotonic()) > 0 and _size(err) <= MAX_OUTPUT:
                if done.wait(min(left, 1.0)):
                    return
            late.set()
            self._kill(process)

        size = 0
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            while line := process.stdout.readline(MAX_LINE):
                size += len(line)
                if (not line.endswith(b"\n") and len(line) == MAX_LINE) or size > MAX_OUTPUT:
                    raise SparseBNNError(
                        f"Expected an answer of at most {MAX_OUTPUT} bytes, got more "
                        f"({self.spec})."
                    )
                if renewed:
                    end[0] = time.monotonic() + seconds
                yield line.decode("utf-8", "replace").rstrip("\r\n")
            process.wait()
        finally:
            done.set()
            self._kill(process)
            process.wait()
            process.stdout.close()
            watcher.join()
        if _size(err) > MAX_OUTPUT:
            raise SparseBNNError(
                f"Expected at most {MAX_OUTPUT} bytes of messages, got more ({self.spec})."
            )
        if late.is_set():
            raise SparseBNNError(
                f"Expected an answer within {seconds:.0f} s, got none ({self.spec}). Is it "
                "still connected?"
            )

    def _output(self, process: subprocess.Popen[bytes], out: str, err: IO[bytes]) -> Output:
        if self._stopped and process.returncode < 0:
            raise SparseBNNError(f"Expected to go on, but was stopped ({self.spec}).")
        err.seek(0, 2)
        err.seek(max(0, err.tell() - 4000))
        return Output(process.returncode, out, err.read().decode("utf-8", "replace"))
