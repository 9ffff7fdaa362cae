import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.labels.sagittal_labels import read_outlines
from lumbar.tables import META, TRAIN_SERIES, VERTEBRA_OUTLINES, write_table

pytestmark = pytest.mark.slow

SCRIPT = "make_sag_loc_labels_part1.py"

STAND_IN = """
import os, sys
from pathlib import Path

def download_weights(verbose=False, force=False):
    if os.environ.get("OFFLINE"):
        (Path(__file__).parent / "weights" / "detect-vfr").mkdir(parents=True)
        raise ConnectionError("no route to the server")
    for name in ("detect-vfr", "appearance", "context", "grading"):
        folder = Path(__file__).parent / "weights" / name
        folder.mkdir(parents=True)
        (folder / "ckpt.pt").write_bytes(b"weights")

class SpineNet:
    def __init__(self, device="cuda:0", verbose=True):
        print("Loading", device)

    def detect_vb(self, volume, pixel_spacing):
        print("this must not reach the answers", sys.stdin.read())
        height, width, slices = volume.shape
        assert (height, width, pixel_spacing) == (20, 10, [0.5, 0.75]), (volume.shape, pixel_spacing)
        if volume.max() == 0:
            raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
        if volume.max() == 1:
            raise ZeroDivisionError("bad volume")
        if volume.max() == 2:
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(9)
        # Tell by the outline which slice stood where.
        order = [float(volume[0, 0, number]) for number in range(slices)]
        return [{"predicted_label": "L4", "slice_nos": list(range(slices)), "average_polygon": None,
                 "polys": [[[1.0, 2.0], [1.0, value], [0.0, 4.0], [0.0, 2.0]] for value in order]}]
"""


@pytest.fixture
def data(tmp_path: Path, write_dicom: Callable) -> Path:
    """Series 10 to 14 of study 1: good (its last slice twice as large), empty, failing, axial, fatal."""
    kinds = ("Sagittal T1", "Sagittal T2/STIR", "Sagittal T1", "Axial T2", "Sagittal T1")
    series = pd.DataFrame({"study_id": 1, "series_id": range(10, 15), "series_description": kinds})
    write_table(series, tmp_path, TRAIN_SERIES)
    rows = []
    for each, values in {10: {2: 50, 9: 90, 11: 110}, 11: {1: 0}, 12: {1: 1}, 13: {1: 5}}.items():
        for number, value in values.items():
            shape = (40, 20) if value == 110 else (20, 10)
            path = tmp_path / "train_images" / "1" / str(each) / f"{number}.dcm"
            write_dicom(path, np.full(shape, value, np.uint16))
            rows.append((1, each, number, shape[1], shape[0], (0.5, 0.75)))
    columns = ["study_id", "series_id", "instance_number", "img_w", "img_h", "PixelSpacing"]
    write_table(pd.DataFrame(rows, columns=columns).reindex(columns=list(META.columns)), tmp_path, META)
    return tmp_path


@pytest.fixture
def with_spinenet(tmp_path: Path) -> dict[str, str]:
    """An environment in which a stand-in for SpineNet can be imported."""
    package = tmp_path / "packages" / "spinenet"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    # Importing the real one takes seconds.
    (package.parent / "torch.py").write_text("def set_num_threads(count): assert count >= 1")
    return {**os.environ, "PYTHONPATH": str(package.parent)}


def outlines_path(data: Path, series_id: int) -> Path:
    return data / VERTEBRA_OUTLINES.format(series_id=series_id)


def test_outlines_are_written_per_series_and_kept(
    data: Path, with_spinenet: dict[str, str], run_script: Callable
) -> None:
    command = (SCRIPT, "--data", data, "--spinenet-python", sys.executable, "--device", "cpu", "--workers", 1)
    done = run_script(*command, env=with_spinenet)
    assert done.returncode == 1, done.stderr
    assert "failed: series 12: SpineNet fails on it (ZeroDivisionError: bad volume)" in done.stderr
    assert done.stdout.endswith("2 series done, 0 kept, 1 failed, 1 without a slice in meta_v1.pkl\n")
    assert read_outlines(outlines_path(data, 11)) == []
    assert not outlines_path(data, 13).exists()
    (found,) = read_outlines(outlines_path(data, 10))
    assert found["predicted_label"] == "L4"
    # Slices by ascending instance number; on the larger slice everything twice as large.
    assert found["polys"][:, 1].tolist() == [[1, 50], [1, 90], [2, 220]]

    before = outlines_path(data, 10).stat().st_mtime_ns
    again = run_script(*command, env=with_spinenet)
    assert "0 series done, 2 kept, 1 failed" in again.stdout
    assert outlines_path(data, 10).stat().st_mtime_ns == before
    assert "3 series done" not in again.stdout


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ((), 2, "3 series need SpineNet; make an environment for it"),
        (("--spinenet-python", "/nowhere/python"), 2, "/nowhere/python: cannot be run"),
        (("--spinenet-python", sys.executable), 1, "cannot import SpineNet (ModuleNotFoundError"),
    ],
)
def test_without_spinenet_one_line_says_what_to_install(
    options: tuple[str, ...], status: int, message: str, data: Path, run_script: Callable
) -> None:
    done = run_script(SCRIPT, "--data", data, *options)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert "pip install spinenet" in done.stderr
    assert "--source coordinates" in done.stderr


def test_weights_that_cannot_be_downloaded_leave_no_part(
    data: Path, with_spinenet: dict[str, str], run_script: Callable, tmp_path: Path
) -> None:
    command = (SCRIPT, "--data", data, "--spinenet-python", sys.executable, "--device", "cpu")
    done = run_script(*command, env={**with_spinenet, "OFFLINE": "1"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "weights are missing or unusable (ConnectionError: no route to the server)" in done.stderr
    weights = tmp_path / "packages" / "spinenet" / "weights"
    assert not weights.exists()
    (weights / "context").mkdir(parents=True)
    (weights / "context" / "ckpt.pt").write_bytes(b"weights")
    assert "is incomplete; delete it" in run_script(*command, env=with_spinenet).stderr


def test_a_process_that_dies_ends_the_run_with_its_last_words(
    data: Path, with_spinenet: dict[str, str], run_script: Callable, write_dicom: Callable
) -> None:
    write_dicom(data / "train_images" / "1" / "11" / "1.dcm", np.full((20, 10), 2, np.uint16))
    done = run_script(SCRIPT, "--data", data, "--spinenet-python", sys.executable, "--device", "cpu", env=with_spinenet)
    assert done.returncode == 1
    assert "error: SpineNet's process died: out of memory; finished files are kept" in done.stderr
    assert outlines_path(data, 10).exists()


def test_a_slice_that_cannot_be_read_fails_its_series_only(
    data: Path, with_spinenet: dict[str, str], run_script: Callable
) -> None:
    (data / "train_images" / "1" / "10" / "9.dcm").write_bytes(b"")
    done = run_script(SCRIPT, "--data", data, "--spinenet-python", sys.executable, "--device", "cpu", env=with_spinenet)
    assert "10/9.dcm: empty file" in done.stderr
    assert "1 series done, 0 kept, 2 failed" in done.stdout
