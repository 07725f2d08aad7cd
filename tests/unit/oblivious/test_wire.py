"""Messages between sides that do not trust each other, without SPU."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from keras_sparsebnn.oblivious import ObliviousError, read_program
from keras_sparsebnn.oblivious import engine as engines
from keras_sparsebnn.oblivious.server import Session, _Server, check_batch, serve
from keras_sparsebnn.oblivious.wire import LostError, Wire, address, one_line, tls_context


@pytest.fixture
def ends():
    near, far = socket.socketpair()
    with near, far:
        yield Wire(near, "client"), far


class TestWire:
    def test_what_is_sent_arrives(self, ends):
        near, far = ends
        other = Wire(far, "server")
        near.send_json({"images": 3})
        near.send_bytes(b"\0\1")
        near.send_error(ObliviousError("Expected\nmore."))
        assert other.receive_json() == {"images": 3}
        assert other.receive_bytes(2) == b"\0\1"
        with pytest.raises(ObliviousError, match=r"^The server says: Expected more\.$"):
            other.receive_json()

    def test_bytes_of_another_number(self, ends):
        near, far = ends
        far.sendall(struct.pack("<IB", 3, 2) + b"abc")
        with pytest.raises(ObliviousError, match="Expected 4 bytes from the client, got 3"):
            near.receive_bytes(4)
        far.sendall(struct.pack("<IB", 5, 2))
        with pytest.raises(ObliviousError, match=r"at most 4 bytes of kind 2 .* got 5"):
            near.receive_bytes(4)

    def test_a_message_that_trickles_has_no_more_time_than_a_silent_one(self, ends):
        near, far = ends
        stop = threading.Event()

        def trickle():
            far.sendall(struct.pack("<IB", 1000, 2))
            while not stop.wait(0.05):
                far.sendall(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        start = time.monotonic()
        try:
            with pytest.raises(LostError, match="Lost the client: it took too long"):
                near.receive_bytes(1000, 0.3)
        finally:
            stop.set()
            thread.join()
        assert time.monotonic() - start < 5

    def test_a_session_has_an_end(self, ends):
        near, _ = ends
        near.until = time.monotonic() + 0.1
        with pytest.raises(LostError, match="took too long"):
            near.receive_json(600)

    def test_a_session_ends_for_those_who_read_nothing_too(self, ends):
        near, _ = ends
        start = time.monotonic()
        near.until = start + 0.2
        with pytest.raises(LostError, match="took too long"):
            near.send_bytes(bytes(1 << 24))
        assert time.monotonic() - start < 5
        with pytest.raises(LostError, match="took too long"):
            near.send_json({"ready": 1})

    def test_an_error_is_told_after_the_end(self, ends):
        near, far = ends
        near.until = time.monotonic()
        near.send_error(ObliviousError("Expected less."))
        with pytest.raises(ObliviousError, match="says: Expected less"):
            Wire(far, "server").receive_json()

    def test_a_closed_connection(self, ends):
        near, far = ends
        assert not near.hung_up()
        far.close()
        assert near.hung_up()
        with pytest.raises(LostError, match="closed the connection"):
            near.receive_json()
        with pytest.raises(LostError, match="Lost the client"):
            near.send_bytes(b"x")


@pytest.mark.parametrize("text", ["7100", ":7100", "::1:7100", "host:", "host:x", "host:65535"])
def test_no_address(text):
    with pytest.raises(ObliviousError, match="Expected HOST:PORT"):
        address(text)


def test_a_peers_text_is_short_and_printable():
    assert one_line("a\nb\x1b[0m\u202e") == "a b?[0m?"
    assert len(one_line("x" * 10000)) == 500


def test_no_certificates(tmp_path):
    with pytest.raises(
        ObliviousError, match=r"Expected ca\.pem, cert\.pem and an open key\.pem"
    ):
        tls_context(str(tmp_path), server=True)


def test_a_silent_client_is_one_line(program):
    server = _Server(program, 7101, "lba", 4, None)
    near, far = socket.socketpair()
    with far:
        session = server.answer(near, ("127.0.0.1", 5), time.monotonic() + 0.1)
    assert str(session) == "127.0.0.1:5: Lost the client: it took too long."
    assert str(Session("a:1", 3, 1.25, "")) == "a:1: 3 images in 1.2 s."


class TestServe:
    @pytest.fixture
    def path(self, lce_network, tmp_path):
        path = tmp_path / "model.tflite"
        path.write_bytes(lce_network(0))
        return str(path)

    def test_without_spu(self, path, monkeypatch):
        monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ObliviousError, match=r"pip install 'keras-sparsebnn\[oblivious\]'"):
            serve(path, ("127.0.0.1", 0))

    def test_others_could_listen_in(self, path, monkeypatch):
        monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: True)
        with pytest.raises(ObliviousError, match="Expected --tls FOLDER where other machines"):
            serve(path, ("0.0.0.0", 0))

    def test_another_accumulator(self, path):
        with pytest.raises(ObliviousError, match="lba, tree, bounded, fixed, got 'sum'"):
            serve(path, ("127.0.0.1", 0), accumulator="sum")

    @pytest.mark.parametrize("batch", [0, 257])
    def test_a_batch_has_bounds(self, path, batch):
        with pytest.raises(ObliviousError, match="Expected a batch of 1 to 256 images"):
            check_batch(read_program(path).architecture, batch)
