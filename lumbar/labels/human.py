"""Labels of studies and slices as arrays: the grades of the fold file, the points that humans marked."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.anatomy import (
    CONDITION_BY_TITLE,
    CONDITION_PARTS,
    CONDITIONS,
    GRADES,
    LEVEL_LABELS,
    LEVELS,
    MISSING,
    NFN,
    PARTS,
    SCS,
    TARGETS,
)
from lumbar.cli import UserError

Ints = NDArray[np.int64]

LEFT, RIGHT = 0, 1
"""Column of each side in a pair of labels. Canal stenosis has no side and stands on the left."""

PART_CONDITIONS: Final = {part: tuple(c for c in CONDITIONS if CONDITION_PARTS[c] == part) for part in PARTS}
"""Conditions of each group: left, right; or the canal alone."""


class StudyGrades:
    """The 25 grades of each study.

    Parameters
    ----------
    df : DataFrame
        Rows of the fold file. Absent target columns (new studies) count as not graded.

    Raises
    ------
    UserError
        If a target column holds anything but the three grades and blanks.
    """

    def __init__(self, df: pd.DataFrame) -> None:
        studies = df.drop_duplicates("study_id").sort_values("study_id")
        self.study_id = studies["study_id"].to_numpy(np.int64)
        names = studies.reindex(columns=TARGETS)
        codes = {name: code for code, name in enumerate(GRADES)}
        columns = [names[target].map(codes) for target in TARGETS]
        for target, column in zip(TARGETS, columns, strict=True):
            unknown = names.loc[column.isna() & names[target].notna(), target]
            if len(unknown):
                raise UserError(f"fold file, column {target}: {unknown.iloc[0]!r} is not one of {', '.join(GRADES)}")
        self.grades = np.column_stack([column.fillna(MISSING) for column in columns]).astype(np.int64)

    def pairs(self, part: str, study_id: Ints, level: Ints) -> Ints:
        """Look up the labels of one condition group.

        Parameters
        ----------
        part : str
            ``nfn``, ``scs`` or ``ss``.
        study_id, level : ndarray, shape (N)
            Studies of the fold file; levels 0 to 4.

        Returns
        -------
        ndarray, shape (N, 2)
            Left and right grade; the canal's and -100. -100 where not graded.
        """
        row = np.searchsorted(self.study_id, study_id)
        sides = [self.grades[row, CONDITIONS.index(name) * len(LEVELS) + level] for name in PART_CONDITIONS[part]]
        if len(sides) == 1:
            sides.append(np.full_like(sides[0], MISSING))
        return np.stack(sides, axis=-1)


def human_points(coordinates: pd.DataFrame) -> pd.DataFrame:
    """Turn the competition's label coordinates into points; whatever needs human points takes them from here.

    Parameters
    ----------
    coordinates : DataFrame
        `lumbar.tables.LABEL_COORDINATES`, as `lumbar.tables.read_table` gives them.

    Returns
    -------
    DataFrame
        `study_id, series_id, instance_number`, `x, y` (pixels), `condition` (of `CONDITIONS`), `part` (nfn, scs,
        ss), `side` (`LEFT` or `RIGHT`) and `level` (0 to 4); indexed as `coordinates`.
    """
    whole = coordinates[["study_id", "series_id", "instance_number"]].astype(np.int64)
    condition = coordinates["condition"].map(CONDITION_BY_TITLE)
    part = condition.map(CONDITION_PARTS)
    side = [PART_CONDITIONS[p].index(c) for p, c in zip(part, condition, strict=True)]
    return pd.concat([whole, coordinates[["x", "y"]].astype(np.float64)], axis=1).assign(
        condition=condition,
        part=part,
        side=np.array(side, dtype=np.int64),
        level=coordinates["level"].map(LEVEL_LABELS.index).astype(np.int64),
    )


def point_column(points: pd.DataFrame) -> Ints:
    """Kind of each point as the z localiser counts them: 0 left foramen, 1 right foramen, 2 canal; -1 another."""
    nfn, scs = points["part"] == NFN, points["part"] == SCS
    return np.select([nfn, scs], [points["side"], 2], -1).astype(np.int64)
