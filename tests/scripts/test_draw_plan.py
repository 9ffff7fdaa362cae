import runpy
from collections import Counter
from pathlib import Path

import cv2
import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "draw_plan.py"))
Graph, plan, hours_to_the_end, idle, span = (
    SCRIPT[name] for name in ("Graph", "plan", "hours_to_the_end", "idle", "span")
)


@pytest.fixture
def graph():
    """A table that needs no GPU (0), then two hours (1), then three (2); beside them twice two hours (3, 4)."""
    return Graph([0.0, 2.0, 3.0, 2.0, 2.0], ["", "a", "b", "c", "c"], [set(), {0}, {1}, set(), set()])


def test_the_longest_chain_is_summed(graph):
    assert hours_to_the_end(graph) == [5, 5, 3, 2, 2]


def test_what_the_most_work_waits_for_goes_first(graph):
    chain = hours_to_the_end(graph)
    runs = {run.job: (run.gpu, run.start) for run in plan(graph, 2, chain.__getitem__)}
    assert runs == {1: (0, 0), 3: (1, 0), 2: (0, 2), 4: (1, 2)}


def test_idle_time_is_counted_to_the_end_of_the_last_job(graph):
    first = plan(graph, 2, hours_to_the_end(graph).__getitem__)
    assert (span(graph, first), idle(graph, first, 2)) == (5, pytest.approx(1 - 9 / 10))
    last = plan(graph, 2, [0, 1, 2, 4, 3].__getitem__)  # the chain after all others
    assert (span(graph, last), idle(graph, last, 2)) == (7, pytest.approx(1 - 9 / 14))


@pytest.mark.slow
def test_the_real_graph_is_drawn(run_script, tmp_path):
    done = run_script("draw_plan.py", "--gpus", 4, "--out", tmp_path / "plan.png")
    assert done.returncode == 0, done.stderr
    assert "in 56 jobs, estimated" in done.stdout
    assert cv2.imread(str(tmp_path / "plan.png")).shape[1] > 600
    real = SCRIPT["read_graph"]([])
    jobs = Counter(name for name in real.names if name)
    assert jobs["inference"] == 2 * 4
    assert {jobs[name] for name in jobs if name != "inference"} == {4 + 4}


def test_a_file_that_is_none_is_one_line(run_script, tmp_path):
    done = run_script("draw_plan.py", "--configfile", tmp_path / "none.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "none.yaml: no such file" in done.stderr
