"""The side that has the weights: answers clients, one after the other.

    client                                  server
    {"protocol": 2}                   ->
                                      <-    {"architecture", "accumulator", "link_port",
                                             "max_batch"}
    {"digest", "batch", "link_port"}  ->
           both make the program of the circuit
                                      <-    {"ready": 1}
    {"ready": 1}                      ->
           both link their SPUs
                                      <-    a half of every weight, threshold and bias
    for each batch: {"images"}, a
    half of their bits                ->
           both compute, over SPU's own link
                                      <-    the server's half of the classes

in messages of `wire`. A client that closes the connection between batches is done. Whatever
else it does ends its session, and the server goes on with the next one. What a client sends is
read here as JSON or as bytes of a known number; native code that answers to it, SPU, is in
another process (`engine`), which ends with the session.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS
from keras_sparsebnn.oblivious.architecture import MAX_PRODUCTS, Architecture, ObliviousError
from keras_sparsebnn.oblivious.engine import Engine, require_spu
from keras_sparsebnn.oblivious.packed import packed
from keras_sparsebnn.oblivious.program import Program, read_program
from keras_sparsebnn.oblivious.spu_party import CLIENT, SERVER, share_sizes, split
from keras_sparsebnn.oblivious.wire import (
    SECONDS,
    Address,
    LostError,
    Wire,
    integers,
    is_loopback,
    one_line,
    tls_context,
)

__all__ = ["MAX_BATCH", "PROTOCOL", "Listening", "Session", "check_batch", "serve"]

PROTOCOL = 2
MAX_BATCH = 256
_IDLE_SECONDS = 60.0
_PROGRAMS = 4


@dataclass(frozen=True)
class Listening:
    """The server is up.

    Attributes:
        host: where it listens.
        port: for clients.
        link_port: for their SPU.
        architecture: the digest, which clients may expect.
    """

    host: str
    port: int
    link_port: int
    architecture: str

    def __str__(self) -> str:
        return (
            f"Listening on {self.host}:{self.port}, SPU on port {self.link_port}. "
            f"Architecture {self.architecture[:16]}."
        )


@dataclass(frozen=True)
class Session:
    """A client has come and gone.

    Attributes:
        peer: its host and port.
        images: how many were classified. Their classes are not known here.
        seconds: from its connection to its end.
        error: why it ended, in a line; empty if the client was done.
    """

    peer: str
    images: int
    seconds: float
    error: str

    def __str__(self) -> str:
        return f"{self.peer}: {self.error or f'{self.images} images in {self.seconds:.1f} s.'}"


class _Server:
    """What all sessions share."""

    def __init__(
        self,
        program: Program,
        link_port: int,
        accumulator: str,
        max_batch: int,
        tls: str | None,
    ) -> None:
        self.program, self.link_port = program, link_port
        self.accumulator, self.max_batch, self.tls = accumulator, max_batch, tls
        self.context = None if tls is None else tls_context(tls, server=True)
        self.compiled: dict[int, bytes] = {}

    def answer(self, connection: socket.socket, peer: Address, until: float) -> Session:
        """One client, until it leaves or `until`."""
        start, done, said = time.monotonic(), [0], ""
        try:
            if self.context is not None:
                connection.settimeout(SECONDS)
                connection = self.context.wrap_socket(connection, server_side=True)
            wire = Wire(connection, "client", until=until)
            try:
                self._converse(wire, done)
            except ObliviousError as error:
                wire.send_error(error)
                wire.end()
                raise
        except (ObliviousError, OSError) as error:
            said = one_line(error)
        finally:
            connection.close()
        return Session(f"{peer[0]}:{peer[1]}", done[0], time.monotonic() - start, said)

    def _converse(self, wire: Wire, done: list[int]) -> None:
        architecture = self.program.architecture
        integers(wire.receive_json(), protocol=(PROTOCOL, PROTOCOL))
        wire.send_json(
            {
                "architecture": architecture.to_json(),
                "accumulator": self.accumulator,
                "link_port": self.link_port,
                "max_batch": self.max_batch,
            }
        )
        asked = wire.receive_json()
        batch, link_port = integers(
            asked, batch=(1, self.max_batch), link_port=(1, 65535)
        ).values()
        if asked.get("digest") != architecture.digest:
            raise ObliviousError("Expected the digest of our architecture, got another.")
        hosts = wire.connection.getsockname()[0], wire.connection.getpeername()[0]
        with Engine(architecture, batch, SERVER, wire) as engine:
            self._compile(engine)
            wire.send_json({"ready": 1})
            integers(wire.receive_json(600), ready=(1, 1))
            engine.connect(((hosts[0], self.link_port), (hosts[1], link_port)), self.tls)
            kept = {}
            for number, layer in enumerate(self.program.secrets):
                for name, bits in layer.items():
                    half, mine = split(packed(bits))
                    wire.send_bytes(half)
                    kept[f"{name}{number}"] = mine.tobytes()
            engine.give(kept)
            (size,) = share_sizes(architecture, batch, CLIENT).values()
            while True:
                try:
                    request = wire.receive_json(_IDLE_SECONDS)
                except LostError:
                    if done[0] and wire.hung_up():
                        return
                    raise
                images = integers(request, images=(1, batch))["images"]
                wire.send_bytes(engine.run(wire.receive_bytes(size)))
                done[0] += images

    def _compile(self, engine: Engine) -> None:
        """Compiles once for each size of batch, as long as clients ask for few sizes."""
        known = self.compiled.get(engine.batch, b"")
        program = engine.compile(self.accumulator, known)
        if not known and len(self.compiled) < _PROGRAMS:
            self.compiled[engine.batch] = program


def check_batch(architecture: Architecture, batch: int) -> None:
    """Raises `ObliviousError` unless that many images can be classified at once."""
    products = batch * sum(layer.taps * layer.outputs for layer in architecture.layers)
    if not 1 <= batch <= MAX_BATCH or products > MAX_PRODUCTS:
        raise ObliviousError(
            f"Expected a batch of 1 to {MAX_BATCH} images and at most {MAX_PRODUCTS} binary "
            f"products, got {batch} and {products}."
        )


def serve(
    model: str,
    listen: Address,
    *,
    accumulator: str = "lba",
    max_batch: int = 32,
    session_seconds: float = 600.0,
    tls: str | None = None,
    open_network: bool = False,
    report: Callable[[Listening | Session], None] = print,
) -> None:
    """Serves until it is interrupted. SPU's link listens on the next port.

    Args:
        model: path of an LCE file.
        listen: where clients connect. Port 0 takes any.
        accumulator: one of `ACCUMULATORS`.
        max_batch: the most images that a client may have classified at once.
        session_seconds: after which a client has to make room for the next one.
        tls: a folder with `ca.pem`, `cert.pem` and `key.pem`; see docs/oblivious.md.
        open_network: allow other addresses than loopback without `tls`.
        report: is told when it listens, and of each session that has ended.

    Raises:
        ObliviousError: the model cannot be private, spu is not installed, or others could
            listen in.
        OSError: it cannot listen there.
    """
    program = read_program(model)
    if accumulator not in ACCUMULATORS:
        raise ObliviousError(
            f"Expected an accumulator of {', '.join(ACCUMULATORS)}, got {accumulator!r}."
        )
    check_batch(program.architecture, max_batch)
    require_spu()
    if not (tls or open_network or is_loopback(listen[0])):
        raise ObliviousError(
            f"Expected --tls FOLDER where other machines can connect, got {listen[0]}. Use "
            "127.0.0.1 with an SSH tunnel, or --no-tls if the network itself is private."
        )
    with _listening(listen) as (listener, link_port):
        server = _Server(program, link_port, accumulator, max_batch, tls)
        host, port = listener.getsockname()[:2]
        report(Listening(host, port, link_port, program.architecture.digest))
        while True:
            connection, peer = listener.accept()
            report(server.answer(connection, peer, time.monotonic() + session_seconds))


@contextlib.contextmanager
def _listening(listen: Address):  # type: ignore[no-untyped-def]
    """A socket, and the port after its own, which has to be free."""
    tries = 1 if listen[1] else 20
    for attempt in range(tries):
        with socket.create_server(listen, backlog=8) as listener:
            link_port = listener.getsockname()[1] + 1
            try:
                socket.create_server((listen[0], link_port)).close()
            except (OSError, OverflowError):
                if attempt + 1 == tries:
                    raise SparseBNNError(
                        f"Expected a free port {link_port} for SPU, got one in use."
                    ) from None
                continue
            yield listener, link_port
            return
