from pathlib import Path

import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, FOLDS, META, read_table, write_table


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
