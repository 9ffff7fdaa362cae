"""The graph of steps: what it plans, and that its commands run and resume."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CONFIGS = ("cfg_dh_05b5_loc", "cfg_dh_14p2_locsag", "cfg_dh_14s10a_locsag", "cfg_dh_12y8", "cfg_dh_29a2", "cfg_dh_29g")
PHANTOM = "phantom=--studies 4 --test-studies 1 --seed 0"


def snakemake(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def places(folder: Path) -> list[str]:
    """Options that send all output there."""
    names = {"data": "data", "weights": "weights", "reports": "reports", "submission": "submission.csv"}
    return [f"{key}={folder / name}" for key, name in names.items()]


@pytest.mark.parametrize("final_models", [0, 2])
def test_the_plan_trains_every_config_on_every_fold(tmp_path: Path, final_models: int) -> None:
    seeds = f"final_seeds={list(range(1, final_models + 1))}".replace(" ", "")
    file = str(ROOT / "configs" / "workflow_demo.yaml")
    done = snakemake("-n", "--printshellcmds", "--configfile", file, "--config", *places(tmp_path), PHANTOM, seeds)
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "train.py -C" in line]
    for config in CONFIGS:
        of_config = [line for line in lines if f"-C {config} " in line]
        assert sum("--fold 0 --seed 0" in line or "--fold 1 --seed 0" in line for line in of_config) == 2
        assert sum("--fold -1" in line for line in of_config) == final_models


def trainings(tmp_path: Path, *settings: str) -> dict[str, list[str]]:
    """Training commands of each config that make learning plans."""
    files = [str(ROOT / "configs" / f"workflow_{name}.yaml") for name in ("demo", "learning")]
    given = [*places(tmp_path), PHANTOM, *settings]
    done = snakemake("-n", "--printshellcmds", "--configfile", *files, "--config", *given)
    assert done.returncode == 0, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "train.py -C" in line]
    assert all("--backbone test_resnet" in line and line.count("--epochs") == 1 for line in lines)
    return {config: [line for line in lines if f"-C {config} " in line] for config in CONFIGS}


@pytest.mark.parametrize(("setting", "said"), [
    ("overrides={cfg_dh_12y8: {epoch: 3}}", "config cfg_dh_12y8 has no such key (did you mean 'epochs'?)"),
    ("overrides={cfg_dh_12y8: {epochs: many}}", "option --epochs: expected a whole number, got 'many'"),
    ("overrides={cfg_dh_12y9: {epochs: 3}}", "overrides: no config 'cfg_dh_12y9' (did you mean 'cfg_dh_12y8'?)"),
    ("overrides={all: --epochs 3}", "overrides of all: expected key: value pairs, got '--epochs 3'"),
    ("epochs={cfg_dh_12y8: 3}", "epochs: a key of each config"),
])  # fmt: skip
def test_overrides_are_checked_before_anything_runs(setting: str, said: str, tmp_path: Path) -> None:
    done = snakemake("-n", "--config", *places(tmp_path), PHANTOM, setting)
    assert done.returncode != 0
    assert said in (done.stdout + done.stderr).replace("\n", " ")


def test_further_seeds_are_those_of_classifiers(tmp_path: Path) -> None:
    planned = trainings(tmp_path, "seeds=[0,1]")
    assert {config: len(lines) for config, lines in planned.items()} == {
        config: 2 if "loc" in config else 4 for config in CONFIGS
    }
    assert all("--epochs 47 " in line for line in planned["cfg_dh_14p2_locsag"])


def test_a_config_starts_from_the_backbone_of_the_same_fold(tmp_path: Path) -> None:
    planned = trainings(tmp_path, "seeds=[0,1]", "final_seeds=[2]")
    starts = {"cfg_dh_12y8": "cfg_dh_14s10a_locsag", "cfg_dh_29a2": "cfg_dh_12y8"}
    for config, lines in planned.items():
        assert len(lines) == (3 if "loc" in config else 5)  # both folds with their seeds, and all patients with one
        for line in lines:
            if config not in starts:
                assert "--pretrained_weights" not in line
                continue
            options = line.split()
            fold, seed = (options[options.index(name) + 1] for name in ("--fold", "--seed"))
            first_alone = config == "cfg_dh_12y8" and fold != "-1"  # as no fold has a localiser of another seed
            checkpoint = f"{starts[config]}/fold{fold}/checkpoint_last_seed{0 if first_alone else seed}.pth"
            assert options[options.index("--pretrained_weights") + 1] == f"{tmp_path / 'weights'}/{checkpoint}"
            assert options[-2:] == ["--pop_weights", "rnn,head"]


def test_the_real_data_is_asked_for_by_name(tmp_path: Path) -> None:
    done = snakemake("-n", "--config", *places(tmp_path))
    assert done.returncode != 0
    assert "scripts/download_data.sh" in done.stdout + done.stderr


def test_the_full_plan_uses_published_settings_and_gpus(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").touch()
    done = snakemake("-n", "--printshellcmds", "--config", *places(tmp_path))
    assert done.returncode == 0, done.stderr
    plan = done.stdout + done.stderr
    assert plan.count("scripts/on_free_gpu.sh 4 python train.py") == 6 * (4 + 4) + 2 * 4  # trainings and inferences
    assert "--backbone" not in plan


def test_what_the_most_work_waits_for_goes_first(tmp_path: Path) -> None:
    """On one GPU trainings that can start at once are run in the order of their priorities."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").touch()
    done = snakemake("-n", "--config", *places(tmp_path))
    plan = (done.stdout + done.stderr).split("\nrule ")
    priorities = {}
    for job in plan:
        if job.startswith("train:"):
            wildcards = re.search(r"wildcards: config=(\S+), fold=(\S+), seed", job)
            assert wildcards
            found = re.search(r"priority: (\d+)", job)
            priorities[wildcards[1], wildcards[2] == "-1"] = int(found[1]) if found else 0
    hours = yaml.safe_load((ROOT / "configs" / "workflow.yaml").read_text())["hours"]
    chain = ["cfg_dh_14p2_locsag", "cfg_dh_14s10a_locsag", "cfg_dh_12y8"]
    assert [priorities[name, False] for name in chain] == [
        round(100 * sum(hours[name] for name in chain[start:])) for start in range(3)
    ]
    assert all(priorities[name, True] == round(100 * hours[name]) for name in CONFIGS)


