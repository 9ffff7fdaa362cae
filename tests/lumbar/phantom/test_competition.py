import filecmp
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from lumbar import tables
from lumbar.anatomy import GRADES, SERIES_TYPES, TARGETS
from lumbar.cli import UserError
from lumbar.files import read_pickle
from lumbar.images.dicom import VECTORS
from lumbar.images.geometry import SlicePlane
from lumbar.images.numbering import read_instances
from lumbar.phantom import study as study_module
from lumbar.phantom.competition import PATHS, Options, deal_tasks, make_competition
from lumbar.phantom.irregular import TRAIN_ODDITIES

pytestmark = pytest.mark.slow


def noise(patient, planes, shape, thickness, contrast, rng):
    """Stand in for the renderer, which other tests cover."""
    for _ in planes:
        yield rng.integers(0, 4096, shape).astype(np.uint16)


@pytest.fixture(autouse=True)
def quick_rendering(monkeypatch, forked):
    monkeypatch.setattr(study_module, "render_series", noise)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A phantom in which every oddity occurs, and its options."""
    out, options = tmp_path_factory.mktemp("phantom") / "datamount", Options(len(TRAIN_ODDITIES), 2, 5, "small", 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "render_series", noise)
        summary = make_competition(out, options)
    return out, options, summary


def same(first, second):
    """Say whether two folders hold the same files with the same bytes."""
    names = [sorted(p.relative_to(top) for p in top.rglob("*") if p.is_file()) for top in (first, second)]
    return names[0] == names[1] and not filecmp.cmpfiles(first, second, names[0], shallow=False)[1]


def frames_in_one_file(out):
    """Slices of the enhanced study beyond its files."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in out.glob("test_images/*/*/1.dcm")]
    return sum(int(header.get("NumberOfFrames", 1)) - 1 for header in headers)


def test_layout_is_kaggles(phantom):
    out, _options, summary = phantom
    assert sorted(path.name for path in out.iterdir()) == sorted(PATHS)
    files = list(out.glob("*_images/*/*/*.dcm"))
    assert len(files) == summary.slices - frames_in_one_file(out)
    assert summary.rendered == summary.slices
    assert not list(out.rglob("*.part"))
    series = pd.concat(tables.read_table(out, table) for table in (tables.TRAIN_SERIES, tables.TEST_SERIES))
    assert {(int(p.parts[-3]), int(p.parts[-2])) for p in files} == set(
        series[["study_id", "series_id"]].itertuples(index=False, name=None)
    )
    assert len(series) == summary.series and series.series_id.is_unique
    assert set(series.series_description) == set(SERIES_TYPES)
    assert (series.groupby("study_id", sort=False).series_id.diff().dropna() > 0).all()


def test_train_tables(phantom):
    out, options, _ = phantom
    train = tables.read_table(out, tables.TRAIN)
    assert list(train.columns) == ["study_id", *TARGETS]
    assert len(train) == options.studies and train.study_id.is_monotonic_increasing
    assert set(train[list(TARGETS)].stack().dropna()) == set(GRADES)
    marks = tables.read_table(out, tables.LABEL_COORDINATES)
    assert set(marks.study_id) <= set(train.study_id)
    for row in marks.itertuples():
        file = out / "train_images" / str(row.study_id) / str(row.series_id) / f"{row.instance_number}.dcm"
        tags = pydicom.dcmread(file, stop_before_pixels=True)
        assert 0 <= row.x < tags.Columns and 0 <= row.y < tags.Rows


def test_sample_submission_is_in_kaggles_order(phantom):
    out, options, _ = phantom
    submission = tables.read_table(out, tables.SAMPLE_SUBMISSION)
    assert len(submission) == 25 * options.test_studies
    assert submission[list(tables.GRADE_COLUMNS)].to_numpy() == pytest.approx(1 / 3)
    first = min(int(path.name) for path in (out / "test_images").iterdir())
    rows = submission.row_id[:25].tolist()
    assert rows == sorted(rows)
    assert rows[0] == f"{first}_left_neural_foraminal_narrowing_l1_l2"
    assert rows[5] == f"{first}_left_subarticular_stenosis_l1_l2"
    assert rows[24] == f"{first}_spinal_canal_stenosis_l5_s1"


def test_truth_agrees_with_the_files_in_pixels_and_mm(phantom):
    out, _options, _ = phantom
    truth = tables.read_table(out, tables.TRUTH)
    folders = {path.name: path for path in out.glob("*_images/*/*")}
    for (series_id, number), rows in truth.groupby(["series_id", "instance_number"]):
        (image,) = read_instances(folders[str(series_id)], [number])
        tags = image.tags
        plane = SlicePlane.from_tags(*(tags[name] for name in VECTORS))
        points = rows[["mm_x", "mm_y", "mm_z"]].to_numpy()
        assert plane.to_pixels(points) == pytest.approx(rows[["x", "y"]].to_numpy(), abs=0.01)
        assert np.abs(plane.distance(points)).max() < 0.75 * 5 + 0.01
        assert (rows.img_h == tags["img_h"]).all() and (rows.img_w == tags["img_w"]).all()


