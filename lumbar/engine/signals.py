"""Stopping politely: a signal is noted at once and obeyed when the present step is done and saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


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
    """Notes SIGTERM and SIGINT for the length of a ``with`` block; a second one acts at once."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

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
        self.number = number
        signal.signal(number, self._before[number])
