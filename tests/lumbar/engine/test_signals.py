"""When a signal counts."""

import signal

import pytest

from lumbar.engine import signals
from lumbar.engine.signals import StopRequest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: time[0])
    return time


def test_signals_close_to_the_first_say_the_same(clock: list[float]) -> None:
    with StopRequest() as stop:
        for seconds in (0, 0.01, 4.9):
            clock[0] = 100 + seconds
            signal.raise_signal(signal.SIGINT)
        assert stop and stop.number == signal.SIGINT


def test_a_later_signal_acts_at_once(clock: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():
        signal.raise_signal(signal.SIGTERM)
        clock[0] += 5.1
        signal.raise_signal(signal.SIGINT)
