"""Stopping politely: a signal is noted at once and obeyed when the present step is done and saved."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any, Final

SETTLING: Final = 5.0
"""Signals within so many seconds of the first say the same once more: SLURM sends two, torchrun up to three."""

OUTLIVES: Final = 60
"""Seconds by which a loader process outlives SIGTERM; longer than a scheduler waits before it kills."""


class Stopped(Exception):
    """The run was asked to stop, and has saved.

    Parameters
    ----------
    number : int
        The signal.
    message : str
        Where it stopped and how to go on.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + number


class StopRequest:
    """Notes SIGTERM and SIGINT for the length of a ``with`` block; one that comes `SETTLING` s later acts at once."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}
        self._first = 0.0

    def __bool__(self) -> bool:
        return self.number != 0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def join(self) -> None:
        """Stop too, because another rank was asked to."""
        self.number = self.number or signal.SIGTERM

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._first and time.monotonic() - self._first > SETTLING:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
        self._first = self._first or time.monotonic()
        self.number = self.number or number


def outlive_signals() -> None:
    """Keep a helper process of this run from a signal that is meant for the run, which saves first.

    A scheduler signals every process of a job. The helper ignores SIGINT, and outlives SIGTERM by `OUTLIVES` s, so that
    it ends even where nobody tells it to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _set_alarm)


def _set_alarm(number: int, frame: FrameType | None) -> None:
    signal.alarm(OUTLIVES)
