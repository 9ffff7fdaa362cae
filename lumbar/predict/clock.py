"""Where the time of a run goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Adds up seconds by stage.

    Parameters
    ----------
    announce : callable, optional
        Told the name of each stage that begins.
    """

    def __init__(self, announce: Callable[[str], None] = lambda stage: None) -> None:
        self.seconds: dict[str, float] = {}
        self.announce = announce

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of the block to a stage."""
        self.announce(stage)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def summary(self) -> str:
        """List the stages with their share of the time, in the order in which they first began."""
        total = sum(self.seconds.values()) or 1.0
        return ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in self.seconds.items())
