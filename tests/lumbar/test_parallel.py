import os
import signal

import pytest

from lumbar.cli import UserError
from lumbar.parallel import ordered_map


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
