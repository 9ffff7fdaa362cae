import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lumbar.cli import UserError
from lumbar.parallel import _context, alone, ordered_map

JOBS = """
import os, signal
def square(value): return value * value
def die(value): os.kill(os.getpid(), signal.SIGKILL)
def fail(value): raise ValueError(f"bad {value}")
def die_at_three(value): return die(value) if value == 3 else value
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that worker processes can import, whichever way they are started."""
    (tmp_path / "jobs_of_this_test.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("jobs_of_this_test")
    del sys.modules["jobs_of_this_test"]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(workers: int, jobs: ModuleType) -> None:
    assert list(ordered_map(jobs.square, range(20), workers, "squares")) == [value**2 for value in range(20)]


def test_no_items_give_no_results(jobs: ModuleType) -> None:
    assert list(ordered_map(jobs.square, [], 2, "nothing")) == []


def test_a_killed_worker_is_a_clear_error(jobs: ModuleType) -> None:
    with pytest.raises(UserError, match="a worker process died"):
        list(ordered_map(jobs.die, [1, 2], 2, "dying"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_function_reaches_the_caller(workers: int, jobs: ModuleType) -> None:
    with pytest.raises(ValueError, match="bad 1"):
        list(ordered_map(jobs.fail, [1, 2], workers, "failing"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_item_that_kills_its_process_can_be_lost_alone(workers: int, jobs: ModuleType) -> None:
    results = list(ordered_map(jobs.die_at_three, range(8), workers, "dying", lost=lambda value: -value))
    assert results == [0, 1, 2, -3, 4, 5, 6, 7]


def test_one_item_alone(jobs: ModuleType) -> None:
    assert alone(jobs.square, 3, lambda _: -1) == 9
    assert alone(jobs.die, 3, lambda _: -1) == -1


def test_a_process_is_not_forked() -> None:
    assert _context().get_start_method() in ("forkserver", "spawn")


WAITING = """
import os
import time
from lumbar.parallel import ordered_map
def wait(value):
    os.write(1, b"at work\\n")
    time.sleep(60)
if __name__ == "__main__":
    list(ordered_map(wait, [1, 2], 2, "waiting"))
"""


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    with subprocess.Popen(
        [sys.executable, tmp_path / "waiting.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
        process.kill()
        process.communicate(timeout=20)  # ends when the last process that holds the pipe has ended
