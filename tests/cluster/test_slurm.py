"""The graph and train.py on a real SLURM: what it makes is what one machine makes, whatever is killed on the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lumbar.roles import SLICES

ROOT = Path(__file__).parents[2]
MAPPING = "axial_lvl/test__dh_14p2___dh_14s10a____locsag_mapped_v02.pkl"
ON_SLURM = ["--workflow-profile", "profiles/slurm", "--latency-wait", "5", "--seconds-between-status-checks", "2",
            "--slurm-init-seconds-before-status-checks", "5"]  # fmt: skip
PATIENCE = 240  # seconds for one step on a slow machine, before a test gives up


def wait_for(what: str, found: Callable[[], object], watched: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        assert watched is None or watched.poll() is None, f"the graph ended before {what}"
        time.sleep(0.05)


def graph(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the graph up to the chain's last table, its messages in a file beside its output."""
    names = {"data": "data", "weights": "weights", "reports": "reports", "submission": "submission.csv"}
    places = [f"{key}={folder / name}" for key, name in names.items()]
    command = [sys.executable, "-m", "snakemake", str(folder / "data" / MAPPING), "--nolock", "--configfile",
               "tests/cluster/workflow.yaml", *arguments, "--config", *places]  # fmt: skip
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9, its helpers too."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def jobs(states: str) -> list[str]:
    """Identifiers of jobs in those states."""
    listed = subprocess.run(["squeue", "-h", "-t", states, "-o", "%i"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


class Training:
    """A training that is stopped in its middle, and the job that runs it."""

    def __init__(self, fold_folder: Path, watched: subprocess.Popen[bytes]) -> None:
        lock, checkpoint = (fold_folder / name for name in ("run_seed0.lock", "checkpoint_last_seed0.pth"))
        wait_for(f"a checkpoint of {fold_folder}", checkpoint.is_file, watched)
        holder = re.fullmatch(r"process (\d+) on \S+, SLURM job (\d+)\n", lock.read_text())
        assert holder, lock.read_text()
        self.process, self.job = int(holder[1]), holder[2]
        os.kill(self.process, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process, signal.SIGCONT)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    options = ["--studies", "6", "--test-studies", "1", "--seed", "0"]
    subprocess.run([sys.executable, "scripts/make_phantom.py", "--out", folder, *options], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def local(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """The same graph without SLURM, running beside the tests."""
    folder = tmp_path_factory.mktemp("local")
    shutil.copytree(phantom, folder / "data")
    process = graph(folder, "--cores", "2")
    yield folder, process
    if process.poll() is None:
        kill(process)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)["model"]


def assert_same(first: Path, second: Path) -> None:
    """Every table and every network of two output folders."""
    tables = sorted(
        path.relative_to(first) for path in first.glob("data/*/*") if path.name.endswith((".pkl", ".csv.gz"))
    )
    networks = sorted(path.relative_to(first) for path in first.glob("weights/*/*/checkpoint_last_seed0.pth"))
    assert len(tables) >= 5
    assert len(networks) == 6
    for table in tables:
        assert (first / table).read_bytes() == (second / table).read_bytes(), table
    for network in networks:
        expected, found = tensors(first / network), tensors(second / network)
        assert expected.keys() == found.keys()
        assert all(torch.equal(value, found[name]) for name, value in expected.items()), network


def test_a_killed_and_limited_graph_gives_the_local_bytes(
    slurm: None, phantom: Path, local: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "cluster"
    shutil.copytree(phantom, folder / "data")
    log = folder / "log"
    first = graph(folder, *ON_SLURM)
    training = Training(folder / "weights" / "cfg_dh_05b5_loc" / "fold0", first)
    kill(first)
    assert training.job in jobs("RUNNING")  # SLURM's job goes on without its Snakemake

    second = graph(folder, *ON_SLURM)
    logs = ROOT / ".snakemake" / "slurm_logs" / "rule_train" / "cfg_dh_05b5_loc_0_0"
    waiting = f"SLURM job {training.job}, which works on this config, fold and seed"
    wait_for("a second job that waits", lambda: any(waiting in path.read_text() for path in logs.glob("*.log")), second)
    training.go_on()

    # It waits for the training that was stopped: no job of the killed Snakemake runs it.
    limited = Training(folder / "weights" / SLICES / "fold0", second)
    subprocess.run(["scontrol", "update", f"JobId={limited.job}", "EndTime=now"], check=True)
    wait_for("the time limit", lambda: limited.job in jobs("TIMEOUT"), second)

    assert second.wait(PATIENCE) == 0, log.read_text()
    messages = log.read_text()
    assert f"SLURM-job '{limited.job}' failed, SLURM status is: 'TIMEOUT'" in messages
    assert "Trying to restart job" in messages
    reference, process = local
    assert process.wait(PATIENCE) == 0, (reference / "log").read_text()
    assert_same(reference, folder)


def test_one_training_over_two_nodes_is_that_of_two_ranks(
    slurm: None, local: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    reference, process = local
    assert process.wait(PATIENCE) == 0, (reference / "log").read_text()
    settings = {"seed": 0, "data_dir": reference / "data", "backbone": "test_resnet", "pretrained": False,
                "num_workers": 0, "img_size": 64, "epochs": 2, "batch_size": 4, "drop_last": False}  # fmt: skip
    options = ["-C", "cfg_dh_05b5_loc", "--fold", "0", *(f"--{key}={value}" for key, value in settings.items())]
    nodes, ranks = tmp_path / "nodes", tmp_path / "ranks"
    log = tmp_path / "log"
    on_nodes = ["sbatch", "--parsable", "--nodes", "2", "--output", str(log), "scripts/train_on_nodes.sh", *options]
    on_nodes += ["--weights_dir", str(nodes)]
    job = subprocess.run(on_nodes, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "train.py"]
    subprocess.run([*torchrun, *options, "--weights_dir", str(ranks)], cwd=ROOT, check=True)
    wait_for("the job on two nodes", lambda: job in jobs("COMPLETED,FAILED"))
    name = "cfg_dh_05b5_loc/fold0/checkpoint_last_seed0.pth"
    expected, found = tensors(ranks / name), tensors(nodes / name)
    assert all(torch.equal(value, found[key]) for key, value in expected.items()), log.read_text()


def test_commands_of_one_job_share_its_gpus(slurm: None, tmp_path: Path) -> None:
    script = tmp_path / "show.sh"
    script.write_text('#!/bin/bash\necho "$2" >> "$(dirname "$0")/used"\nsleep 1\n')
    script.chmod(0o755)
    command = f"{ROOT}/scripts/on_free_gpu.sh 8 {script}"
    subprocess.run(["srun", "--gpus=2", "bash", "-c", f"{command} & {command} & wait"], check=True)
    assert sorted((tmp_path / "used").read_text().split()) == ["0", "1"]