def test_level_points_and_detections_agree(phantom):
    """The formula over SpineNet's outlines gives the truth, but for noise and the shifted series."""
    out, options, _ = phantom
    truth = tables.read_table(out, tables.TRUTH)
    truth = truth[truth.structure == "level"].set_index(["series_id", "instance_number", "level"])[["x", "y"]]
    medians = []
    for path in (out / "spinenet/vert_dicts_v0").iterdir():
        series_id = int(path.name.split("_")[0])
        found = {each["predicted_label"]: dict(zip(each["slice_nos"], each["polys"], strict=True))
                 for each in read_pickle(path)}  # fmt: skip
        numbers = sorted(int(p.stem) for p in next(out.glob(f"train_images/*/{series_id}")).iterdir())
        errors = []
        for index, polygon in found["L3"].items():
            key = (series_id, numbers[index], "l3_l4")
            if index in found["L4"] and key in truth.index:
                point = 0.7 * np.array(polygon[1]) + 0.3 * np.array(found["L4"][index][0])
                errors.append(np.hypot(*(point - truth.loc[key].to_numpy())))
        medians.append(np.median(errors))
    assert len(medians) >= 2 * options.studies - 3
    assert np.median(medians) < 2 and (np.array(medians) > 10).sum() == round(0.05 * 2 * options.studies)


def test_every_oddity_is_readable(phantom):
    out, options, summary = phantom
    tasks = deal_tasks(out, options)
    names = {"enhanced multi-frame", *TRAIN_ODDITIES}
    assert {task.oddity for task in tasks} == names and summary.irregular == len(tasks)
    facts = {}
    for task in tasks:
        if task.oddity in facts:
            continue
        folders = sorted((out / f"{task.split}_images" / str(task.study_id)).iterdir())
        facts[task.oddity] = [[pydicom.dcmread(file) for file in folder.iterdir()] for folder in folders]
        for series in facts[task.oddity]:
            for dataset in series:
                assert dataset.pixel_array.shape[-2:] == (dataset.Rows, dataset.Columns)

    def all_files(oddity, check):
        return all(check(dataset) for series in facts[oddity] for dataset in series)

    assert all_files("JPEG 2000", lambda d: d.file_meta.TransferSyntaxUID.is_compressed)
    assert all_files("RLE", lambda d: d.file_meta.TransferSyntaxUID.is_compressed)
    assert all_files("MONOCHROME1", lambda d: d.PhotometricInterpretation == "MONOCHROME1")
    assert all_files("signed pixels", lambda d: d.PixelRepresentation == 1 and d.RescaleIntercept > 0)
    assert all_files("several windows", lambda d: d["WindowCenter"].VM == 3)
    assert all_files("no window", lambda d: "WindowCenter" not in d)
    assert all_files("missing tags", lambda d: "SliceLocation" not in d and "SliceThickness" not in d)
    assert all_files("enhanced multi-frame", lambda d: d.NumberOfFrames == len(d.PerFrameFunctionalGroupsSequence) > 14)
    assert all_files("high instance numbers", lambda d: d.InstanceNumber >= 100)


def test_numbers_look_like_kaggles(phantom):
    out, options, _ = phantom
    tasks = deal_tasks(out, options)
    numbers = [n for task in tasks for n in (task.study_id, *task.series_ids)]
    assert len(numbers) == len(set(numbers)) and min(numbers) > 10**6 and 2**31 < max(numbers) < 2**32


def test_irregular_0_turns_every_oddity_off():
    assert {task.oddity for task in deal_tasks(Path(), Options(studies=20, irregular=0.0))} == {None}


def test_interrupted_run_goes_on(tmp_path):
    options = Options(2, 0, 5, "small", 0.0)
    first, second = tmp_path / "first", tmp_path / "second"
    whole = make_competition(first, options)
    make_competition(second, options)
    victim = sorted(second.rglob("*.dcm"))[0]
    series_slices = len(list(victim.parent.iterdir()))
    victim.unlink()
    (second / "train.csv").unlink()
    for folder in (second, victim.parent):  # as a kill -9 leaves them
        (folder / ".7.dcm.0123abcd.part").write_bytes(b"half")
    again = make_competition(second, options)
    assert again.rendered == series_slices and again.slices == whole.slices
    assert same(first, second)


def test_no_test_studies(tmp_path):
    make_competition(tmp_path, Options(1, 0, 0, "small", 0.0))
    assert tables.read_table(tmp_path, tables.SAMPLE_SUBMISSION).empty
    assert tables.read_table(tmp_path, tables.TEST_SERIES).empty


@pytest.mark.parametrize("force", [False, True])
def test_a_real_download_is_never_written_over(tmp_path, force):
    real = tmp_path / "train_images/1/2/3.dcm"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"precious")
    with pytest.raises(UserError, match="no phantom") as error:
        make_competition(tmp_path, Options(1, 0), force=force)
    assert error.value.status == 2 and real.exists() and [p.name for p in tmp_path.iterdir()] == ["train_images"]


def test_files_put_into_a_phantom_are_not_deleted(tmp_path):
    make_competition(tmp_path, Options(1, 0))
    thesis = tmp_path / "train_images" / "thesis.txt"
    thesis.write_text("dear")
    with pytest.raises(UserError, match=r"thesis\.txt: is no file of a phantom and is not deleted"):
        make_competition(tmp_path, Options(1, 0, seed=1), force=True)
    assert thesis.read_text() == "dear"
    assert any((tmp_path / "train_images").rglob("*.dcm"))


def test_another_phantom_is_replaced_only_when_forced(tmp_path):
    (tmp_path / "README.md").write_text("kept")
    make_competition(tmp_path, Options(1, 0))
    with pytest.raises(UserError, match="another phantom"):
        make_competition(tmp_path, Options(1, 0, seed=1))
    make_competition(tmp_path, Options(1, 0, seed=1), force=True)
    assert len(list((tmp_path / "train_images").iterdir())) == 1 and (tmp_path / "README.md").exists()
