"""train.py as a user runs it: killed, stopped, on two ranks, and misused."""

import csv
import dataclasses
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lumbar import cli


@dataclasses.dataclass
class Outcome:
    status: int
    message: str


Command = Callable[..., list[str]]
Train = Callable[..., Outcome]
Run = Callable[[list[str]], "subprocess.CompletedProcess[str]"]
CONFIG = "cfg_dh_05b5_loc"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.fixture
def train(command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Train:
    """``train(*options, **keys)`` runs train.py in this process, since importing PyTorch takes seconds each time."""
    monkeypatch.setattr(sys, "argv", ["train.py"])
    main = runpy.run_path(command()[1])["main"]
    torch.set_num_threads(1)

    def start(*options: str, **keys: object) -> Outcome:
        with pytest.raises(SystemExit) as end:
            cli.run(lambda _: main(command(*options, **keys)[2:]))
        return Outcome(int(end.value.code or 0), capsys.readouterr().err)

    return start


def load(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, weights_only=True)
    return content.get("model", content)


def assert_equal(first: Path, second: Path) -> None:
    one, other = load(first), load(second)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    for _ in range(6000):
        if happened():
            return
        assert process.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.01)
    raise AssertionError("nothing happened in a minute")


@pytest.mark.slow
def test_a_run_that_is_killed_and_stopped_ends_with_the_weights_of_one_that_was_not(
    train: Train, command: Command, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    keys = {"epochs": 6, "fold": 1}
    folder = tmp_path / "weights" / CONFIG / "fold1"
    checkpoint = folder / "checkpoint_last_seed1.pth"
    resume = command("-C", CONFIG, **keys, resume_training=True)

    killed = subprocess.Popen(resume, env=environment, text=True)  # with nothing to resume it starts
    wait_for(checkpoint.is_file, killed)
    time.sleep(0.1)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert 0 < torch.load(checkpoint, weights_only=True)["epoch"] < 6

    stopped = subprocess.Popen(resume, env=environment, text=True, stderr=subprocess.PIPE)
    written = checkpoint.stat().st_mtime_ns
    wait_for(lambda: checkpoint.stat().st_mtime_ns != written, stopped)
    stopped.terminate()
    message = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "stopped by a signal after epoch" in message and "--resume_training True" in message
    assert "Traceback" not in message

    resumed = run(resume)
    assert resumed.returncode == 0, resumed.stderr
    assert train("-C", CONFIG, **keys, num_workers=0, weights_dir=tmp_path / "whole").status == 0
    for name in ("checkpoint_last_seed1.pth", "val_data_seed1.pth"):
        assert_equal(folder / name, tmp_path / "whole" / CONFIG / "fold1" / name)
    with (folder / "history_seed1.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == [f"{epoch}.0" for epoch in range(1, 7)]


@pytest.mark.slow
def test_two_ranks_go_on_with_the_work_of_one_and_predict_what_one_does(
    train: Train, command: Command, run: Run, tmp_path: Path
) -> None:
    # Fold 2 has 10 items: batches of 3, 3, 3 and 1, so that neither a rank's share nor the last batch is even.
    keys = {"fold": 2, "batch_size_val": 3, "num_workers": 0}
    assert train("-C", CONFIG, **keys, epochs=1, save_weights_only=False).status == 0
    two = run(command("-C", CONFIG, launcher=TORCHRUN, **keys, epochs=2, resume_training=True))
    assert two.returncode == 0, two.stderr
    assert two.stderr.count("resumed /") == two.stderr.count("epoch 2, step 10") == 1  # one rank speaks and writes
    folder = tmp_path / "weights" / CONFIG / "fold2"
    assert len(list(folder.glob("*_seed1*"))) == 6

    alone = {**keys, "train": False, "pretrained_weights": folder, "weights_dir": tmp_path / "alone", "seed": -1}
    assert train("-C", CONFIG, **alone).status == 0
    by_one = load(tmp_path / "alone" / CONFIG / "fold2" / "val_data_seed1.pth")
    by_two = load(folder / "val_data_seed1.pth")
    assert by_one.keys() == by_two.keys()
    rows = list(zip(by_one["series_id"].tolist(), by_one["instance_number"].tolist(), strict=True))
    assert len(rows) == len(set(rows)) == 10
    for name in by_one:
        np.testing.assert_allclose(by_one[name], by_two[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-C", "cfg_dh_05b5_lok"], "no module 'cfg_dh_05b5_lok' in"),
        (["-C", "cfg_dh_05b5_lok"], "(did you mean 'cfg_dh_05b5_loc'?)"),
        ([], "option -C is missing"),
        (["-C", CONFIG, "--epoch", "3"], "no such key (did you mean 'epochs'?)"),
        (["-C", CONFIG, "--epochs", "few"], "option --epochs: expected a whole number, got 'few'"),
        (["-C", CONFIG, "--epochs"], "option --epochs: its value is missing"),
        (["-C", CONFIG, "--epochs", "--lr", "1"], "option --epochs: its value is missing"),
        (["-C", CONFIG, "-X"], "option '-X' is unknown"),
        (["-C", CONFIG, "-G", "first"], "option -G: expected GPU numbers"),
        (["-C", CONFIG, "--batch_size=-1"], "config key 'batch_size': must be greater than 0, got -1"),
    ],
)
@pytest.mark.slow
def test_bad_use_is_one_line_before_pytorch_is_imported(
    run: Run, command: Command, environment: dict[str, str], tmp_path: Path, words: list[str], message: str
) -> None:
    python, train = command()[:2]
    (tmp_path / "torch.py").write_text("raise RuntimeError('imported')")
    environment["PYTHONPATH"] = f"{tmp_path}:{environment.get('PYTHONPATH', '')}"
    result = run([python, train, *words])
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    assert message in result.stderr


@pytest.mark.slow
def test_help_and_list(run: Run, command: Command) -> None:
    python, train = command()[:2]
    shown = run([python, train, "-C", "cfg_dh_29g", "--help"]).stdout
    assert "--batch_size 8\n      training items per step and rank" in shown
    listed = run([python, train, "--list"]).stdout.splitlines()
    assert next(line for line in listed if line.startswith("cfg_dh_12y8 ")).split()[1:6] == [
        "ds_dh_12s3", "mdl_dh_12a4", "efficientnetv2_rw_t.ra2_in1k", "256", "8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "status", "message"),
    [
        ({"dataset": "ds_dh_4a"}, 2, "config key 'dataset': no module 'ds_dh_4a' in"),
        ({"model": "mdl_dh_4a3"}, 2, "did you mean 'mdl_dh_4a2'?"),
        ({"metric": "metric_dh_03"}, 2, "did you mean 'metric_dh_02'?"),
        ({"data_dir": "nowhere"}, 1, "train_folded_v1.csv: no such file; make it with scripts/make_folds.py"),
        ({"meta_table": "meta_v2.pkl"}, 1, "meta_v2.pkl: no such file; make it with scripts/prepare.py"),
        ({"fold": 7}, 2, "config key 'fold': train_folded_v1.csv has no fold 7, only 0, 1, 2, 3"),
        ({"batch_size": 64}, 1, "config key 'batch_size': 30 training items are too few for a batch of 64"),
        ({"backbone": "test_eficientnet"}, 2, "did you mean 'test_efficientnet'?"),
        ({"train": False}, 2, "give the trained network as --pretrained_weights"),
        ({"train": False, "val": False}, 2, "nothing to do"),
        ({"pretrained_weights": "none.pth"}, 1, "none.pth: no such file"),
        ({"lr": 1e30, "nonfinite_limit": 3}, 1, "3 non-finite losses in a row"),
        ({"weighted_sampling": True}, 1, "config key 'weighted_sampling'"),
    ],
)
def test_mistakes_are_one_line(train: Train, keys: dict[str, object], status: int, message: str) -> None:
    outcome = train("-C", CONFIG, num_workers=0, **keys)
    last = outcome.message.strip().splitlines()[-1]
    assert outcome.status == status
    assert last.startswith("error: ") and message in last, outcome.message


def test_a_broken_slice_in_a_loader_process_is_one_line(train: Train, competition: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for path in (competition / "train_images_v01").rglob("*.png"):
        copy = cache / path.relative_to(competition / "train_images_v01")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (cache / "102" / "1102" / "3.png").write_bytes(b"broken")
    outcome = train("-C", CONFIG, cache=cache, num_workers=1)
    last = outcome.message.strip().splitlines()[-1]
    assert outcome.status == 1
    assert last.startswith("error: ") and "3.png: not a PNG that can be decoded" in last
    assert "Traceback" not in last


def test_debug_runs_two_batches_beside_the_real_weights(train: Train, tmp_path: Path) -> None:
    assert train("-C", CONFIG, "-D", fold=-1).status == 0
    folder = tmp_path / "weights" / f"{CONFIG}_debug" / "fold-1"
    assert len(load(folder / "val_data_seed1.pth")["logits"]) == 8


def test_the_result_does_not_depend_on_the_number_of_workers(train: Train, tmp_path: Path) -> None:
    for workers in (0, 2):
        assert train("-C", CONFIG, epochs=1, num_workers=workers, weights_dir=tmp_path / str(workers)).status == 0
    name = f"{CONFIG}/fold0/checkpoint_last_seed1.pth"
    assert_equal(tmp_path / "0" / name, tmp_path / "2" / name)


def test_a_seed_is_drawn_and_noted(train: Train, tmp_path: Path) -> None:
    for _ in range(2):
        assert train("-C", CONFIG, "-D", num_workers=0, seed=-1).status == 0
    assert len(list((tmp_path / "weights").rglob("checkpoint_last_seed*.pth"))) == 2


def test_pretrained_weights_with_another_head(train: Train, tmp_path: Path) -> None:
    keys = {"num_workers": 0, "epochs": 1}
    assert train("-C", CONFIG, **keys).status == 0
    weights = tmp_path / "weights" / CONFIG / "fold{fold}"
    other = {**keys, "pretrained_weights": weights, "name": "other", "pool": "gem"}
    outcome = train("-C", CONFIG, **other, pop_weights="head,pool")
    assert outcome.status == 0, outcome.message
    assert "checkpoint_last_seed1.pth, but for 3 entries" in outcome.message
