"""Studies of noise with true geometry, and networks that answer with constants."""

import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid

ROOT = Path(__file__).parents[3]
TINY = {"backbone": "test_efficientnet.r160_in1k", "img_size": "32", "hidden_dim": "8", "batch_size_val": "64"}
"""Overrides of every config."""

KINDS = {"t1": "Sagittal T1", "t2": "Sagittal T2/STIR", "ax": "Axial T2"}

MakeStudy = Callable[..., Path]


@pytest.fixture(scope="session")
def make_study(write_dicom: Callable[..., Path]) -> MakeStudy:
    """``make_study(root, study, kinds, place=..., **tags)`` writes series of a study; levels lie where networks say.

    `place` gives a file's path from (study, kind, instance); by default Kaggle's ``<study>/<series>/<instance>.dcm``.
    """

    def kaggle(study: int, kind: str, instance: int) -> str:
        return f"{study}/{series_id(study, kind)}/{instance}.dcm"

    def write(
        root: Path,
        study: int = 1,
        kinds: tuple[str, ...] = ("t1", "t2", "ax"),
        place: Callable[[int, str, int], str] = kaggle,
        **tags: Any,
    ) -> Path:
        rng = np.random.default_rng(study)
        for kind in kinds:
            count, size = (35, 32) if kind == "ax" else (5, 64)
            for instance in range(1, count + 1):
                geometry: dict[str, Any] = {
                    "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
                    "ImagePositionPatient": [6 * instance - 18, -128, 128],
                    "PixelSpacing": [4, 4],
                }
                if kind == "ax":
                    geometry = {
                        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
                        "ImagePositionPatient": [-128, -128, 95 - 5 * instance],
                        "PixelSpacing": [8, 8],
                    }
                identity = {
                    "Modality": "MR",
                    "PatientID": str(study),
                    "StudyInstanceUID": generate_uid(entropy_srcs=[str(study)]),
                    "SeriesInstanceUID": generate_uid(entropy_srcs=[str(study), kind]),
                    "SeriesDescription": KINDS[kind],
                    "InstanceNumber": instance,
                }
                pixels = rng.integers(0, 1000, (size, size), dtype=np.uint16)
                write_dicom(root / place(study, kind, instance), pixels, **(geometry | identity | tags))
        return root

    return write


def series_id(study: int, kind: str) -> int:
    """Give the number of a study's series in Kaggle's layout."""
    return 10 * study + list(KINDS).index(kind)


@pytest.fixture(scope="session")
def write_weights() -> Callable[..., None]:
    """``write_weights(folder, folds=..., configs=...)`` writes tiny networks that were never trained."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "placeholder_weights.py"))
    return partial(script["write_weights"], overrides=TINY)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, write_weights: Callable[..., None]) -> Path:
    """Make one network of each config; tests that change them take a copy."""
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder)
    return folder
