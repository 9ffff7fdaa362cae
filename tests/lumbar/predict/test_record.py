"""Records come back as they were written, and damaged ones are noticed."""

from pathlib import Path

import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS
from lumbar.cli import UserError
from lumbar.predict.record import (
    MODELS,
    SHARES,
    AxialView,
    Records,
    SagittalView,
    SeriesNote,
    StudyRecord,
    is_finished,
    read_record,
    write_record,
)


def record(study_id: int, pictures: bool = True) -> StudyRecord:
    rng = np.random.default_rng(study_id)
    probabilities = rng.dirichlet((1, 1, 1), len(TARGETS))
    image = rng.integers(0, 256, (20, 16), dtype=np.uint8)
    sagittal = SagittalView(7, 3, "Sagittal T1", (0.5, float("nan")), 0.9, rng.random((5, 2)), image)
    axial = tuple(
        AxialView(level, 8, n, 0.5, 3, (0.5, 0.5), np.arange(4), rng.random((2, 2)), image)
        for n, level in enumerate(LEVELS[1:4])
    )
    return StudyRecord(
        study_id=study_id,
        fingerprint="abc",
        probabilities=probabilities,
        source=(MODELS,) * 24 + (SHARES,),
        models={"cfg_a": np.where(probabilities > 0.5, np.nan, probabilities)},
        series=(SeriesNote(7, "Sagittal T1", "described as T1", 12), SeriesNote(9, None, "coronal", 5)),
        warnings=("no Axial T2 series",),
        sagittal=sagittal if pictures else None,
        axial=axial if pictures else (),
    )


@pytest.mark.parametrize("pictures", [True, False])
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, pictures: bool) -> None:
    before = record(5, pictures)
    after = read_record(write_record(tmp_path, before))
    np.testing.assert_array_equal(after.probabilities, before.probabilities)
    np.testing.assert_array_equal(after.models["cfg_a"], before.models["cfg_a"])
    for name in ("study_id", "fingerprint", "source", "series", "warnings"):
        assert getattr(after, name) == getattr(before, name)
    assert isinstance(after.series[0], SeriesNote)
    assert len(after.axial) == len(before.axial)
    pairs = list(zip(after.axial, before.axial, strict=True))
    if before.sagittal:
        assert after.sagittal
        assert np.isnan(after.sagittal.spacing[1]) and isinstance(after.sagittal.spacing, tuple)
        pairs.append((after.sagittal, before.sagittal))  # type: ignore[arg-type]
    for read, written in pairs:
        for name, value in vars(written).items():
            np.testing.assert_array_equal(getattr(read, name), value)


def test_a_record_can_be_read_without_its_pictures(tmp_path: Path) -> None:
    light = read_record(write_record(tmp_path, record(5)), pictures=False)
    assert light.sagittal is None and light.axial == ()
    np.testing.assert_array_equal(light.probabilities, record(5).probabilities)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected probabilities"):
        StudyRecord(1, "", np.zeros((24, 3)), (MODELS,) * 25, {}, (), ())


def test_a_damaged_record_is_not_finished_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = write_record(tmp_path, record(5))
    good = path.read_bytes()
    assert is_finished(tmp_path, 5, "abc") and not is_finished(tmp_path, 5, "abd")
    for start in range(0, len(good) - 300, len(good) // 40):
        path.write_bytes(good[:start] + b"\xff" * 300 + good[start + 300 :])
        assert not is_finished(tmp_path, 5, "abc"), start
    for damaged in (good[:-100], b"", b"PK\3\4", b"\x93NUMPY"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"5\.npz: cannot be read .* it is made again"):
            read_record(path)


def test_records_are_read_one_at_a_time_in_the_given_order(tmp_path: Path) -> None:
    for study_id in (1, 2, 3):
        write_record(tmp_path, record(study_id, pictures=False))
    records = Records(tmp_path, [3, 1, 2], ["a note"])
    assert [each.study_id for each in records] == [3, 1, 2]
    assert len(records) == 3 and records.notes == ("a note",)
