"""Both aggregation commands on the tiny competition, against what the published ones wrote."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, SAGITTAL_SLICES, SAGITTAL_XY, read_table

ROOT = Path(__file__).parents[2]
XY, Z = "aggregate_localisation.py", "aggregate_z_localisation.py"
MADE = (AXIAL_XY, SAGITTAL_XY, SAGITTAL_SLICES, AXIAL_LEVELS)
KEYS = ["series_id", "instance_number", "level", "source_series_id"]


@pytest.fixture
def folder(mini, monkeypatch):
    """The tiny competition before the aggregation, as current folder."""
    for table in MADE:
        (mini / "datamount" / table.path).unlink()
    monkeypatch.chdir(mini)
    return mini


def in_order(frame):
    return frame.sort_values([key for key in KEYS if key in frame], ignore_index=True)


@pytest.mark.slow
def test_the_published_tables(folder):
    for script in (XY, Z):
        done = subprocess.run([sys.executable, ROOT / script], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "fold 3: weights" in done.stderr
    for table, name in zip(MADE, ("axial_xy", "sag_xy", "sag_slice", "axial_lvl"), strict=True):
        wanted = in_order(pd.read_csv(folder / "expected" / f"{name}.csv"))
        found = in_order(read_table(folder / "datamount", table))
        assert tuple(found.columns) == table.columns
        for column in table.columns:
            if column in ("mapped_ax_instance_number", "distance"):
                for one, other in zip(found[column], wanted[column].map(json.loads), strict=True):
                    assert one == pytest.approx(other, abs=1e-6)
            elif wanted[column].dtype.kind == "f":
                assert found[column].to_numpy() == pytest.approx(wanted[column].to_numpy(), abs=1e-6)
            else:
                assert found[column].tolist() == wanted[column].tolist()


def test_what_the_z_localiser_learned_decides_which_slices_count(folder, run_here):
    run_here(XY)
    assert "over 0.1 (l1)" in run_here(Z).stdout
    medians = read_table(folder / "datamount", AXIAL_LEVELS)
    assert "over 0.5 (l2)" in run_here(Z, "--count-objective", "l2").stdout
    means = read_table(folder / "datamount", AXIAL_LEVELS)
    assert 0 < means["distance"].map(len).sum() < medians["distance"].map(len).sum()


@pytest.mark.parametrize(("only", "made", "other"), [("axial", AXIAL_XY, "14p2"), ("sagittal", SAGITTAL_XY, "05b5")])
def test_one_localiser_alone(only, made, other, folder, run_here):
    (unneeded,) = (folder / "weights").glob(f"cfg_dh_{other}*test*")
    shutil.rmtree(unneeded)
    assert run_here(XY).returncode == 1
    assert not any((folder / "datamount" / table.path).exists() for table in MADE)
    run_here(XY, "--only", only)
    assert [table for table in MADE if (folder / "datamount" / table.path).exists()] == [made]


def test_the_mask_objective_of_the_snapshots(folder, run_here):
    assert "logits_mask: passed on (l1)" in run_here(XY).stdout
    for fold in (folder / "weights" / "cfg_dh_14p2_locsag_test").iterdir():
        (fold / "config_seed1.json").write_text(json.dumps({"config": {"mask_objective": "bce"}}))
    assert "logits_mask: probabilities (bce)" in run_here(XY).stdout
    assert read_table(folder / "datamount", SAGITTAL_XY)["logits_mask"].between(0, 1).all()
    assert "logits_mask: passed on" in run_here(XY, "--mask-objective", "l1").stdout


def test_missing_folds(folder, run_here):
    shutil.rmtree(folder / "weights" / "cfg_dh_14s10a_locsag" / "fold2")
    assert run_here(XY, "--data", folder / "datamount", "--weights", folder / "weights").returncode == 0
    done = run_here(Z)
    assert done.returncode == 1
    assert "cfg_dh_14s10a_locsag: no output of fold 2; run the config on it" in done.stderr
    assert run_here(Z, "--folds", 0, 1, 3).returncode == 0
    done = run_here(Z, "--allow-missing")
    assert done.returncode == 0
    assert "85 slices of 10 series" in done.stdout  # 42 of 127 were in fold 2


def test_the_order_of_work(folder, run_here):
    done = run_here(Z)
    assert done.returncode == 1
    assert "make it with aggregate_localisation.py" in done.stderr
    assert not (folder / "datamount" / SAGITTAL_SLICES.path).exists()


@pytest.mark.parametrize("script", [XY, Z])
def test_help(script, run_here):
    done = run_here(script, "--help")
    assert done.returncode == 0
    assert "--allow-missing" in done.stdout
    assert "Writes" in done.stdout
