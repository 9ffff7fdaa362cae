import gzip
import pickle
import re
from pathlib import Path

import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.table_checks import Flaw
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    FOLDS,
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    TRAIN_SERIES,
    read_table,
    write_table,
)


def levels() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series_id": [1, 2],
            "level": ["l1_l2", "l5_s1"],
            "source_series_id": [3, 4],
            "mapped_ax_instance_number": [[5, 6], [7]],
            "distance": [[0.5, 1.0], [2.0]],
        }
    )


def test_a_pickled_table_comes_back_with_its_lists(tmp_path: Path) -> None:
    write_table(levels(), tmp_path, AXIAL_LEVELS)
    pd.testing.assert_frame_equal(
        read_table(tmp_path, AXIAL_LEVELS), levels(), check_dtype=False, check_column_type=False
    )
    # The published readers use plain pandas.
    assert pd.read_pickle(tmp_path / AXIAL_LEVELS.path)["distance"].tolist() == [[0.5, 1.0], [2.0]]


def test_writing_puts_the_tables_own_columns_first_and_is_reproducible(tmp_path: Path) -> None:
    frame = pd.DataFrame({"note": [1], "y_right": [0.5], "x_right": [0.45], "y_left": [0.5], "x_left": [0.55],
                          "instance_number": [3], "series_id": [9]})  # fmt: skip
    first = write_table(frame, tmp_path / "a", AXIAL_XY).read_bytes()
    second = write_table(frame, tmp_path / "b", AXIAL_XY).read_bytes()
    assert first == second
    assert list(read_table(tmp_path / "a", AXIAL_XY).columns) == [*AXIAL_XY.columns, "note"]


def test_a_missing_table_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train_folded_v1\.csv: no such file; make it with scripts/make_folds\.py"):
        read_table(tmp_path, FOLDS)


def test_a_table_without_its_columns_names_them(tmp_path: Path) -> None:
    (tmp_path / FOLDS.path).write_text("study_id,series_id\n1,2\n")
    with pytest.raises(UserError, match=r"lacks the column\(s\) series_description, fold, "):
        read_table(tmp_path, FOLDS)


@pytest.mark.parametrize("table", [META, FOLDS])
def test_an_empty_file_is_no_table(table: object, tmp_path: Path) -> None:
    path = tmp_path / table.path  # type: ignore[attr-defined]
    path.write_bytes(b"")
    with pytest.raises(UserError, match=path.name):
        read_table(tmp_path, table)  # type: ignore[arg-type]


SERIES = "study_id,series_id,series_description\n1,10,Sagittal T1\n1,11,Axial T2\n2,20,Sagittal T2/STIR\n"
MARKS = (
    "study_id,series_id,instance_number,condition,level,x,y\n"
    "1,10,3,Left Neural Foraminal Narrowing,L1/L2,5.5,6\n"
    "1,10,4,Spinal Canal Stenosis,L2/L3,7,8\n"
    "1,11,5,Spinal Canal Stenosis,L3/L4,9,10\n"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SERIES.replace(",", ";").encode(), "its columns are separated by semicolons, expected commas"),
        (SERIES.replace(",", "\t").encode(), "its columns are separated by tabs, expected commas"),
        (SERIES.encode("utf-16"), "is UTF-16 text, expected UTF-8"),
        (SERIES.encode("utf-16-le"), "holds zero bytes: it is damaged, or UTF-16 text"),
        (SERIES.replace("Axial", "\xe4xial").encode("latin-1"), r"in another encoding \(byte 60\), expected UTF-8"),
        (gzip.compress(SERIES.encode()), "is compressed, expected plain text"),
        (SERIES[:-19].encode(), "row 4 has 2 of 3 fields: the file is cut in the middle of it"),
        (SERIES.replace("1,11,", "1,").encode(), "row 3 has 2 of 3 fields: it is damaged"),
        (SERIES.replace("1,11,", "1,11,11,").encode(), "row 3 has 4 of 3 fields: it is damaged"),
        (SERIES.replace("1,10,", "0,1,10,").replace("1,11,", "1,").encode(), "row 2 has 4 of 3 fields: it is damaged"),
        (SERIES.replace("1,1", "one,1").encode(), "2 of 3 rows cannot be used, expected whole .*: study_id 'one'"),
        (SERIES.encode().replace(b"1,11", b'"1,11'), "cannot be read|row 3"),
        (b"\n\n", "is empty"),
    ],
)  # fmt: skip
def test_what_spoils_a_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / TRAIN_SERIES.path).write_bytes(content)
    with pytest.raises(UserError, match=rf"{TRAIN_SERIES.path}: .*{message}.*; make it again with"):
        read_table(tmp_path, TRAIN_SERIES)


