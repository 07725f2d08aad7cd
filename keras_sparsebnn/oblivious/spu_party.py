"""One party of SPU's Cheetah protocol, on XOR shares; `main` is the process that it lives in.

Each bit of either side is two bits whose XOR it is. The owner draws one half at random
(`split`), sends it to the other side and keeps the XOR of it and the bit: what travels is
uniform and has nothing of the secret. SPU takes both halves as its Boolean shares, and never
sees a bit as a whole. Of the result, too, each side has a half; the server sends its own to the
client, and the client's does not leave it.

SPU is native code that answers to a peer, holds Python's lock while it computes, and logs as it
likes. So it has a process of its own, which is told no more than the halves of this side, talks
to its parent in messages of `wire`, and can be ended at any time.

Reference: Huang et al., "Cheetah: Lean and Fast Secure Two-Party Deep Neural Network
Inference", USENIX Security 2022, as implemented by SecretFlow's SPU 0.9.5 (PyPI `spu`,
Apache-2.0).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from keras_sparsebnn.oblivious.accumulators import Bits
from keras_sparsebnn.oblivious.architecture import Architecture, ObliviousError
from keras_sparsebnn.oblivious.packed import PackedWords, Words32, class_of, input_shapes
from keras_sparsebnn.oblivious.wire import Address, LostError, Wire, one_line

__all__ = ["CLIENT", "MAX_PROGRAM", "SERVER", "Party", "share_sizes", "split"]

SERVER, CLIENT = 0, 1
"""Ranks."""

MAX_PROGRAM = 1 << 28
"""Bytes of a compiled circuit."""

_SHARE = "cheetah.BShr<FM64,32>"
_SECONDS_OF_SILENCE = 60

_CONFIG = {
    "protocol": "CHEETAH",
    "field": "FM64",
    # From Python, `cheetah_2pc_config.ot_kind` cannot be set; from JSON it can.
    "cheetah_2pc_config": {"ot_kind": "YACL_Ferret"},
}


def _reason(error: Exception) -> str:
    """What SPU says, without the addresses of its functions."""
    return one_line(str(error).partition("stacktrace:")[0]) or type(error).__name__


class _Share(Protocol):
    """SPU's: what it is, and one side's part of it."""

    meta: bytes
    share_chunks: list[bytes]


def split(words: Words32) -> tuple[bytes, Words32]:
    """A secret as two halves, each uniformly random: what to send, and what to keep.

    The random half is the operating system's (`secrets.token_bytes`), and new in each call.
    """
    half = secrets.token_bytes(words.nbytes)
    return half, words ^ np.frombuffer(half, np.uint32).reshape(words.shape)


def share_sizes(architecture: Architecture, batch: int, owner: int) -> dict[str, int]:
    """Name -> bytes of each half of the inputs that `owner` has."""
    shapes = input_shapes(architecture, batch)[owner]
    return {name: 4 * math.prod(shape) for name, shape in shapes.items()}


class Party:
    """One side's shares and program.

    Args:
        architecture: the network.
        batch: images that are classified at once.
        rank: `SERVER` or `CLIENT`.

    Raises:
        ObliviousError: no spu, or one that does not fit.
    """

    def __init__(self, architecture: Architecture, batch: int, rank: int) -> None:
        try:
            import spu
        except ImportError as error:
            raise ObliviousError(
                f"Expected the package spu, got: {one_line(error)}."
            ) from error
        self.spu, self.architecture, self.batch, self.rank = spu, architecture, batch, rank
        self.shapes = input_shapes(architecture, batch)
        self.config = spu.RuntimeConfig()
        if not self.config.ParseFromJsonString(json.dumps(_CONFIG)):
            raise ObliviousError("Expected SPU 0.9.5, got one that refuses its configuration.")
        self.io = spu.Io(2, self.config)
        self.program = spu.libspu.Executable()

    def compile(self, accumulator: str) -> bytes:
        """Makes the program; both sides make the same of the architecture."""
        import jax
        from spu.utils import frontend

        server, client = self.shapes
        names = [*server, *client]

        def network(*inputs: Bits) -> Bits:
            words = PackedWords(jax.numpy, jax.lax)
            given = dict(zip(names, inputs, strict=True))
            return class_of(self.architecture, given, words, accumulator)

        self.program, _ = frontend.compile(
            frontend.Kind.JAX,
            network,
            [np.zeros(shape, np.uint32) for shape in (*server.values(), *client.values())],
            {},
            names,
            [self.spu.Visibility.VIS_SECRET] * len(names),
            lambda outputs: ["class"],
        )
        return bytes(self.program.SerializeToString())

    def load(self, program: bytes) -> None:
        """Takes a program that `compile` has made in another process of this side."""
        if not self.program.ParseFromString(program):
            raise ObliviousError("Expected a program of SPU 0.9.5, got something else.")

    def connect(self, addresses: tuple[Address, Address], tls: str | None) -> None:
        """Links the two sides.

        Args:
            addresses: where they listen for SPU's messages, the server first.
            tls: a folder as in `wire.tls_context`; None without TLS.

        Raises:
            ObliviousError: the other side cannot be reached.
        """
        description = self.spu.link.Desc()
        description.recv_timeout_ms = 1000 * _SECONDS_OF_SILENCE
        description.connect_retry_times = 40
        description.connect_retry_interval_ms = 250
        for name, (host, port) in zip(("server", "client"), addresses, strict=True):
            description.add_party(name, f"{host}:{port}")
        if tls is not None:
            description.enable_ssl = True
            for options in (description.server_ssl_opts, description.client_ssl_opts):
                options.cert.certificate_path = f"{tls}/cert.pem"
                options.cert.private_key_path = f"{tls}/key.pem"
                options.verify.ca_file_path = f"{tls}/ca.pem"
                options.verify.verify_depth = 1
        try:
            link = self.spu.link.create_brpc(description, self.rank)
            self.runtime = self.spu.Runtime(link, self.config)
        except Exception as error:  # SPU raises what it has from C++
            host, port = addresses[1 - self.rank]
            raise ObliviousError(
                f"Expected the other side's SPU at {host}:{port}, got: {_reason(error)}."
            ) from error

    def give(self, halves: Mapping[str, bytes], owner: int) -> None:
        """This side's halves of the inputs that `owner` has."""
        for name, shape in self.shapes[owner].items():
            words = np.frombuffer(halves[name], np.uint32).reshape(shape)
            zeros, secret = np.zeros(shape, np.uint32), self.spu.Visibility.VIS_SECRET
            share = self.io.make_shares(zeros, secret)[self.rank]
            self.runtime.set_var(name, _boolean(share, words))

    def run(self) -> npt.NDArray[np.uint64]:
        """Computes, together with the other side: this side's half of each image's class.

        Raises:
            ObliviousError: the other side died, or does something else.
        """
        try:
            self.runtime.run(self.program)
        except Exception as error:  # as above
            raise ObliviousError(
                f"Lost the other side's SPU while computing: {_reason(error)}."
            ) from error
        share = self.runtime.get_var("class")
        if b"cheetah.BShr<FM64," not in share.meta or len(share.share_chunks) != 1:
            raise ObliviousError("Expected a Boolean share of SPU 0.9.5, got another.")
        return np.frombuffer(share.share_chunks[0][-8 * self.batch :], np.uint64)


