"""An enhanced multi-frame study is graded as the same study in single files."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from lumbar.images.numbering import read_instances
from lumbar.images.preparation import SeriesJob, prepare_series

ROOT = Path(__file__).parents[3]
main: Callable[[list[str]], int] = runpy.run_path(str(ROOT / "predict.py"))["main"]

PER_FRAME = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
}
SHARED = {
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
}


def groups(source: Dataset, names: dict[str, tuple[str, ...]]) -> Dataset:
    """Move tags of a single-frame file into functional groups."""
    result = Dataset()
    for group, keywords in names.items():
        inner = Dataset()
        for keyword in keywords:
            if keyword in source:
                setattr(inner, keyword, source.get(keyword))
        setattr(result, group, Sequence([inner]))
    return result


def join(files: list[Path], out: Path, stacks: tuple[str, ...] = ()) -> Path:
    """Write the slices of a series as one enhanced file, in the order given."""
    slices = [pydicom.dcmread(path) for path in files]
    joined = pydicom.dcmread(files[0])
    for keyword in {key for names in (*PER_FRAME.values(), *SHARED.values()) for key in names} & set(joined.dir()):
        delattr(joined, keyword)
    joined.SOPClassUID = joined.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    joined.NumberOfFrames = len(slices)
    joined.SharedFunctionalGroupsSequence = Sequence([groups(slices[0], SHARED)] if not stacks else [Dataset()])
    frames = [groups(each, PER_FRAME | (SHARED if stacks else {})) for each in slices]
    for frame, stack in zip(frames, stacks, strict=False):
        content = Dataset()
        content.StackID = stack
        frame.FrameContentSequence = Sequence([content])
    joined.PerFrameFunctionalGroupsSequence = Sequence(frames)
    joined.PixelData = b"".join(each.PixelData for each in slices)
    out.parent.mkdir(parents=True, exist_ok=True)
    joined.save_as(out)
    return out


def by_number(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: int(path.stem))


def test_the_same_grades_as_the_single_frame_twin(
    tmp_path: Path, make_study: Callable[..., Path], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = make_study(tmp_path / "single", 12, WindowCenter=500, WindowWidth=900)
    grades = {}
    for series in sorted((single / "12").iterdir()):
        join(by_number(series)[::-1], tmp_path / "enhanced" / "scans" / f"IM{series.name}.dcm")
    for name in ("single", "enhanced"):
        out = tmp_path / f"{name}.csv"
        command = [str(tmp_path / name), "--weights", str(weights), "--out", str(out), "--workers", "1", "-G", "cpu"]
        assert main(command) == 0, capsys.readouterr().err
        grades[name] = pd.read_csv(out).iloc[:, 1:].to_numpy()
    output = capsys.readouterr().out
    assert output.count("25 grades (25 by models)") == 2
    np.testing.assert_allclose(grades["enhanced"], grades["single"], atol=1e-6)


def prepare(folder: Path) -> Any:
    images = folder.parents[1]
    return prepare_series(SeriesJob(images, folder.parent.name, folder.name, ("v01",), force=False))


def test_prepare_numbers_frames_by_position_stack_by_stack(tmp_path: Path, write_dicom: Callable[..., Path]) -> None:
    heights, pixels = (30, 10, 20, 35, 15), np.arange(64, dtype=np.uint16).reshape(8, 8)
    files = [
        write_dicom(
            tmp_path / f"{n}.dcm", pixels + 100 * n, ImagePositionPatient=[0, 0, height], WindowCenter=50 + n,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], WindowWidth=400,
        )
        for n, height in enumerate(heights)
    ]  # fmt: skip
    path = join(files, tmp_path / "train_images" / "1" / "2" / "7.dcm", ("a", "a", "a", "b", "b"))
    report = prepare(path.parent)
    assert not report.failures
    places = {row["instance_number"]: row["ImagePositionPatient"][2] for row in report.rows}
    assert list(places) == [1, 2, 3, 4, 5]
    assert places == {1: 10, 2: 20, 3: 30, 4: 15, 5: 35}
    assert report.rows[0]["PixelSpacing"] == (0.5, 0.75)
    stack = read_instances(path.parent, range(1, 6))
    assert [image.tags["ImagePositionPatient"][2] for image in stack] == list(places.values())
    names = sorted(each.name for each in (tmp_path / "train_images_v01" / "1" / "2").glob("*.png"))
    assert names == ["1.png", "2.png", "3.png", "4.png", "5.png"]
    again = prepare(path.parent)
    assert (again.done, again.kept) == (0, 5)
    write_dicom(
        path.with_name("9.dcm"), pixels, ImageOrientationPatient=[1, 0, 0, 0, 1, 0]
    )  # a plain slice beside them keeps its number
    assert sorted(row["instance_number"] for row in prepare(path.parent).rows) == [9, 10, 11, 12, 13, 14]


def test_a_frame_that_is_cut_off_costs_the_file(tmp_path: Path, write_dicom: Callable[..., Path]) -> None:
    files = [write_dicom(tmp_path / f"{n}.dcm", np.zeros((8, 8), np.uint16)) for n in range(3)]
    path = join(files, tmp_path / "train_images" / "1" / "2" / "7.dcm")
    path.write_bytes(path.read_bytes()[:-20])
    report = prepare(path.parent)
    assert not report.rows and report.failures