@pytest.mark.parametrize(
    ("old", "new", "kept", "text"),
    [
        ("1,11,", "\n , \n1,11,", [10, 11, 20], "2 of 5 rows are blank, and left out: line 3, line 4"),
        ("STIR\n", "STIR", [10, 11, 20], "1 of 3 rows has no line end, and may be cut short: '2,20,Sagittal T2/STIR'"),
        ("11,", "11.5,", [10, 20], "series_id '11.5'"),
        ("11,", ",", [10, 20], "series_id blank"),
        ("11,", "-11,", [10, 20], "series_id '-11'"),
        ("11,", "eleven,", [10, 20], "series_id 'eleven'"),
        ("11,", "1e17,", [10, 20], "series_id '1e17'"),
        ("11,", f"{2**53},", [10, 20], f"1 of 3 rows left out, .*series_id '{2**53}'"),
        ("Axial T2", " axial  t2", [10, 11, 20], "1 of 3 series_descriptions mended: ' axial  t2' to 'Axial T2'"),
        ("Axial T2", "Coronal", [10, 11, 20], "1 of 3 series_descriptions are none of .*: 11 'Coronal'"),
        ("2,20,", "2,10,", [10, 11], "1 of 3 rows left out, as listed again: 10"),
    ],
)  # fmt: skip
def test_what_spoils_a_row_costs_that_row_and_is_said(
    old: str, new: str, kept: list[int], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / TRAIN_SERIES.path).write_text(SERIES.replace(old, new, 1))
    rows = read_table(tmp_path, TRAIN_SERIES)
    assert rows["series_id"].tolist() == kept
    assert rows["series_id"].dtype == "int64" and rows.index.tolist() == list(range(len(kept)))
    assert ("Axial T2" in rows["series_description"].tolist()) == (11 in kept and new != "Coronal")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {tmp_path / TRAIN_SERIES.path}: ") and said.count("\n") == 1
    assert re.search(text, said)


@pytest.mark.parametrize(
    ("old", "new"),
    [("7,8", ",8"), ("7,8", "here,8"), ("7,8", "inf,8"), ('7,8', '"7,5",8'), ("10,4,", "10,,"),
     ("10,4,", f"10,{2**31},"),
     ("Spinal Canal Stenosis,L2/L3", "Spinal Canal Stenosis,L6/S1"), ("Spinal Canal Stenosis,L2/L3", ",L2/L3")],
)  # fmt: skip
def test_a_mark_that_is_no_point_costs_its_row(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / LABEL_COORDINATES.path).write_text(MARKS.replace(old, new, 1))
    flaws: list[Flaw] = []
    rows = read_table(tmp_path, LABEL_COORDINATES, flaws)
    assert rows["instance_number"].tolist() == [3, 5] and rows["x"].tolist() == [5.5, 9]
    assert [len(flaw.cases) for flaw in flaws] == [1]


@pytest.mark.parametrize(
    "content",
    [
        SERIES.replace("1,", "1.0,").encode(),
        SERIES.replace("\n", "\r\n").encode(),
        SERIES.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + SERIES.encode(),
        SERIES.replace("1,10,Sagittal T1", '"1","10","Sagittal T1"').encode(),
    ],
)
def test_what_means_the_same_is_read_the_same(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / TRAIN_SERIES.path).write_bytes(SERIES.encode())
    usual = read_table(tmp_path, TRAIN_SERIES)
    (tmp_path / TRAIN_SERIES.path).write_bytes(content)
    pd.testing.assert_frame_equal(read_table(tmp_path, TRAIN_SERIES), usual)
    assert not capsys.readouterr().err


def test_a_damaged_gz_or_pickle_is_named(tmp_path: Path) -> None:
    rows = pd.DataFrame(dict.fromkeys(SAGITTAL_LABELS.columns, 1), index=range(300)).assign(level="l1_l2", x=range(300))
    path = write_table(rows, tmp_path, SAGITTAL_LABELS)
    content = path.read_bytes()
    for damaged in (content[:-20], content[:40] + b"\xff" * 9 + content[49:], b"plain", b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"shifted_spinenet_v02\.csv\.gz: .*make it again with scripts/make_sag"):
            read_table(tmp_path, SAGITTAL_LABELS)
    (tmp_path / META.path).write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match=r"meta_v1\.pkl: holds no table, but list; make it again"):
        read_table(tmp_path, META)