def _boolean(share: _Share, words: Words32) -> _Share:
    """An SPU share of these words as XOR halves, in place of one that has sums.

    SPU's own would enter as sums, of which every AND had to make bits first: three times the
    messages. The kind of a share is text in its description, field 5; a ring element takes 64
    bits, whatever it holds.
    """
    content = words.astype(np.uint64).tobytes()
    kind = share.meta.rindex(b"*")
    old = share.meta[kind + 2 :]
    if not old.startswith(b"cheetah.AShr<FM64>") or len(old) != share.meta[kind + 1]:
        raise ObliviousError("Expected a share of SPU 0.9.5, got another kind.")
    chunk = share.share_chunks[0]
    if len(share.share_chunks) != 1 or len(chunk) <= len(content):
        raise ObliviousError("Expected a share of SPU 0.9.5 in one piece, got several.")
    share.meta = share.meta[: kind + 1] + bytes([len(_SHARE)]) + _SHARE.encode()
    share.share_chunks = [chunk[: len(chunk) - len(content)] + content]
    return share


@contextlib.contextmanager
def _mortal(wire: Wire) -> Iterator[None]:
    """Inside, the process ends as soon as its parent does, whoever has Python's lock.

    The parent says nothing meanwhile, so what makes the kernel send a SIGIO, which ends a
    process, is the other end of the socket being closed.
    """
    descriptor = wire.connection.fileno()
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    if wire.hung_up():
        raise LostError("Lost the parent.")
    yield
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def _work(wire: Wire) -> None:
    """What `engine.Engine` asks for, until it has gone. See there."""
    forever = float("inf")
    asked = wire.receive_json(forever)
    architecture = Architecture.from_json(asked["architecture"])
    party = Party(architecture, asked["batch"], asked["rank"])
    if asked["program"]:
        party.load(wire.receive_bytes(asked["program"], forever))
        wire.send_json({"program": 0})
    else:
        with _mortal(wire):
            program = party.compile(asked["accumulator"])
        wire.send_json({"program": len(program)})
        wire.send_bytes(program)
    link = wire.receive_json(forever)
    server, client = ((host, port) for host, port in link["addresses"])
    with _mortal(wire):
        party.connect((server, client), link["tls"])
    wire.send_json({})
    sizes = [share_sizes(architecture, party.batch, owner) for owner in (SERVER, CLIENT)]
    owner = SERVER
    while True:
        halves = {
            name: wire.receive_bytes(size, forever) for name, size in sizes[owner].items()
        }
        party.give(halves, owner)
        if owner == CLIENT:
            with _mortal(wire):
                classes = party.run()
            wire.send_bytes(classes.tobytes())
        owner = CLIENT


def main() -> None:
    """`python -m keras_sparsebnn.oblivious.spu_party DESCRIPTOR`: of a socket to the parent."""
    wire = Wire(socket.socket(fileno=int(sys.argv[1])), "parent")
    try:
        _work(wire)
    except ObliviousError as error:
        wire.send_error(error)
    os._exit(0)  # SPU's threads may still wait for a side that is gone


if __name__ == "__main__":
    main()
