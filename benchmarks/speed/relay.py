"""Everything that two processes say to each other, recorded or counted on its way.

    python -m benchmarks.speed.relay PORT LINK_PORT TO_SERVER TO_CLIENT

The server is on 127.0.0.1, and the client believes that it is on 127.0.0.2; the server believes
that the client is on 127.0.0.3. So it stands between them as an SSH tunnel does. LINK_PORT is
the client's; the server's is PORT + 1. TO_SERVER and TO_CLIENT are files for the bytes.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO

SERVER, SERVER_SEEN, CLIENT_SEEN = "127.0.0.1", "127.0.0.2", "127.0.0.3"


def relay(host: str, port: int, source: str, forth: IO[bytes], back: IO[bytes]) -> None:
    """Relays HOST:PORT to the same port of 127.0.0.1, where it seems to come from SOURCE."""
    listening = socket.create_server((host, port))

    def accept() -> None:
        while True:
            near, _ = listening.accept()
            far = connect(port, source)
            if far is None:
                near.close()
                continue
            for ends in ((near, far, forth), (far, near, back)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept).start()


def connect(port: int, source: str) -> socket.socket | None:
    end = time.monotonic() + 30
    while time.monotonic() < end:  # a side listens a little after it has said so
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((SERVER, port), source_address=(source, 0))
        time.sleep(0.05)
    return None


def pump(source: socket.socket, target: socket.socket, record: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            record.write(part)
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main() -> None:
    port, link_port = map(int, sys.argv[1:3])
    to_server, to_client = (Path(path).open("ab", 0) for path in sys.argv[3:5])  # noqa: SIM115
    relay(SERVER_SEEN, port, CLIENT_SEEN, to_server, to_client)
    relay(SERVER_SEEN, port + 1, CLIENT_SEEN, to_server, to_client)
    relay(CLIENT_SEEN, link_port, SERVER_SEEN, to_client, to_server)
    print("ready", flush=True)


if __name__ == "__main__":
    main()
