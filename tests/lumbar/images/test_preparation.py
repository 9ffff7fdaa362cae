import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.images import preparation
from lumbar.images.dicom import DicomFile, DicomSlice
from lumbar.images.preparation import prepare_images
from lumbar.tables import META, read_table

WriteDicom = Callable[..., Path]
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.fixture
def images(tmp_path: Path, write_dicom: WriteDicom) -> Path:
    """Two series of two slices."""
    folder = tmp_path / "train_images"
    for series in (20, 3):
        for instance in (11, 2):
            write_dicom(folder / "100" / str(series) / f"{instance}.dcm", PIXELS + instance)
    return folder


def prepare(images: Path, **options: Any) -> preparation.Report:
    return prepare_images(images, **({"versions": ("v01", "v04"), "table": META, "workers": 1} | options))


def test_metadata_is_sorted_and_has_the_tables_columns(images: Path) -> None:
    report = prepare(images)
    assert (report.done, report.kept, report.removed, report.failures) == (4, 0, 0, [])
    meta = read_table(images.parent, META)
    assert tuple(meta.columns) == META.columns
    assert meta[["study_id", "series_id", "instance_number"]].to_numpy().tolist() == [
        [100, 3, 2], [100, 3, 11], [100, 20, 2], [100, 20, 11],
    ]  # fmt: skip
    assert meta["PixelSpacing"].iloc[0] == (0.5, 0.75)


def test_the_file_name_is_the_instance_number_whatever_the_tag_says(images: Path, write_dicom: WriteDicom) -> None:
    write_dicom(images / "100" / "3" / "12.dcm", PIXELS, InstanceNumber=99)
    prepare(images)
    assert (images.parent / "train_images_v01/100/3/12.png").exists()
    assert read_table(images.parent, META)["instance_number"].tolist() == [2, 11, 12, 2, 11]


def test_one_cache_alone(images: Path) -> None:
    prepare(images, versions=("v04",), table=None)
    assert sorted(path.name for path in images.parent.iterdir()) == ["train_images", "train_images_v04"]
    report = prepare(images)
    assert (report.done, report.kept) == (4, 0)  # v01 was missing
    report = prepare(images, versions=("v01",))
    assert (report.done, report.kept) == (0, 4)


def test_metadata_alone_equals_metadata_with_caches(images: Path) -> None:
    (images / "100" / "3" / "5.dcm").write_bytes((images / "100" / "3" / "2.dcm").read_bytes()[:-9])  # truncated
    tables = []
    for versions in ((), ("v01", "v04"), ("v01", "v04")):
        assert len(prepare(images, versions=versions).failures) == 1
        tables.append((images.parent / META.path).read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_names_that_are_no_numbers_are_failures_and_hidden_or_other_files_are_not(
    images: Path, write_dicom: WriteDicom, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dicom(images / "100" / "3" / "scan.dcm", PIXELS)
    write_dicom(images / "100" / "3" / "20000101000000.dcm", PIXELS)
    write_dicom(images / "100" / "t2" / "1.dcm", PIXELS)
    for name in (".DS_Store", "100/3/._2.dcm", "100/3/readme.txt"):
        (images / name).write_bytes(b"")
    report = prepare(images)
    assert {path.name for path, _ in report.failures} == {"scan.dcm", "20000101000000.dcm", "t2"}
    assert report.done == 4
    assert capsys.readouterr().err.count("expected") == 3


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("closed", ["100/3", "100"])
def test_a_folder_that_may_not_be_read_costs_its_series_and_no_cached_slice(
    images: Path, write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    write_dicom(images / "200" / "4" / "1.dcm", PIXELS)
    prepare(images)
    forbidden, iterdir = images / closed, Path.iterdir

    def refuse(folder: Path) -> Any:
        if folder.is_relative_to(forbidden):
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    report = prepare(images)
    assert (forbidden, "cannot be read (Permission denied)") in [
        (path, text.partition(";")[0]) for path, text in report.failures
    ]
    assert (report.kept, report.removed) == ((3, 0) if closed == "100/3" else (1, 0))
    assert len(list(images.parent.glob("train_images_v0?/*/*/*.png"))) == 2 * 5


def test_a_second_file_with_an_instance_number_is_a_failure(images: Path) -> None:
    (images / "100/3/2.DCM").write_bytes((images / "100/3/11.dcm").read_bytes())
    report = prepare(images)
    assert (report.done, len(report.failures)) == (4, 1)


def test_what_lost_its_source_is_removed_and_counted(images: Path) -> None:
    prepare(images)
    (images / "100" / "3" / "2.dcm").unlink()
    (images / "100" / "20").rename(images / "100" / "21")
    report = prepare(images)
    assert (report.done, report.kept, report.removed) == (2, 1, 3)
    cache = images.parent / "train_images_v01" / "100"
    assert sorted(str(path.relative_to(cache)) for path in cache.rglob("*.png")) == [
        "21/11.png",
        "21/2.png",
        "3/11.png",
    ]


def test_a_source_that_broke_loses_its_pngs_but_is_not_removed(images: Path) -> None:
    prepare(images)
    (images / "100" / "3" / "2.dcm").write_bytes(b"")
    report = prepare(images)
    assert (report.kept, report.removed, len(report.failures)) == (3, 0, 1)
    assert not (images.parent / "train_images_v01/100/3/2.png").exists()


def test_all_failed_still_gives_a_table(tmp_path: Path) -> None:
    path = tmp_path / "train_images" / "1" / "2" / "3.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert len(prepare(tmp_path / "train_images").failures) == 1
    assert read_table(tmp_path, META).empty


def test_a_folder_without_series_is_an_error_and_costs_no_cache(images: Path) -> None:
    prepare(images)
    (images / "100").rename(images.parent / "100")
    with pytest.raises(UserError, match="holds no folder"):
        prepare(images)
    assert len(list((images.parent / "train_images_v01").rglob("*.png"))) == 4


def test_an_output_that_cannot_be_written_is_one_line(images: Path) -> None:
    (images.parent / "train_images_v01").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        prepare(images)


@pytest.mark.usefixtures("forked")
def test_a_file_that_crashes_the_decoder_is_one_failure(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = DicomFile.slice

    def crash(file: DicomFile, frame: int | None = None) -> DicomSlice:
        if file.path.match("20/2.dcm"):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(file, frame)

    monkeypatch.setattr(DicomFile, "slice", crash)
    report = prepare(images, workers=2)
    assert [path for path, _ in report.failures] == [images / "100" / "20" / "2.dcm"]
    assert "crashes the decoder" in capsys.readouterr().err
    assert report.done + report.kept == 3  # what was at work beside the crash is done again, and may be there already
    assert len(list((images.parent / "train_images_v04").rglob("*.png"))) == 3


def test_bytes_of_the_table_do_not_depend_on_the_workers(images: Path) -> None:
    prepare(images)
    first = (images.parent / META.path).read_bytes()
    prepare(images, workers=3, force=True)
    assert (images.parent / META.path).read_bytes() == first


def test_a_table_with_absent_tags_can_be_read(tmp_path: Path, write_dicom: WriteDicom) -> None:
    absent = dict.fromkeys(("ImagePositionPatient", "SliceLocation", "SeriesDescription"))
    write_dicom(tmp_path / "train_images/1/2/3.dcm", PIXELS, **absent)
    prepare(tmp_path / "train_images")
    row = read_table(tmp_path, META).iloc[0]
    assert all(pd.isna(row[keyword]) for keyword in absent)
