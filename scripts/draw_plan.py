"""Draw when each training of the graph runs on 1, 2, 4 and 8 GPUs (docs/images/plan.png).

The graph is Snakefile's with the real configuration, or with --configfile yours; the durations are its table "hours".
The steps that need no GPU count as nothing. Beside the plan, in which what the most work waits for goes first, stands
what a random order of the trainings that could start would give.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import yaml

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from lumbar.cli import UserError, positive_int, run
from lumbar.files import atomic_path
from lumbar.roles import INFERENCE

ROOT = Path(__file__).resolve().parents[1]
ORDERS = 200
"""Random orders tried."""


class Graph(NamedTuple):
    """Jobs by number: hours on one GPU (0 for those that need none), what the legend calls them, what they wait for."""

    hours: list[float]
    names: list[str]
    needs: list[set[int]]


class Run(NamedTuple):
    """One job's place in a plan."""

    job: int
    gpu: int
    start: float


def read_graph(files: Sequence[Path]) -> Graph:
    """Ask Snakemake for its jobs, and the configuration for their hours.

    Raises
    ------
    UserError
        If Snakemake cannot plan it, or a training has no hours.
    """
    hours: dict[str, float] = {}
    for file in [ROOT / "configs" / "workflow.yaml", *files]:
        hours |= yaml.safe_load(file.read_text()).get("hours", {})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.csv").touch()  # stands for the competition's data: nothing is run
        command = [sys.executable, "-m", "snakemake", "--dag", "--nolock", "--cores", "1"]
        command += ["--configfile", *map(str, files)] if files else []
        command += ["--config", f"data={folder}", f"weights={folder}/weights"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    nodes = re.findall(r'(\d+)\[label = "(\w+)(?:\\n(?:config|localiser): (\w+))?', done.stdout)
    if done.returncode or not nodes:
        raise UserError(f"snakemake --dag: {(done.stderr.strip() or 'no plan').splitlines()[-1]}")
    graph = Graph([0.0] * len(nodes), [""] * len(nodes), [set() for _ in nodes])
    for number, rule, name in nodes:
        if rule in ("train", "infer"):
            key = INFERENCE[name] if rule == "infer" else name
            if key not in hours:
                raise UserError(f"hours: no entry {key!r}; the configuration's table needs one for each training")
            graph.hours[int(number)], graph.names[int(number)] = hours[key], "inference" if rule == "infer" else name
    for needed, job in re.findall(r"(\d+) -> (\d+)", done.stdout):
        graph.needs[int(job)].add(int(needed))
    return graph


def hours_to_the_end(graph: Graph) -> list[float]:
    """Hours from each job's start to the end of the longest chain of jobs that waits for it."""
    waiting: list[list[int]] = [[] for _ in graph.hours]
    for job, needs in enumerate(graph.needs):
        for needed in needs:
            waiting[needed].append(job)
    found: dict[int, float] = {}

    def longest(job: int) -> float:
        if job not in found:
            found[job] = graph.hours[job] + max(map(longest, waiting[job]), default=0.0)
        return found[job]

    return [longest(job) for job in range(len(graph.hours))]


def plan(graph: Graph, gpus: int, rank: Callable[[int], float]) -> list[Run]:
    """Give each GPU, when it becomes free, the job of the highest rank among those that can start."""
    done: dict[int, float] = {}  # job -> hour at which it ends
    free = [0.0] * gpus
    runs = []
    now = 0.0
    while len(done) < len(graph.hours):
        ready = [job for job, needs in enumerate(graph.needs) if job not in done and needs <= done.keys()]
        ready = [job for job in ready if all(done[needed] <= now for needed in graph.needs[job])]
        quick = [job for job in ready if not graph.hours[job]]
        if quick:
            done |= dict.fromkeys(quick, now)
        elif ready and min(free) <= now:
            job, gpu = max(ready, key=rank), free.index(min(free))
            runs.append(Run(job, gpu, now))
            done[job] = free[gpu] = now + graph.hours[job]
        else:
            now = min(end for end in [*done.values(), *free] if end > now)
    return runs


def span(graph: Graph, runs: list[Run]) -> float:
    """Hours until the last job ends."""
    return max(run.start + graph.hours[run.job] for run in runs)


def idle(graph: Graph, runs: list[Run], gpus: int) -> float:
    """Share of the GPUs' hours in which nothing runs on them, until the last job ends."""
    return max(0.0, 1 - sum(graph.hours) / (gpus * span(graph, runs)))


def draw(graph: Graph, counts: Sequence[int], measured: str, out: Path) -> None:
    """Draw one panel for each number of GPUs, and print its figures."""
    chain = hours_to_the_end(graph)
    names = sorted({name for name in graph.names if name})
    colours = dict(zip(names, plt.get_cmap("tab10").colors, strict=False))  # type: ignore[attr-defined]
    figure, panels = plt.subplots(
        len(counts), 1, figsize=(11, 1.3 + sum(0.55 + 0.24 * count for count in counts)), dpi=100, squeeze=False,
        gridspec_kw={"height_ratios": [2 + count for count in counts], "hspace": 0.9},
    )  # fmt: skip
    print(f"{sum(graph.hours):.2f} hours of one GPU in {sum(map(bool, graph.hours))} jobs, {measured}; "
          f"the longest chain takes {max(chain):.2f} h")  # fmt: skip
    for axes, count in zip(panels[:, 0], counts, strict=True):
        runs = plan(graph, count, chain.__getitem__)
        orders = (np.random.default_rng(seed).permutation(len(chain)) for seed in range(ORDERS))
        others = [idle(graph, plan(graph, count, order.__getitem__), count) for order in orders]
        text = (f"{count} GPU{'s' * (count > 1)}: {span(graph, runs):.2f} h, idle {idle(graph, runs, count):.1%}; "
                f"in a random order idle {np.mean(others):.1%} (worst of {ORDERS}: {max(others):.1%})")  # fmt: skip
        print(text)
        for job, gpu, start in runs:
            axes.barh(gpu, graph.hours[job], 0.8, start, color=colours[graph.names[job]], edgecolor="white", lw=0.6)
        axes.set_title(text, fontsize=9, loc="left")
        axes.set(yticks=range(count), ylim=(count - 0.5, -0.5), xlim=(0, span(graph, runs)))
        axes.tick_params(labelsize=7)
    panels[-1, 0].set_xlabel(f"hours ({measured})", fontsize=8)
    handles = [Patch(color=colours[name], label=name) for name in names]
    figure.legend(handles=handles, loc="upper center", ncols=4, fontsize=8, frameon=False)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight", pil_kwargs={"optimize": True})


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=positive_int, nargs="+", default=[1, 2, 4, 8], help="default: %(default)s")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="laid over configs/workflow.yaml")
    parser.add_argument("--measured", action="store_true", help="the table's hours were measured: the picture says so")
    parser.add_argument("--out", type=Path, default=Path("docs/images/plan.png"), help="default: %(default)s")
    args = parser.parse_args(argv)
    for file in args.configfile:
        if not file.is_file():
            raise UserError(f"{file}: no such file; expected a configuration of the graph", status=2)
    graph = read_graph([file.resolve() for file in args.configfile])
    draw(graph, args.gpus, "measured" if args.measured else "estimated", args.out)
    print(f"{args.out}: drawn")
    return 0


if __name__ == "__main__":
    run(main)
