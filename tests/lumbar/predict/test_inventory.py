"""Studies and series in every layout, and everything that is not one."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from lumbar.cli import UserError
from lumbar.predict import headers, study_files
from lumbar.predict.inventory import Inventory, take_inventory

KINDS = [AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2]
NOWHERE = Path("/nowhere")
CORONAL = [1, 0, 0, 0, 0, -1]

MakeStudy = Callable[..., Path]


def take(root: Path, table: Path | None = None) -> Inventory:
    return take_inventory(root, table, NOWHERE, workers=1)


def kinds(inventory: Inventory) -> list[list[str | None]]:
    return [sorted(str(series.kind) for series in study.series) for study in inventory.studies]


def test_kaggles_layout_keeps_its_numbers(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (34, 12):
        make_study(tmp_path, study)
    inventory = take(tmp_path)
    assert [study.study_id for study in inventory.studies] == [12, 34]
    first = inventory.studies[0]
    assert {series.series_id: series.kind for series in first.series} == {
        120: SAGITTAL_T1, 121: SAGITTAL_T2, 122: AXIAL_T2,
    }  # fmt: skip
    assert sorted(first.series[0].files) == list(range(1, len(first.series[0].files) + 1))
    assert inventory.by_header == {12, 34}
    assert inventory.problems == inventory.notes == []


def test_one_study_folder_alone(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12)
    inventory = take(tmp_path / "12")
    assert [study.study_id for study in inventory.studies] == [12]
    assert kinds(inventory) == [KINDS]


def test_folders_of_folders_with_names(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(tmp_path, study, place=lambda study, kind, n: f"clinic/person {study}/{kind}/IM{n}")
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS, KINDS]
    assert {study.folder for study in inventory.studies} == {"clinic/person 12", "clinic/person 34"}
    numbers = [study.study_id for study in inventory.studies]
    assert all(10**8 <= number < 10**9 for number in numbers)
    assert [study.study_id for study in take(tmp_path).studies] == numbers


def test_series_of_a_study_in_different_places(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(tmp_path, study, place=lambda study, kind, n: f"{kind}/{study}/{n}.dcm")
    assert kinds(take(tmp_path)) == [KINDS, KINDS]


def test_a_pile_of_files_of_two_patients_is_told_apart(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(tmp_path, study, place=lambda study, kind, n: f"{study}{kind}{n}.dcm")
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS, KINDS]
    assert len(inventory.notes) == 1 and "holds 2 patients or examinations in one folder" in inventory.notes[0]


def test_a_pile_without_unique_identifiers_goes_by_patient_and_description(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    for study in (12, 34):
        make_study(
            tmp_path, study, place=lambda study, kind, n: f"{study}{kind}{n}", StudyInstanceUID=None,
            SeriesInstanceUID=None,
        )  # fmt: skip
    assert kinds(take(tmp_path)) == [KINDS, KINDS]


def test_files_without_any_identifier_go_by_folders(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(
            tmp_path, study, place=lambda study, kind, n: f"s{study}/{kind}/{n}", StudyInstanceUID=None,
            SeriesInstanceUID=None, PatientID=None,
        )  # fmt: skip
    assert kinds(take(tmp_path)) == [KINDS, KINDS]


def test_one_study_identifier_is_one_study_whatever_the_patient_is_called(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    for kind, patient in (("t1", "A"), ("t2", "B"), ("ax", "C")):
        make_study(tmp_path, 12, (kind,), place=lambda study, kind, n: f"a/{kind}{n}", PatientID=patient)
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS]
    assert inventory.studies[0].warnings == ("its files name 3 patients; they are taken for one study all the same",)


def test_in_kaggles_layout_folders_decide_though_identifiers_change_from_file_to_file(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    make_study(tmp_path, 12)
    for number, path in enumerate(sorted(tmp_path.rglob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = f"1.2.{number}"
        dataset.save_as(path)
    inventory = take(tmp_path)
    assert [study.study_id for study in inventory.studies] == [12]
    assert {series.series_id: len(series.files) for series in inventory.studies[0].series} == {120: 5, 121: 5, 122: 35}
    assert kinds(inventory) == [KINDS]


def test_series_piled_in_one_numbered_folder_stay_apart(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, place=lambda study, kind, n: f"12/5/{ord(kind[1]) * 100 + n}.dcm")
    assert kinds(take(tmp_path)) == [KINDS]


def test_echoes_of_one_series_are_series_of_their_own(tmp_path: Path, make_study: MakeStudy) -> None:
    for echo, shift in ((12, 0), (14, 5), (100, 10)):  # the first two are no factor of 1.2 apart
        make_study(
            tmp_path, 12, ("t2",), lambda study, kind, n, shift=shift: f"a/{n + shift}.dcm", EchoTime=echo,
            RepetitionTime=3000, SeriesDescription="PD T2", SOPInstanceUID=None,
        )  # fmt: skip
    study = take(tmp_path).studies[0]
    assert {series.kind: sorted(int(path.stem) for path in series.files.values()) for series in study.series} == {
        SAGITTAL_T2: [11, 12, 13, 14, 15], None: list(range(1, 11)),
    }  # fmt: skip
    assert next(series.reason for series in study.series if not series.kind).startswith("sagittal PD is not used")


def test_files_without_preamble_are_read(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12)
    for path in tmp_path.rglob("*.dcm"):
        content = path.read_bytes()
        path.with_suffix("").write_bytes(content[132:] if "1.dcm" in path.name else without_file_information(content))
        path.unlink()
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS]
    assert sum(len(series.files) for series in inventory.studies[0].series) == 45
    assert inventory.problems == inventory.notes == []


def without_file_information(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, place=lambda study, kind, n: f"coffee/{kind}/{n}")
    (tmp_path / "coffee").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS]
    assert inventory.studies[0].study_id >= 10**8


def test_the_same_image_twice_counts_once(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, ("t1",), place=lambda study, kind, n: f"a/{n}.dcm")
    shutil.copy(tmp_path / "a" / "3.dcm", tmp_path / "a" / "copy.dcm")
    series = take(tmp_path).studies[0].series[0]
    assert sorted(series.files) == [1, 2, 3, 4, 5]


def test_equal_instance_numbers_become_an_order(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, ("t1",), place=lambda study, kind, n: f"a/{n}.dcm", InstanceNumber=7)
    files_by_number = take(tmp_path).studies[0].series[0].files
    assert {number: path.name for number, path in files_by_number.items()} == {n: f"{6 - n}.dcm" for n in range(1, 6)}


@pytest.mark.parametrize("number", [7, None])
def test_slices_without_numbers_of_their_own_follow_one_another_in_space(
    tmp_path: Path, make_study: MakeStudy, number: int | None
) -> None:
    make_study(tmp_path, 12, ("t1",), place=lambda study, kind, n: f"a/{3 * n % 5}.dcm", InstanceNumber=number)
    files_by_number = take(tmp_path).studies[0].series[0].files
    # Their normal points to the right, and the first lies rightmost.
    assert [files_by_number[n].stem for n in range(1, 6)] == [str(3 * n % 5) for n in range(5, 0, -1)]


def test_numbers_that_start_again_in_a_second_stack(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, ("ax",), place=lambda study, kind, n: f"a/{n}.dcm")
    for path in (tmp_path / "a").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = 1 + int(path.stem) % 18
        dataset.save_as(path)
    files_by_number = take(tmp_path).studies[0].series[0].files
    # The feet have the highest numbers, and the normal of the slices points to the head.
    assert [files_by_number[n].stem for n in range(1, 36)] == [str(n) for n in range(35, 0, -1)]


def test_equal_series_numbers_of_two_studies_stay_apart(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(tmp_path, study, ("t1",), place=lambda study, kind, n: f"{study}/5/{n}.dcm")
    first, second = (study.series[0].series_id for study in take(tmp_path).studies)
    assert first == 5 and second != 5


def test_the_number_that_means_no_series_is_not_given() -> None:
    numbers = study_files.Numbers()
    assert numbers.series(str(study_files.DUMMY_SERIES), "key") != study_files.DUMMY_SERIES
    assert numbers.series("12", "key") == 12
    assert numbers.series("007", "key") >= 10**8


def test_other_modalities_localizers_and_planes_are_ignored_with_a_reason(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    make_study(tmp_path, 12, ("t2",))
    unwanted = {
        "90": {"Modality": "CT"},
        "91": {"SeriesDescription": "LOC"},
        "92": {"ImageOrientationPatient": CORONAL},
    }
    for name, tags in unwanted.items():
        make_study(
            tmp_path, 12, ("t1",), lambda study, kind, n, name=name: f"12/{name}/{n}.dcm",
            SeriesInstanceUID=f"1.{name}", **tags,
        )  # fmt: skip
    study = take(tmp_path).studies[0]
    reasons = {series.series_id: series.reason for series in study.series if not series.kind}
    assert reasons == {
        90: "modality CT, not MR", 91: "a localizer", 92: "coronal T1 is not used (described as T1)",
    }  # fmt: skip


def test_files_that_are_no_images_are_named_or_passed_over(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12)
    text = tmp_path / "12" / "120" / "99.dcm"
    text.write_text("not an image")
    (tmp_path / "12" / "notes.txt").write_text("passed over")
    (tmp_path / "12" / "DICOMDIR").write_bytes(bytes(200))
    (tmp_path / ".hidden.dcm").write_text("passed over")
    (tmp_path / "empty.dcm").touch()
    inventory = take(tmp_path)
    assert kinds(inventory) == [KINDS]
    assert inventory.problems == [
        f"{text}: not a DICOM file (no 'DICM' marker)", f"{tmp_path / 'empty.dcm'}: empty file",
    ]  # fmt: skip
    passed = f"2 files are no DICOM images and were passed over, the first: {tmp_path / '12' / 'DICOMDIR'}"
    assert inventory.notes == [passed]


@pytest.mark.usefixtures("forked")
def test_files_that_cannot_be_read_or_crash_their_process_cost_themselves(
    tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, 12)
    deadly, text = tmp_path / "12" / "120" / "98.dcm", tmp_path / "12" / "120" / "99.dcm"
    for path in (deadly, text):
        path.write_text("not an image")

    def read(path: Path) -> headers.Header:
        if path == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return headers.read_header(path)

    monkeypatch.setattr("lumbar.predict.grouping.read_header", read)
    inventory = take_inventory(tmp_path, None, NOWHERE, workers=2)
    assert kinds(inventory) == [KINDS]
    assert inventory.problems == [
        f"{deadly}: crashes the decoder, or takes more memory than there is",
        f"{text}: not a DICOM file (no 'DICM' marker)",
    ]


def test_folders_without_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        take(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no DICOM image; expected"):
        take(tmp_path)
    (tmp_path / "1.dcm").write_text("text")
    with pytest.raises(UserError, match=r"1 unusable files or folders, the first: .*1.dcm: not a DICOM file"):
        take(tmp_path)


def test_the_work_folder_is_not_searched_and_links_back_end(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12, ("t1",))
    make_study(tmp_path / "work", 34, ("t1",))
    (tmp_path / "12" / "back").symlink_to(tmp_path)
    inventory = take_inventory(tmp_path, None, tmp_path / "work", workers=1)
    assert [study.study_id for study in inventory.studies] == [12]


def test_links_are_followed_to_files_and_within_the_folder_alone_and_nothing_is_listed_twice(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    make_study(tmp_path / "archive", 12, ("t1",))
    images = tmp_path / "images"
    make_study(images / ".store", 34, ("t1",))
    (images / "5" / "6").mkdir(parents=True)
    for number in range(1, 6):
        (images / "5" / "6" / f"{number}.dcm").symlink_to(tmp_path / "archive" / "12" / "120" / f"{number}.dcm")
    (images / "5" / "6" / "again.dcm").symlink_to(images / "5" / "6" / "1.dcm")
    for name, target in (("34", ".store/34"), ("35", ".store/34"), ("12", tmp_path / "archive"), ("7", "/proc")):
        (images / name).symlink_to(target)
    inventory = take(images)
    assert [(study.study_id, len(study.series[0].files)) for study in inventory.studies] == [(5, 5), (34, 5)]
    assert sorted(inventory.problems) == [
        f"{images / name}: a link to a folder elsewhere, which is not followed; give that folder"
        for name in ("12", "7")
    ]


@pytest.mark.usefixtures("forked")
def test_a_table_names_series_without_a_look_at_headers(
    tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path / "images", 12, SeriesDescription="misleading")
    table = tmp_path / "series.csv"
    rows = [(12, 120, SAGITTAL_T1), (12, 122, AXIAL_T2), (12, 555, SAGITTAL_T2), (13, 130, SAGITTAL_T1)]
    pd.DataFrame(rows, columns=["study_id", "series_id", "series_description"]).to_csv(table, index=False)
    monkeypatch.setattr("lumbar.predict.grouping.read_header", None)
    inventory = take(tmp_path / "images", table)
    found = {study.study_id: {each.series_id: each.kind for each in study.series} for study in inventory.studies}
    assert found == {12: {120: SAGITTAL_T1, 122: AXIAL_T2, 121: None}, 13: {}}
    assert inventory.studies[0].series[-1].reason == "not listed in series.csv"
    assert [problem.partition(": ")[2] for problem in inventory.problems] == [
        "listed in series.csv, but there are no files"
    ] * 2
    assert not inventory.by_header


def test_studies_that_the_table_lacks_are_recognised_by_header(tmp_path: Path, make_study: MakeStudy) -> None:
    for study in (12, 34):
        make_study(tmp_path / "images", study)
    table = tmp_path / "series.csv"
    table.write_text(f"study_id,series_id,series_description\n12,120,{SAGITTAL_T1}\n")
    inventory = take(tmp_path / "images", table)
    assert [study.study_id for study in inventory.studies] == [12, 34]
    assert inventory.by_header == {34}


def test_a_table_of_other_images_is_an_error(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path / "images", 12)
    table = tmp_path / "series.csv"
    table.write_text(f"study_id,series_id,series_description\n99,120,{SAGITTAL_T1}\n")
    with pytest.raises(UserError, match=r"lists 1 studies, but .* holds no"):
        take(tmp_path / "images", table)
    table.write_text("study_id,series_id,series_description\n")
    with pytest.raises(UserError, match="lists 0 studies"):
        take(tmp_path / "images", table)
    table.write_text("study,series\n99,120\n")
    with pytest.raises(UserError, match="lacks the column"):
        take(tmp_path / "images", table)


def test_a_fingerprint_changes_with_the_files(tmp_path: Path, make_study: MakeStudy) -> None:
    make_study(tmp_path, 12)
    before = take(tmp_path).studies[0].fingerprint()
    assert take(tmp_path).studies[0].fingerprint() == before
    with (tmp_path / "12" / "120" / "1.dcm").open("ab") as file:
        file.write(b"\0\0")
    assert take(tmp_path).studies[0].fingerprint() != before
