"""SPU in a process of its own, as `server` and `client` see it.

    parent                                              spu_party.main
    {"architecture", "batch", "rank",
     "accumulator", "program": bytes, or 0}         ->
    the program, if there are bytes                 ->
                                                    <-  {"program": bytes, or 0}
                                                    <-  the program, if there are bytes
    {"addresses", "tls"}                            ->
                                                    <-  {}
    this side's half of each of the server's inputs ->
    then, for each batch:
    this side's half of the images                  ->
                                                    <-  this side's half of the classes

over a pair of sockets, in messages of `wire`. While the process works, the parent also watches
the connection to the other side.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
from keras_sparsebnn.oblivious.spu_party import MAX_PROGRAM, SERVER, share_sizes
from keras_sparsebnn.oblivious.wire import Address, LostError, Wire

__all__ = ["Engine", "require_spu"]

_COMPILE_SECONDS = 600.0
_LINK_SECONDS = 60.0
_RUN_SECONDS = 600.0


def require_spu() -> None:
    """Raises `ObliviousError` without the package spu."""
    if importlib.util.find_spec("spu") is None:
        raise ObliviousError(
            "Expected the package spu, got none. Run, with Python 3.10 or 3.11: "
            "pip install 'keras-sparsebnn[oblivious]'"
        )


class Engine:
    """A process with one party of SPU. Use it as a context manager, which ends the process.

    Args:
        architecture: the network.
        batch: images that are classified at once.
        rank: `SERVER` or `CLIENT`.
        peer: to the other side; if it hangs up while the process works, nobody waits on.
    """

    def __init__(self, architecture: Architecture, batch: int, rank: int, peer: Wire) -> None:
        self.architecture, self.batch, self.rank, self.peer = architecture, batch, rank, peer
        ours, theirs = socket.socketpair()
        with theirs:
            module, descriptor = "keras_sparsebnn.oblivious.spu_party", theirs.fileno()
            search = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(descriptor)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # SPU logs to both
                stderr=subprocess.DEVNULL,
                pass_fds=[descriptor],
                start_new_session=True,  # Ctrl-C is for the parent, which ends it
                env={
                    **os.environ,
                    "PYTHONPATH": search,
                    "PYTHONSAFEPATH": "1",
                    "JAX_PLATFORMS": "cpu",
                },
            )
        self.wire = Wire(ours, "engine", trusted=True, until=peer.until)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.wire.connection.close()

    def compile(self, accumulator: str, program: bytes = b"") -> bytes:
        """Makes the program of the circuit, or takes one that an engine of this side has made.

        Raises:
            ObliviousError: SPU does not work here, or the other side has gone.
        """
        self._send(
            {
                "architecture": self.architecture.to_json(),
                "batch": self.batch,
                "rank": self.rank,
                "accumulator": accumulator,
                "program": len(program),
            }
        )
        if program:
            self.wire.send_bytes(program)
        size = self._reply(_COMPILE_SECONDS)["program"]
        if not size:
            return program
        if size > MAX_PROGRAM:
            raise ObliviousError(f"Expected a program of at most {MAX_PROGRAM} bytes.")
        return self.wire.receive_bytes(size)

    def connect(self, addresses: tuple[Address, Address], tls: str | None) -> None:
        """Links the two sides; see `Party.connect`."""
        self._send({"addresses": addresses, "tls": tls})
        self._reply(_LINK_SECONDS)

    def give(self, halves: Mapping[str, bytes]) -> None:
        """This side's half of each of the server's inputs."""
        for name in share_sizes(self.architecture, self.batch, SERVER):
            self._send(halves[name])

    def run(self, half: bytes) -> bytes:
        """One batch: this side's half of the images -> its half of the classes, uint64.

        Raises:
            ObliviousError: the other side has gone, or does something else.
        """
        self._send(half)
        result: bytes = self._reply(_RUN_SECONDS, 8 * self.batch)
        return result

    def _send(self, value: bytes | dict[str, Any]) -> None:
        try:
            if isinstance(value, bytes):
                self.wire.send_bytes(value)
            else:
                self.wire.send_json(value)
        except LostError as error:
            self._explain(error)

    def _reply(self, seconds: float, size: int = 0) -> Any:
        end = min(time.monotonic() + seconds, self.wire.until)
        poll = select.poll()
        poll.register(self.wire.connection, select.POLLIN)
        while not poll.poll(100):
            if self.peer.hung_up():
                # It may have said why.
                self.peer.receive_json(1)
                raise LostError(f"Lost the {self.peer.peer}: it closed the connection.")
            if time.monotonic() > end:
                raise LostError(f"Lost the {self.peer.peer}: computing took too long.")
        try:
            return self.wire.receive_bytes(size) if size else self.wire.receive_json()
        except LostError as error:
            self._explain(error)

    def _explain(self, error: LostError) -> Any:
        """A process that is gone: what it has said last, or else what its status says."""
        with contextlib.suppress(LostError):
            self.wire.receive_json(1)
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            raise error from None
        reason = f"status {status}"
        if status < 0:
            reason = signal.Signals(-status).name
        raise ObliviousError(f"SPU's process ended, with {reason}.") from error
