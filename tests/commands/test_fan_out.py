"""train_parallel.sh and infer_model1.sh, with a stand-in for train.py that notes how it was called."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STAND_IN = (
    f"""#!/usr/bin/env bash
[ "$1" != -m ] || exec {sys.executable} "$@"
"""
    + """# $1 is train.py. Each fold takes a moment; fold 3 fails; with SLOW it waits for a signal.
shift
fold=$(grep -o -- '--fold [-0-9]*' <<< "$*" | tail -n 1 | cut -d ' ' -f 2)
echo "start $(date +%s%N) $*" >> calls
[ -z "$SLOW" ] || { trap 'echo "saved $fold" >> calls; kill $!; exit 143' TERM; sleep 60 & wait; }
printf 'epoch 1\\rfold %s is done\\n' "$fold"
sleep 0.2
echo "end $(date +%s%N) $*" >> calls
[ "$fold" != 3 ] || { echo "error: no such fold" >&2; exit 2; }
"""
)

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """``script(name, *arguments)`` runs a script in a folder of its own."""
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    monkeypatch.setenv("PYTHON", str(stand_in))
    monkeypatch.setenv("SLOW", "")
    monkeypatch.chdir(tmp_path)

    def start(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", ROOT / name, *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    return start


def calls(event: str = "start") -> list[str]:
    """The stand-in's arguments, in order of time."""
    lines = [line.split(" ", 2) for line in Path("calls").read_text().splitlines() if line.startswith(event)]
    return [line[2] for line in sorted(lines, key=lambda line: int(line[1]))]


def trained(*folds: int, seeds: tuple[int, ...] = (1,), config: str = "cfg_a") -> None:
    """Lay down checkpoints, the last seed's the newest."""
    for fold in folds:
        for age, seed in enumerate(reversed(seeds)):
            path = Path("weights", config, f"fold{fold}", f"checkpoint_last_seed{seed}.pth")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (1000 - age, 1000 - age))


@pytest.mark.parametrize(
    "lists", [["--folds", "0", "1", "2", "--gpus", "4", "7"], ["--gpus", "4,7", "--folds", "0 1 2"], ["0 1 2", "4,7"]]
)
def test_folds_go_to_gpus_in_turn(script: Script, lists: list[str]) -> None:
    done = script("train_parallel.sh", *lists, "-C", "cfg_a", "--parts", "ss,nfn", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert sorted(calls()) == [
        "-G 4 -C cfg_a --parts ss,nfn --epochs 2 --fold 0",
        "-G 4 -C cfg_a --parts ss,nfn --epochs 2 --fold 2",
        "-G 7 -C cfg_a --parts ss,nfn --epochs 2 --fold 1",
    ]
    assert calls("start").index(calls()[-1]) == 2 and "--fold 2" in calls()[-1]  # after fold 0, on its GPU
    assert re.findall(r"fold (\d) is done", done.stdout) == ["0", "1", "2"]
    log = Path(re.findall(r"fold 2 on 4: (\S+)", done.stdout)[0])
    assert "fold 2 is done" in log.read_text()


@pytest.mark.parametrize("gpus", ["", "cpu"])
def test_the_cpu_takes_one_fold_at_a_time(script: Script, gpus: str) -> None:
    assert script("train_parallel.sh", "-C", "cfg_a", "--gpus", gpus, "--folds", "-1", "-1").returncode == 0
    assert calls("end") == calls("start") == ["-G cpu -C cfg_a --fold -1"] * 2
    times = [int(line.split()[1]) for line in Path("calls").read_text().splitlines()]
    assert times == sorted(times)  # start, end, start, end


def test_a_failed_fold_is_named_and_the_others_finish(script: Script) -> None:
    done = script("train_parallel.sh", "3 0", "cpu", "-C", "cfg_a")
    assert done.returncode == 1
    assert re.fullmatch(r"error: fold 3 failed \(exit status 2\): error: no such fold \[\S+\.log\]\n", done.stderr)
    assert "fold 0 is done" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_every_fold_and_no_further_one_starts(
    script: Script, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("SLOW", "yes")
    words = ["bash", str(ROOT / "train_parallel.sh"), "0 1 2", "0 1", "-C", "cfg_a"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(500):
        if Path("calls").is_file() and len(calls()) == 2:
            break
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert sorted(re.findall(r"saved (\d)", Path("calls").read_text())) == ["0", "1"]
    assert len(calls()) == 2
    assert "fold 0 failed (exit status 143)" in error and "fold 2 failed (exit status not started)" in error


@pytest.mark.parametrize("folds", [["--folds", "0", "1"], ["--folds", "0 1"], ["--folds", "0,1"]])
def test_each_fold_is_inferred_with_its_own_newest_checkpoint(script: Script, folds: list[str]) -> None:
    trained(0, 1, seeds=(7, 5))
    done = script("infer_model1.sh", "cfg_b", "cfg_a", *folds, "--gpus", "cpu cpu", "--img_size", "64", "-D")
    assert done.returncode == 0, done.stderr
    assert "fold 1: weights/cfg_a/fold1/checkpoint_last_seed5.pth" in done.stdout
    expected = "-G cpu -C cfg_b --weights_dir weights --seed -1 --pretrained_weights weights/cfg_a/fold{fold} "
    assert sorted(calls()) == [f"{expected}--img_size 64 -D --fold {fold}" for fold in (0, 1)]


def test_a_seed_can_be_named(script: Script) -> None:
    trained(0, seeds=(7, 5))
    done = script("infer_model1.sh", "cfg_b", "cfg_a", "--folds", "0", "--seed", "7", "--gpus", "")
    assert "fold 0: weights/cfg_a/fold0/checkpoint_last_seed7.pth" in done.stdout
    assert "--seed 7" in calls()[0]


def test_missing_folds_are_named(script: Script) -> None:
    trained(0, 2)
    done = script("infer_model1.sh", "cfg_b", "cfg_a", "--gpus", "cpu")
    assert done.returncode == 1
    assert "error: no weights/cfg_a/fold<k>/checkpoint_last_seed*.pth for fold(s) 1 3" in done.stderr
    assert not Path("calls").exists()
    done = script("infer_model1.sh", "cfg_b", "cfg_a", "--gpus", "cpu", "--allow-missing")
    assert done.returncode == 0
    assert "left out, having no checkpoint: fold(s) 1 3" in done.stdout
    assert len(calls()) == 2
    assert script("infer_model1.sh", "cfg_b", "cfg_c", "--allow-missing").returncode == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train_parallel.sh", "0"], "usage:"),
        (["train_parallel.sh", "", "0", "-C", "cfg_a"], "usage:"),
        (["train_parallel.sh", "0", "0", "--epochs", "2"], "error: option -C <config> is missing"),
        (["train_parallel.sh", "--folds", "-C", "cfg_a"], "error: option --folds: its value is missing"),
        (["infer_model1.sh", "cfg_a"], "usage:"),
        (
            ["infer_model1.sh", "cfg_a", "cfg_b", "--folds", "--gpus", "0"],
            "error: option --folds: its value is missing",
        ),
        (["infer_model1.sh", "cfg_a", "cfg_b", "--seed"], "error: option --seed: its value is missing"),
    ],
)
def test_bad_use(script: Script, words: list[str], message: str) -> None:
    done = script(*words)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("name", ["train_parallel.sh", "infer_model1.sh"])
def test_the_scripts_are_well_formed(name: str, script: Script) -> None:
    assert subprocess.run(["bash", "-n", ROOT / name], check=False).returncode == 0
    assert script(name, "--help").stdout.startswith("usage: ./" + name)
