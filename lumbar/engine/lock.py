"""One process at a time on one checkpoint: a run holds a lock on its config, fold and seed."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from lumbar.cli import UserError
from lumbar.engine.signals import Stopped, StopRequest

LOCK: Final = "run_seed{seed}.lock"
_PAUSE: Final = 2.0  # seconds between two looks at a lock that another process holds

_log = logging.getLogger(__name__)


@contextmanager
def hold(path: Path, wait: bool, stop: StopRequest) -> Iterator[None]:
    """Hold a lock for the length of the block.

    It is a POSIX lock: shared storage (NFS 4, Lustre, GPFS) keeps it across machines, and it goes with its process,
    however that ends. The file stays, and says who held it last. Storage without locks is a warning.

    Parameters
    ----------
    path : Path
        The file; its folder is made. A process opens it once only: closing it anywhere gives the lock back.
    wait : bool
        Wait for another process that holds it.
    stop : StopRequest
        Ends the waiting.

    Raises
    ------
    Stopped
        If the run was asked to stop while it waited.
    UserError
        If another process holds it and `wait` is False; names host, process and job.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        waiting = False
        while not _taken(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            if not wait:
                raise UserError(
                    f"{path.parent}: {holder} works on this config, fold and seed; wait for it (--wait True) or stop it"
                )
            if not waiting:
                _log.info("%s: waiting for %s, which works on this config, fold and seed", path.parent, holder)
            waiting = True
            time.sleep(_PAUSE)
            if stop:
                raise Stopped(stop.number, f"{path.parent}: stopped while waiting for {holder}")
        file.truncate(0)
        file.write(f"{_self()}\n")
        file.flush()
        yield


def _taken(file: TextIO) -> bool:
    """Try to take the lock."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        _log.warning(
            "%s: this storage keeps no locks (%s); see that no other process trains the same", file.name, error
        )
    return True


def _self() -> str:
    """Name this process, and its job where a scheduler started it."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}" + (f", SLURM job {job}" if job else "")
