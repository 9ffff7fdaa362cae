"""The README's steps for real data, command by command as they stand there, on a small phantom and small networks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, LEVELS, NFN, PARTS, SAGITTAL_T1, SAGITTAL_T2, SCS, SS
from lumbar.files import read_pickle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDS = (0, 1)
SMALL = (
    "--backbone test_resnet --pretrained False --img_size 64 --aug light --num_workers 0 --seed 0 "
    "--output_stride 8 --lr 0.003 --batch_size 8 --val_epochs 9 --hidden_dim 16 --filter_logits_mask_thresh_sag_t1 0.5 "
    "--filter_logits_mask_thresh_sag_t2 0.5 --epochs "
)
FEWER: tuple[tuple[str, str], ...] = (
    (r"^scripts/download_data\.sh.*|^python scripts/make_sag_loc_labels_part1\.py.*", ""),  # Kaggle; SpineNet
    (r"--studies 60 --test-studies 8", "--studies 14 --test-studies 1 --irregular 0.15"),
    (r"^(python scripts/make_folds\.py)", r"\1 --folds 2"),
    (r"--folds 0 1 2 3 --gpus 0 1 2 3(.*)", rf"--folds 0 1 --gpus cpu cpu\1 {SMALL}2"),
    (r"(-C cfg_dh_14p2_locsag .* --epochs) 2", r"\1 4 --pool softargmax"),
    (
        r"(-C cfg_dh_14s10a_locsag .* --epochs) 2",
        r"\1 24 --batch_size 4 --hidden_dim 64 --output_stride 16 --count_objective l2",
    ),
    (r"^(\./infer_model1\.sh cfg_dh_05\S+ \S+)", rf"\1 --folds 0 1 --gpus cpu cpu {SMALL}2"),
    (r"^(\./infer_model1\.sh cfg_dh_14\S+ \S+)", rf"\1 --folds 0 1 --gpus cpu cpu {SMALL}4 --pool softargmax"),
    (r"^(python aggregate_\S+)", r"\1 --folds 0 1"),
)
"""What is changed in a command, as for any small machine: less data, two folds on the CPU, overrides. Nothing else."""

SAGITTAL = {SAGITTAL_T1, SAGITTAL_T2}
CONFIGS: dict[str, tuple[set[str], set[str]]] = {
    "cfg_dh_05b5_loc": ({AXIAL_T2}, set()),
    "cfg_dh_05b5_loc_test2": ({AXIAL_T2}, set()),
    "cfg_dh_14p2_locsag": (SAGITTAL, set()),
    "cfg_dh_14p2_locsag_test": (SAGITTAL, set()),
    "cfg_dh_14s10a_locsag": (SAGITTAL, set()),
    "cfg_dh_12y8": (SAGITTAL, {NFN, SCS}),
    "cfg_dh_29a2": ({AXIAL_T2}, {SS}),
    "cfg_dh_29g": ({AXIAL_T2, *SAGITTAL}, {NFN, SCS, SS}),
}
"""Per config: which series it answers for, and which condition groups it grades."""

INFERRED = ("cfg_dh_05b5_loc_test2", "cfg_dh_14p2_locsag_test")
"""Configs that answer for every series of their kind, with a network trained by another."""


def commands() -> list[str]:
    """The lines of the README's code blocks between the phantom or download and the graph."""
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## The real data, step by step") : text.index("### Or all of it as one graph")]
    lines = [line.split("  #")[0].strip() for block in re.findall(r"```bash\n(.*?)```", text, re.S)
             for line in block.splitlines() if line and not line.startswith("#")]  # fmt: skip
    for pattern, replacement in FEWER:
        assert any(re.search(pattern, line) for line in lines), f"the README no longer says {pattern}"
        lines = [re.sub(pattern, replacement, line) for line in lines]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def after_the_readme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which every command of the README has been run, one after the other."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in {line.split("/")[0] for line in listed.splitlines()} - {"datamount"}:
        (folder / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    for command in commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder


def test_every_table_has_its_columns(after_the_readme: Path) -> None:
    data = after_the_readme / "datamount"
    for table in (value for value in vars(tables).values() if isinstance(value, tables.Table)):
        path = data / table.path
        frame = read_pickle(path) if path.suffix == ".pkl" else pd.read_csv(path)
        assert tuple(frame.columns[: len(table.columns)]) == table.columns, table.path
        assert len(frame), table.path


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_answers_for_its_series_of_the_held_out_patients(after_the_readme: Path, config: str) -> None:
    patients = tables.read_table(after_the_readme / "datamount", tables.FOLDS)
    kinds, groups = CONFIGS[config]
    for fold in FOLDS:
        folder = after_the_readme / "weights" / config / f"fold{fold}"
        outputs = torch.load(folder / "val_data_seed0.pth", weights_only=True)
        seen = patients[patients["series_id"].isin(outputs["series_id"].tolist())]
        assert set(seen["fold"]) == {fold}
        assert set(seen["series_description"]) == kinds
        meant = patients["fold"].eq(fold) & patients["series_description"].isin(kinds)
        assert len(seen) > (0.99 if config in INFERRED else 0.6) * meant.sum()
        logits = outputs["logits"].float()
        assert logits.isfinite().all() and (logits.std(0) > 0).all(), "no answer is a constant"
        if groups:
            assert {PARTS[part] for part in outputs["condition"].tolist()} == groups
            assert set(outputs["level"].tolist()) == set(range(len(LEVELS)))
        assert (folder / "checkpoint_last_seed0.pth").is_file() == (config not in INFERRED)


def test_the_answer_is_complete(after_the_readme: Path) -> None:
    submission = pd.read_csv(after_the_readme / "submission.csv")
    sample = pd.read_csv(after_the_readme / "datamount" / tables.SAMPLE_SUBMISSION.path)
    assert sorted(submission["row_id"]) == sorted(sample["row_id"])
    assert submission.iloc[:, 1:].sum(axis=1).to_numpy() == pytest.approx(1)
    assert len(pd.read_csv(after_the_readme / "weights" / "cfg_mlp" / "oof.csv")) == 14 * 25
    assert (after_the_readme / "report.html").stat().st_size > 100_000
