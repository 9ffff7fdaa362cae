"""Fixtures that several test modules share."""

import json
import multiprocessing
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lumbar.tables import AXIAL_LEVELS, META, write_table

GOLDEN = Path(__file__).parent / "golden"

# A shell's background job ignores interrupts, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark tests in a browser as slow."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes are copies of this one, so that they see what a test has patched."""
    monkeypatch.setattr("lumbar.parallel._context", lambda: multiprocessing.get_context("fork"))
    # In a copy this call can wait for ever for OpenCV's threads, which stayed behind.
    monkeypatch.setattr("lumbar.parallel.cv2.setNumThreads", lambda _: None)


WriteDicom = Callable[..., Path]


@pytest.fixture(scope="session")
def write_dicom() -> WriteDicom:
    """``write_dicom(path, pixels, syntax=..., **tags)`` writes an MR slice; a tag given as None is left out."""

    def write(path: Path, pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Path:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        encapsulated = UID(syntax).is_encapsulated
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if encapsulated else UID(syntax)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
        defaults = {
            "PatientName": "Doe^Jane",
            "PatientBirthDate": "19700101",
            "PatientID": path.parent.parent.name,
            "SeriesDescription": "T2",
            "PatientPosition": "HFS",
            "SliceThickness": 4,
            "SpacingBetweenSlices": 4.5,
            "SliceLocation": -12.5,
            "ImagePositionPatient": [-12.5, -100, 80],
            "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
            "PixelSpacing": [0.5, 0.75],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "BitsAllocated": 8 * pixels.itemsize,
            "BitsStored": 8 * pixels.itemsize,
            "HighBit": 8 * pixels.itemsize - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
            "PixelData": pixels.tobytes(),
        }
        for keyword, value in (defaults | tags).items():
            if value is not None:
                setattr(dataset, keyword, value)
        if encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(scope="session")
def mini_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the tiny competition of tests/golden/mini.tar.xz; tests take a copy of their own with `mini`."""
    folder = tmp_path_factory.mktemp("mini")
    with tarfile.open(GOLDEN / "mini.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    data = folder / "mini" / "datamount"
    for path in (data / "train_images_v01").rglob("*.png"):
        negative = data / "train_images_v04" / path.relative_to(data / "train_images_v01")
        negative.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(negative), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    meta = pd.read_csv(data / "meta_v1.csv")
    for column in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        meta[column] = [tuple(json.loads(value)) for value in meta[column]]
    write_table(meta, data, META)
    mapping = pd.read_csv(folder / "mini" / "expected" / "axial_lvl.csv")
    for column in ("mapped_ax_instance_number", "distance"):
        mapping[column] = [json.loads(value) for value in mapping[column]]
    write_table(mapping, data, AXIAL_LEVELS)
    return folder / "mini"


@pytest.fixture
def mini(mini_source: Path, tmp_path: Path) -> Path:
    """Copy the tiny competition: ``datamount/`` with both caches and all tables, ``weights/``, ``expected/``."""
    return Path(shutil.copytree(mini_source, tmp_path / "mini"))


@pytest.fixture(scope="session")
def mini_folds(mini_source: Path) -> pd.DataFrame:
    """Rows of the tiny competition's fold file."""
    return pd.read_csv(mini_source / "datamount" / "train_folded_v1.csv")


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """``run_here("aggregate_localisation.py", "--folds", 0)`` runs a command as its file, without a process start."""

    def run(script: str, *options: object) -> "subprocess.CompletedProcess[str]":
        path = Path(__file__).parents[1] / script
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), *capfd.readouterr())

    return run