def test_done_is_done_whatever_the_machine_and_deleted_weights_are_trained_again(tmp_path: Path) -> None:
    command = ["--configfile", str(ROOT / "configs" / "workflow_demo.yaml"), "--config", *places(tmp_path), PHANTOM]
    listed = snakemake("--summary", *command)
    assert listed.returncode == 0, listed.stderr
    outputs = [Path(line.split("\t")[0]) for line in listed.stdout.splitlines() if line.startswith("/")]
    assert len(outputs) > 28
    for output in outputs:  # all made at one time
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.name == "weights_packed":
            output.mkdir()
        else:
            output.touch()
        os.utime(output, (10**9, 10**9))
    elsewhere = snakemake("-n", *command, "gpus=2", "threads=4", "data_threads=8", "--cores", "8")
    assert re.findall(r"(?m)^(?:local)?rule (\w+):", elsewhere.stdout + elsewhere.stderr) == [
        "all"
    ]  # prints the summary
    shutil.rmtree(tmp_path / "weights" / "cfg_dh_29g")
    again = snakemake("-n", "--printshellcmds", *command)
    trained = [line for line in (again.stdout + again.stderr).splitlines() if "train.py -C" in line]
    assert len(trained) == 2
    assert all("-C cfg_dh_29g " in line for line in trained)


def test_the_default_profile_names_the_cores() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "scripts/download_data.sh" in done.stdout + done.stderr  # this far it comes


def test_steps_run_once(tmp_path: Path) -> None:
    file = str(ROOT / "configs" / "workflow_demo.yaml")
    goal = str(tmp_path / "data" / "train_folded_v1.csv")
    command = [goal, "--configfile", file, "--config", *places(tmp_path), PHANTOM]
    first = snakemake(*command)
    assert first.returncode == 0, first.stderr
    assert Path(goal).is_file()
    again = snakemake(*command)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_commands_share_gpus(tmp_path: Path) -> None:
    script = tmp_path / "show.sh"
    script.write_text('#!/bin/bash\necho "$2" >> "$(dirname "$0")/used"\nsleep 1\n')
    script.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    command = [str(ROOT / "scripts" / "on_free_gpu.sh"), "2", str(script)]
    running = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert sorted((tmp_path / "used").read_text().split()) == ["0", "1"]
    command[1] = "0"
    subprocess.run(command, env=environment, check=True)
    assert (tmp_path / "used").read_text().split()[-1] == "cpu"
