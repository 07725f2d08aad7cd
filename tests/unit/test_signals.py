"""Signals: collected, and given back."""

import os
import signal

from keras_sparsebnn._signals import collected_signals, kept_signals


def test_signals_are_collected_and_handlers_restored():
    before = signal.getsignal(signal.SIGTERM)
    with collected_signals() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_of_others_do_not_stay():
    with collected_signals() as received:
        with kept_signals():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]
