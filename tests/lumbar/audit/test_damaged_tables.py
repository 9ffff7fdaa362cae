"""Damaged tables through the commands that read them: a clear word or the same answer, and the same rows everywhere."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lumbar.audit.inputs import Inputs
from lumbar.tables import FOLDS, LABEL_COORDINATES, SAGITTAL_LABELS, TRAIN, TRAIN_SERIES, Table

COMMANDS = (
    ("make_folds.py", FOLDS, ()),
    ("make_sag_loc_labels_part2.py", SAGITTAL_LABELS, ("--source", "coordinates", "--workers", 1)),
)


@pytest.mark.parametrize(
    ("table", "old", "new", "word"),
    [
        (TRAIN, "\n4,", "\n4.5,", "study_id '4.5'"),
        (TRAIN, "\n4,Normal/Mild,", "\n4,", "row 5 has 25 of 26 fields"),
        (TRAIN, ",", ";", "separated by semicolons"),
        (TRAIN_SERIES, "1,11,", "1,,", "series_id blank"),
        (TRAIN_SERIES, "1,11,", "1,11.0,", ""),
        (TRAIN_SERIES, "1,11,", "1,1e17,", "series_id '1e17'"),
        (TRAIN_SERIES, "1,11,", f"1,{2**53},", "series_id '9007199254740992'"),
        (TRAIN_SERIES, "1,11,", "-1,11,", "study_id '-1'"),
        (TRAIN_SERIES, "1,11,", ",,\n\n1,11,", "rows are blank, and left out: line 3, line 4"),
        (TRAIN_SERIES, "1,11,Sagittal T2/STIR", "1,11, sagittal t2/stir ", "mended: ' sagittal t2/stir ' to 'Sagittal"),
        (TRAIN_SERIES, "1,11,Sagittal T2/STIR", "1,11,Sagittal T2", "none of .*: 11 'Sagittal T2'"),
        (TRAIN_SERIES, "1,11,", "1,11,Axial T2\n1,11,", "listed again"),
        (TRAIN_SERIES, "4,42,Axial T2\n", "4,42", "row 13 has 2 of 3 fields: the file is cut"),
        (LABEL_COORDINATES, "1,10,6,", "1,10,,", "instance_number blank"),
        (LABEL_COORDINATES, "L1/L2,50.0,", 'L1/L2,"50,0",', "x '50,0'"),
        (LABEL_COORDINATES, "L1/L2", "L6/S1", "level 'L6/S1'"),
        (LABEL_COORDINATES, "1,10,6,", "1,10,6,Left Neural Foraminal Narrowing,L1/L2,50.0,18.1\n1,10,6,",
         "listed again"),
        (LABEL_COORDINATES, "\n", "\0\n", "zero bytes"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_named_or_changes_nothing(
    table: Table, old: str, new: str, word: str, data: Path, run_here: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    def answers() -> list[tuple[str, bytes, str]]:
        found = []
        for script, made, options in COMMANDS:
            (data / made.path).unlink(missing_ok=True)
            done = run_here(f"scripts/{script}", "--data", data, *options)
            path = data / made.path
            found.append((script, path.read_bytes() if done.returncode == 0 else b"", done.stderr))
        return found

    usual = answers()
    path = data / table.path
    path.write_text(path.read_text().replace(old, new, -1 if old in ",\n" else 1))
    said = ""
    for (script, answer, stderr), (_, before, _) in zip(answers(), usual, strict=True):
        named = [line for line in stderr.splitlines() if table.path in line]
        assert answer == before or named, f"{script} gave another answer without a word"
        said += "\n".join(named)
    assert re.search(word, said)
    audit = run_here("scripts/check_data.py", "--data", data)
    assert re.search(word, audit.stdout)
    if (data / FOLDS.path).is_file():
        used = set(pd.read_csv(data / FOLDS.path)["series_id"])
        inputs = Inputs(data)
        assert used == set(inputs["series"].merge(inputs["train"], on="study_id")["series_id"])
