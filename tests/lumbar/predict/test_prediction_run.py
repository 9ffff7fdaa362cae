"""The whole command: layouts, broken inputs, fall-backs, resuming, and the rules of a submission."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest

from lumbar.anatomy import GRADE_COLUMNS, SAGITTAL_T1, TARGETS
from lumbar.cli import UserError
from lumbar.grades.class_shares import class_shares
from lumbar.predict.predictor import Predictor
from lumbar.predict.record import MODELS, NEIGHBOUR, OTHER_SERIES, SHARES, StudyRecord, read_record
from lumbar.roles import AXIAL, CLASSIFIERS, MLP, SAGITTAL

ROOT = Path(__file__).parents[3]
main: Callable[[list[str]], int] = runpy.run_path(str(ROOT / "predict.py"))["main"]

MakeStudy = Callable[..., Path]
Predict = Callable[..., int]


@pytest.fixture
def predict(tmp_path: Path, weights: Path) -> Predict:
    """``predict(*options, images=...)`` runs the command into `tmp_path`."""

    def run(*options: str, images: Path = tmp_path / "images", weights: Path = weights) -> int:
        out = ["--weights", str(weights), "--out", str(tmp_path / "out.csv"), "--workers", "1", "-G", "cpu"]
        return main([str(images), *out, *options])

    return run


def record(tmp_path: Path, study: int) -> StudyRecord:
    return read_record(tmp_path / "out_work" / "records" / f"{study}.npz")


def submission(tmp_path: Path) -> pd.DataFrame:
    return pd.read_csv(tmp_path / "out.csv")


def check_rules(table: pd.DataFrame, studies: list[int]) -> None:
    assert table["row_id"].tolist() == [f"{study}_{target}" for study in studies for target in TARGETS]
    values = table[list(GRADE_COLUMNS)].to_numpy()
    assert (values >= 0).all()
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-9)


def test_a_complete_study_is_read_by_the_models(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path / "images", 12)
    assert predict() == 0
    check_rules(submission(tmp_path), [12])
    found = record(tmp_path, 12)
    assert found.source == (MODELS,) * 25
    assert not [line for line in found.warnings if "unsure" not in line]
    assert found.sagittal and found.sagittal.kind == "Sagittal T2/STIR" and found.sagittal.series_id == 121
    np.testing.assert_allclose(found.sagittal.points[0], [0.5 * 64, round(0.2 * 64)])
    assert [view.level for view in found.axial] == ["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"]
    assert found.axial[2].instance_number == 18  # z of L3/L4 is 5.1 mm, that of the slice 5 mm
    assert found.axial[2].distance < 2 and found.axial[2].image.shape == (32, 32)
    assert set(found.models) == set(CLASSIFIERS)
    graded = {name: ~np.isnan(found.models[name]).any(axis=1) for name in CLASSIFIERS}
    assert graded["cfg_dh_12y8"].tolist() == [True] * 15 + [False] * 10
    assert graded["cfg_dh_29a2"].tolist() == [False] * 15 + [True] * 10
    assert graded["cfg_dh_29g"].all()
    output = capsys.readouterr().out
    assert "study 12 in 12: Sagittal T1 120 (5 slices; sagittal; described as T1)" in output
    assert "1 studies, 25 grades (25 by models)" in output
    assert not (tmp_path / "out_work" / "data").exists()


@pytest.mark.slow
def test_every_study_gets_its_rows_whatever_it_lacks(tmp_path: Path, make_study: MakeStudy, predict: Predict) -> None:
    lacking = {1: ("ax",), 2: ("t1", "t2"), 3: ("t2", "ax"), 4: ("t1", "ax"), 5: ("t1",)}
    for study, kinds in lacking.items():
        make_study(tmp_path / "images", study, kinds)
    assert predict("--studies-at-a-time", "3") == 1  # a study has class shares alone
    check_rules(submission(tmp_path), [1, 2, 3, 4, 5])
    only_axial, no_axial, no_t1, no_t2, only_t1 = (record(tmp_path, study) for study in lacking)
    assert only_axial.source == (SHARES,) * 25
    np.testing.assert_allclose(only_axial.probabilities, class_shares())
    assert "no sagittal series that tells which axial slice shows which level" in only_axial.warnings[-1]
    assert only_axial.sagittal is None
    assert no_axial.source == (MODELS,) * 15 + (SHARES,) * 10
    assert no_t1.source == (MODELS,) * 5 + (OTHER_SERIES,) * 10 + (MODELS,) * 10
    assert any("Foraminal narrowing, all levels: read on axial slices alone" in line for line in no_t1.warnings)
    assert no_t2.source == (OTHER_SERIES,) * 5 + (MODELS,) * 20
    assert only_t1.source == (SHARES,) * 5 + (MODELS,) * 10 + (SHARES,) * 10
    assert only_t1.sagittal and only_t1.sagittal.kind == SAGITTAL_T1


def test_a_level_off_the_axial_stack_takes_its_neighbours_grade(
    tmp_path: Path, make_study: MakeStudy, predict: Predict
) -> None:
    make_study(tmp_path / "images", 12)
    for instance in range(1, 10):  # z over 50 mm: L1/L2 is at 77 mm
        (tmp_path / "images" / "12" / "122" / f"{instance}.dcm").unlink()
    assert predict() == 0
    found = record(tmp_path, 12)
    assert [found.source[15], found.source[20]] == [NEIGHBOUR] * 2 and found.source.count(MODELS) == 23
    assert [view.level for view in found.axial] == ["l2_l3", "l3_l4", "l4_l5", "l5_s1"]
    assert found.warnings[0] == "Subarticular stenosis, L1/L2: taken from the nearest level (no axial slice for L1/L2)"


def test_a_scout_is_left_out_and_costs_nothing(tmp_path: Path, make_study: MakeStudy, predict: Predict) -> None:
    make_study(tmp_path / "images", 12)
    assert predict() == 0
    before = submission(tmp_path)
    scout = pydicom.dcmread(tmp_path / "images" / "12" / "122" / "18.dcm")
    scout.InstanceNumber, scout.SOPInstanceUID = 99, "1.2.3"
    scout.ImagePositionPatient, scout.ImageOrientationPatient = [0, -128, 128], [0, 1, 0, 0, 0, -1]
    scout.save_as(tmp_path / "images" / "12" / "122" / "99.dcm")
    assert predict() == 0
    assert record(tmp_path, 12).warnings[0] == "1 slices in another plane than their series (scouts?) are left out"
    pd.testing.assert_frame_equal(submission(tmp_path), before)


def test_broken_inputs_are_named_and_cost_nothing_else(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    for study in (1, 2, 3):
        make_study(images, study)
    text = images / "1" / "10" / "77.dcm"
    text.write_text("hello")
    truncated = images / "2" / "20" / "3.dcm"
    truncated.write_bytes(truncated.read_bytes()[:-500])
    make_study(images, 3, ("t1",), lambda study, kind, n: f"3/99/{n}.dcm", Modality="CT", SeriesInstanceUID="1.2")
    make_study(images, 4, ("t2",), lambda study, kind, n: f"1/11/5{n}.dcm")  # another patient among study 1
    (images / "5").mkdir()
    assert predict() == 1
    output = capsys.readouterr()
    errors = [line for line in output.err.splitlines() if ".dcm: " in line]
    assert errors[0] == f"{text}: not a DICOM file (no 'DICM' marker)"
    assert len(errors) == 2 and errors[1].startswith(f"{truncated}: pixels")
    assert "ignored: 99 (5 files; modality CT, not MR)" in output.out
    assert "2 problems" in output.out
    table = submission(tmp_path)
    check_rules(table, [1, 2, 3])
    assert all(record(tmp_path, study).source == (MODELS,) * 25 for study in (1, 2, 3))
    assert record(tmp_path, 2).warnings[0] == "1 of 45 files could not be read and are left out"
    named = "its files name 2 patients; they are taken for one study all the same"
    assert named in record(tmp_path, 1).warnings and f"study 1: {named}" in output.err


def test_an_empty_folder_is_an_error(tmp_path: Path, predict: Predict) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="holds no DICOM image") as error:
        predict()
    assert error.value.status == 2


def test_what_may_not_be_read_is_named(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    images = make_study(tmp_path / "images", 1)
    closed = make_study(images, 2) / "2"
    if os.geteuid() == 0:  # the superuser may read everything
        scan = os.scandir

        def refuse(path: Any) -> Any:
            if not isinstance(path, int) and Path(path) == closed:
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
    closed.chmod(0)
    try:
        assert predict() == 1
    finally:
        closed.chmod(0o755)
    assert f"{closed}: cannot be read (Permission denied)" in capsys.readouterr().err
    check_rules(submission(tmp_path), [1])


def test_networks_that_were_trained_on_published_pictures_are_given_such(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, weights: Path
) -> None:
    make_study(tmp_path / "images", 12)
    assert predict() == 0
    usual = record(tmp_path, 12)
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    for path in tree.rglob("config_seed*.json"):
        snapshot = json.loads(path.read_text())
        snapshot["config"]["cache"] += "published"
        path.write_text(json.dumps(snapshot))
    shutil.rmtree(tmp_path / "out_work")
    assert predict(weights=tree) == 0
    found = record(tmp_path, 12)
    assert found.source == usual.source
    assert not np.array_equal(found.probabilities, usual.probabilities)


def test_weights_of_another_config_and_damaged_ones_are_left_out(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path / "images", 12)
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    name = Path("fold0") / "checkpoint_last_seed1.pth"
    shutil.copy(tree / CLASSIFIERS[1] / name, tree / CLASSIFIERS[0] / name)
    (tree / MLP / name).write_bytes(b"damaged")
    assert predict(weights=tree) == 1
    lines = capsys.readouterr().err.splitlines()
    (other,) = [line for line in lines if line.startswith(str(tree / CLASSIFIERS[0]))]
    why = f"these are weights of another config than {CLASSIFIERS[0]}, or of an older version of it: train it again"
    assert other.endswith(f"{why}; left out")
    (damaged,) = [line for line in lines if line.startswith(str(tree / MLP))]
    assert "not a file of tensors and plain values, or damaged" in damaged
    assert f"no network of {MLP} that knows these classifiers: they are averaged" in lines
    found = record(tmp_path, 12)
    assert found.source == (OTHER_SERIES,) * 15 + (MODELS,) * 10
    recesses, everything = (found.models[name] for name in CLASSIFIERS[1:])
    np.testing.assert_allclose(found.probabilities[:15], everything[:15], atol=1e-6)
    np.testing.assert_allclose(found.probabilities[15:], (recesses + everything)[15:] / 2, atol=1e-6)


def test_nothing_to_grade_with_is_an_error(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, weights: Path
) -> None:
    make_study(tmp_path / "images", 12)
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    shutil.rmtree(tree / SAGITTAL)
    with pytest.raises(UserError, match="nothing can be graded, there is no network of cfg_dh_14p2_locsag"):
        predict(weights=tree)
    with pytest.raises(UserError, match="no such folder; expected trained weights"):
        predict(weights=tmp_path / "absent")


def test_without_an_axial_localiser_the_sagittal_series_are_still_read(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, weights: Path
) -> None:
    make_study(tmp_path / "images", 12)
    tree = Path(shutil.copytree(weights, tmp_path / "weights"))
    shutil.rmtree(tree / AXIAL)
    assert predict(weights=tree) == 0
    assert record(tmp_path, 12).source == (MODELS,) * 15 + (SHARES,) * 10


@pytest.mark.slow
def test_finished_studies_are_kept_until_files_or_networks_change(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    images = tmp_path / "images"
    for study in (1, 2):
        make_study(images, study)
    seen: list[int] = []
    whole = Predictor.predict

    def watch(self: Predictor, studies: Any, *rest: Any) -> Any:
        seen.extend(study.study_id for study in studies)
        if 2 in seen and seen.count(2) == 1:
            raise KeyboardInterrupt
        return whole(self, studies, *rest)

    monkeypatch.setattr(Predictor, "predict", watch)
    with pytest.raises(KeyboardInterrupt):
        predict("--studies-at-a-time", "1")
    assert not (tmp_path / "out.csv").exists()
    assert predict() == 0 and seen == [1, 2, 2]
    first = submission(tmp_path)
    assert predict() == 0 and seen == [1, 2, 2]
    pd.testing.assert_frame_equal(submission(tmp_path), first)
    damaged = tmp_path / "out_work" / "records" / "1.npz"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    (tmp_path / "out_work" / "notes.txt").write_bytes(b"\xff")
    assert predict() == 0 and seen == [1, 2, 2, 1]
    pd.testing.assert_frame_equal(submission(tmp_path), first)
    seen.pop()
    with (images / "1" / "10" / "1.dcm").open("ab") as file:
        file.write(b"\0\0")
    assert predict() == 0 and seen == [1, 2, 2, 1]
    assert predict("--force") == 0 and seen == [1, 2, 2, 1, 1, 2]
    assert "1 of 2 studies are finished already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_that_cannot_be_worked_on_does_not_cost_the_others(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for study in (1, 2, 3):
        make_study(tmp_path / "images", study)
    whole = Predictor.predict

    def fail(self: Predictor, studies: Any, *rest: Any) -> Any:
        if any(study.study_id == 2 for study in studies):
            raise RuntimeError("strange")
        return whole(self, studies, *rest)

    monkeypatch.setattr(Predictor, "predict", fail)
    assert predict() == 1
    check_rules(submission(tmp_path), [1, 2, 3])
    assert [record(tmp_path, study).source[0] for study in (1, 2, 3)] == [MODELS, SHARES, MODELS]
    assert record(tmp_path, 2).warnings == ("Class shares for all 25 grades: it cannot be worked on (RuntimeError)",)
    assert "study 2: it cannot be worked on (RuntimeError): strange" in capsys.readouterr().err
    monkeypatch.setattr(Predictor, "predict", whole)
    assert predict() == 0 and record(tmp_path, 2).source[0] == MODELS  # the next run tries it again


def test_studies_that_cannot_be_worked_on_get_class_shares_and_exit_status_1(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for study in (1, 2):
        make_study(tmp_path / "images", study, ("t1",))

    def fail(*arguments: Any) -> Any:
        raise RuntimeError("broken library")

    monkeypatch.setattr(Predictor, "predict", fail)
    assert predict("--studies-at-a-time", "1") == 1
    check_rules(submission(tmp_path), [1, 2])
    np.testing.assert_allclose(submission(tmp_path)[list(GRADE_COLUMNS)].to_numpy()[:25], class_shares())


def test_where_nothing_can_be_written_is_said_at_once(tmp_path: Path, make_study: MakeStudy, predict: Predict) -> None:
    make_study(tmp_path / "images", 1, ("t1",))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/work: cannot be made \(Not a directory\); choose another") as error:
        predict("--work", str(tmp_path / "file" / "work"))
    assert error.value.status == 2
    with pytest.raises(UserError, match="is a folder; expected the name of a CSV file"):
        predict("--out", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--work", "images"), "--work .*: is FOLDER too"),
        (("--work", "."), "--work .*: is around FOLDER"),
        (("--work", "images/work"), "--work .*: lies in FOLDER"),
        (("--out", "images/out.csv"), "--out .*: lies in FOLDER"),
        (("--report", "out.csv"), "--report .*: is --out too|--out .*: is --report too"),
        (("--out", "thesis.csv"), r"thesis\.csv: is there already, and is no earlier output"),
        (("--report", "thesis.csv"), r"thesis\.csv: is there already, and is no earlier output"),
        (("--work", "project"), "project: holds data, which this command did not make; choose a new or empty --work"),
    ],
)
def test_nothing_that_others_made_is_written_over_or_cleared(
    options: tuple[str, str], message: str, tmp_path: Path, make_study: MakeStudy, predict: Predict
) -> None:
    make_study(tmp_path / "images", 1, ("t1",))
    (tmp_path / "thesis.csv").write_text("dear")
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "project" / "data" / "thesis.txt").write_text("dear")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=message) as error:
        predict(options[0], str(tmp_path / options[1]))
    assert error.value.status == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_files_put_into_the_work_folder_stay(tmp_path: Path, make_study: MakeStudy, predict: Predict) -> None:
    make_study(tmp_path / "images", 1, ("t1",))
    predict("--keep")
    work = tmp_path / "out_work"
    for place in (work, work / "data"):
        (place / "thesis.txt").write_text("dear")
    predict("--force")
    assert (work / "thesis.txt").read_text() == (work / "data" / "thesis.txt").read_text() == "dear"
    assert not (work / "data" / "1").exists()  # what was kept before
    predict("--keep", "--force")
    (work / "data" / "1" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match=r"1/thesis\.txt: was not made by this command, and is not deleted"):
        predict("--force")
    assert (work / "data" / "1" / "thesis.txt").read_text() == "dear"


def test_a_work_folder_of_an_earlier_version_is_known_by_its_records(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path / "images", 1, ("t1",))
    predict()
    (tmp_path / "out_work" / ".made_by_lumbar").unlink()
    capsys.readouterr()
    predict()
    assert "0 studies predicted now" in capsys.readouterr().out


def test_a_full_disk_ends_the_run_instead_of_costing_every_study(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path / "images", 1, ("t1",))

    def fail(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device", "some.png")

    monkeypatch.setattr(Predictor, "predict", fail)
    with pytest.raises(UserError, match=r"some\.png: cannot be written \(No space left on device\); finished"):
        predict()
    assert not (tmp_path / "out.csv").exists()


def test_rows_follow_the_sample_given_or_beside(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in (1, 2):
        make_study(tmp_path / "images", study, ("t1",))
    names = [f"{study}_{target}" for target in reversed(TARGETS) for study in (2, 1, 77)]
    sample = pd.DataFrame({"row_id": names, **dict.fromkeys(GRADE_COLUMNS, 1 / 3)})
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    assert predict() == 1  # a study has class shares alone
    assert submission(tmp_path)["row_id"].tolist() == names
    assert record(tmp_path, 77).warnings == ("Class shares for all 25 grades: no images",)
    sample[sample["row_id"].str.startswith("2_")].to_csv(tmp_path / "sample_submission.csv", index=False)
    assert predict() == 0  # it lists other studies: all that were found are answered
    assert len(submission(tmp_path)) == 50
    assert predict("--sample", str(tmp_path / "sample_submission.csv")) == 0
    assert len(submission(tmp_path)) == 25
    assert "1 of 2 studies are not in" in capsys.readouterr().err


def test_no_tag_of_a_patient_leaves_the_files(
    tmp_path: Path, make_study: MakeStudy, predict: Predict, capfd: Any
) -> None:
    make_study(
        tmp_path / "images", 1, place=lambda study, kind, n: f"{kind}{n}", PatientName="Doe^Jane", PatientID="MRN-4711",
        SeriesDescription="SAG T2 of Jane Doe",
    )  # fmt: skip
    assert predict("--keep") == 0
    output = capfd.readouterr()
    for text in ("Doe", "Jane", "MRN"):
        assert text not in output.out + output.err
        for path in tmp_path.rglob("*"):
            assert text not in path.name
            if path.is_file() and "images" not in path.relative_to(tmp_path).parts and not path.is_symlink():
                assert text.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_the_command_as_a_process(tmp_path: Path, make_study: MakeStudy, weights: Path) -> None:
    make_study(tmp_path / "images", 12)
    series = tmp_path / "series.csv"
    series.write_text(f"study_id,series_id,series_description\n12,120,{SAGITTAL_T1}\n")
    command = [sys.executable, ROOT / "predict.py", "images", "--weights", weights, "--series", series, "-G", "cpu"]
    result = subprocess.run(
        [*command, "--workers", "2", "--keep", "--report", "report.html"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    check_rules(pd.read_csv(tmp_path / "submission.csv"), [12])
    assert "12" in (tmp_path / "report.html").read_text()
    data = tmp_path / "submission_work" / "data" / "12"
    assert len(list((data / "test_images_v01" / "12" / "120").glob("*.png"))) == 5
    assert not (data / "test_images_v01" / "12" / "121").exists()  # not in the table, never read
    missing = subprocess.run(
        [*command[:-1], "cpu", "--sample", "absent.csv"], cwd=tmp_path, capture_output=True, text=True
    )
    assert missing.returncode == 2
    assert missing.stderr == "error: absent.csv: no such file; expected the table of sample submission\n"


def test_geometry_that_is_none_is_named_as_the_cause(tmp_path: Path, make_study: MakeStudy, predict: Predict) -> None:
    make_study(tmp_path / "images", 1, ("t1", "t2"))
    make_study(tmp_path / "images", 1, ("ax",), ImageOrientationPatient=[0] * 6)
    make_study(tmp_path / "images", 2, ("t1", "ax"))
    make_study(tmp_path / "images", 2, ("t2",), PixelSpacing=[0, 0])
    assert predict() == 0
    assert record(tmp_path, 1).source[15:] == (SHARES,) * 10 and not record(tmp_path, 1).axial
    for study, kind, tag in ((1, "Axial T2", "ImageOrientationPatient"), (2, "Sagittal T2/STIR", "PixelSpacing")):
        lines = record(tmp_path, study).warnings
        assert any(f"({kind}): no slice has a usable {tag}" in line for line in lines), lines
