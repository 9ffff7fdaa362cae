"""One progress-barred loop over all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from tqdm import tqdm

from lumbar.cli import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str, unit: str = "it"
) -> Iterator[Result]:
    """Apply a function to every item on several processes, results in the order of the items.

    Parameters
    ----------
    function : callable
        A module-level function of one item (it is sent to other processes).
    items : sequence
        What to work on. Make each worth some milliseconds: items are handed out one by one.
    workers : int
        Processes; 1 works in this process.
    description, unit : str
        Texts of the progress bar on stderr.

    Yields
    ------
    Result
        One per item.

    Raises
    ------
    UserError
        If a worker process died (out of memory, killed).
    """
    workers = min(workers, max(1, len(items)))
    bar = tqdm(total=len(items), desc=description, unit=unit, mininterval=0.5)
    with bar:
        if workers == 1:
            for item in items:
                yield function(item)
                bar.update()
            return
        # Each process uses one core, so OpenCV must not start threads of its own in it.
        with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            try:
                for result in pool.map(function, items):
                    yield result
                    bar.update()
            except BrokenProcessPool as error:
                raise UserError(
                    f"{description}: a worker process died (killed, or out of memory); finished files are kept, "
                    "run the same command again, with fewer --workers if memory was short"
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
