"""One progress-barred loop over all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import TypeVar

import cv2
from tqdm import tqdm

from lumbar.cli import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    description: str,
    unit: str = "it",
    lost: Callable[[Item], Result] | None = None,
    quiet: bool = False,
) -> Iterator[Result]:
    """Apply a function to every item on several processes, results in the order of the items.

    Parameters
    ----------
    function : callable
        A module-level function of one item (it is sent to other processes).
    items : sequence
        What to work on. Make each worth some milliseconds: items are handed out one by one.
    workers : int
        Processes; 1 works in this process (unless `lost` is given).
    description, unit : str
        Texts of the progress bar on stderr.
    lost : callable, optional
        Makes, in this process, the result of an item that kills its process even when it runs alone (a native
        library's crash, lack of memory). Without it such an item ends the run.
    quiet : bool
        Show no progress bar.

    Yields
    ------
    Result
        One per item.

    Raises
    ------
    UserError
        If a worker process died (out of memory, killed) and `lost` is not given.
    """
    workers = min(workers, max(1, len(items)))
    done = 0
    with tqdm(total=len(items), desc=description, unit=unit, mininterval=0.5, disable=quiet) as bar:
        while done < len(items):
            try:
                in_process = workers == 1 and lost is None
                for result in map(function, items[done:]) if in_process else _pooled(function, items[done:], workers):
                    yield result
                    done += 1
                    bar.update()
            except BrokenProcessPool as error:
                if lost is None:
                    raise UserError(
                        f"{description}: a worker process died (killed, or out of memory); finished files are kept, "
                        "run the same command again, with fewer --workers if memory was short"
                    ) from error
                # Any of the items at work may have been the one: run the first alone, the others again.
                yield alone(function, items[done], lost)
                done += 1
                bar.update()


def alone(function: Callable[[Item], Result], item: Item, lost: Callable[[Item], Result]) -> Result:
    """Apply a function to one item in a process of its own; ``lost(item)`` if that process dies."""
    try:
        return next(_pooled(function, [item], 1))
    except BrokenProcessPool:
        return lost(item)


def _pooled(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Map over a pool of processes; leaving early cancels what has not begun."""
    with ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start_worker) as pool:
        try:
            yield from pool.map(function, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _context() -> BaseContext:
    """Choose how workers start: never as a fork of this process.

    The threads of its libraries (OpenCV, PyTorch) are not in the copy, and a lock that one of them held would keep a
    worker waiting for ever.
    """
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _start_worker() -> None:
    """Set up a worker process."""
    cv2.setNumThreads(1)  # each process uses one core, so OpenCV must not start threads of its own in it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C, once, and stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends: a killed parent cannot stop its workers, and they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
