import os
import signal
import subprocess
import sys

import pytest

from lumbar.cli import UserError
from lumbar.parallel import alone, ordered_map


def square(value: int) -> int:
    return value * value


def die(value: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def fail(value: int) -> int:
    raise ValueError(f"bad {value}")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    assert list(ordered_map(square, range(20), workers, "squares")) == [value**2 for value in range(20)]


def test_no_items_give_no_results() -> None:
    assert list(ordered_map(square, [], 2, "nothing")) == []


def test_a_killed_worker_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="a worker process died"):
        list(ordered_map(die, [1, 2], 2, "dying"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_function_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ValueError, match="bad 1"):
        list(ordered_map(fail, [1, 2], workers, "failing"))


def die_at_three(value: int) -> int:
    return die(value) if value == 3 else value


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_item_that_kills_its_process_can_be_lost_alone(workers: int) -> None:
    results = list(ordered_map(die_at_three, range(8), workers, "dying", lost=lambda value: -value))
    assert results == [0, 1, 2, -3, 4, 5, 6, 7]


def test_one_item_alone() -> None:
    assert alone(square, 3, lambda _: -1) == 9
    assert alone(die, 3, lambda _: -1) == -1


WAITING = """
import os
import time
from lumbar.parallel import ordered_map
def wait(value):
    os.write(1, b"at work\\n")
    time.sleep(60)
list(ordered_map(wait, [1, 2], 2, "waiting"))
"""


def test_workers_end_with_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
        process.kill()
        process.communicate(timeout=20)  # ends when the last process that holds the pipe has ended
