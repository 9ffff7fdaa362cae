"""Checks of the slices by their metadata: tags, sizes, spacing, positions and orientations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from lumbar.audit.findings import Finding, judge, note
from lumbar.audit.inputs import Inputs, along_stacks, records
from lumbar.audit.overview import numbering
from lumbar.images.dicom import NUMBERS
from lumbar.images.slices import tag_vectors

GEOMETRY: Final = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Tags without which a slice has no place in the patient."""

SIZE_RANGE: Final = (64, 2048)
"""Usual rows and columns, pixels (the real data have 256 to 760)."""

SPACING_RANGE: Final = (0.15, 2.0)
"""Usual pixel spacing, mm (the real data have 0.3 to 0.9)."""

TILT: Final = 3.0
"""Angle between two slices of a series from which on they are two stacks, degrees."""

PLANE_OF_TYPE: Final = {SAGITTAL_T1: "sagittal", SAGITTAL_T2: "sagittal", AXIAL_T2: "axial"}
"""Plane of each series type."""

PLANES: Final = np.array(["sagittal", "coronal", "axial"])
"""Anatomical planes by the axis (x, y, z) that their normal is nearest to."""


def tags_are_present(inputs: Inputs) -> Iterator[Finding]:
    """Look for slices without a place in the patient."""
    meta = inputs["meta"]
    for tag in GEOMETRY:
        absent = meta.loc[meta[tag].isna(), "series_id"]
        yield judge(
            f"{tag} is present",
            absent.unique(),
            meta["series_id"].nunique(),
            f"absent on {len(absent)} slices, which have no place in the patient then; series",
        )
    for tag in NUMBERS:
        series = meta.loc[meta[tag].isna(), "series_id"].unique()
        yield note(f"{tag} is present", series, meta["series_id"].nunique(), "series without; nothing needs it")


def sizes_are_usual(inputs: Inputs) -> Iterator[Finding]:
    """Look for odd sizes, and for series whose slices differ in size."""
    meta = inputs["meta"]
    odd = meta[~(meta["img_w"].between(*SIZE_RANGE) & meta["img_h"].between(*SIZE_RANGE))]
    cases = [f"{row.series_id} ({row.img_w} x {row.img_h})" for row in records(odd.drop_duplicates("series_id"))]
    text = f"sides outside {SIZE_RANGE[0]} to {SIZE_RANGE[1]} pixels"
    yield judge("image sizes are usual", cases, meta["series_id"].nunique(), text)
    sizes = meta.drop_duplicates(["series_id", "img_w", "img_h"]).groupby("series_id").size()
    yield note("slices of a series have one size", sizes.index[sizes > 1], len(sizes), "series of several sizes")


def spacing_is_plausible(inputs: Inputs) -> Iterator[Finding]:
    """Look for pixel spacings that no lumbar MRI has."""
    meta = inputs["meta"]
    spacing = tag_vectors(meta["PixelSpacing"], 2)
    odd = meta[((spacing < SPACING_RANGE[0]) | (spacing > SPACING_RANGE[1])).any(axis=1)]
    text = f"series outside {SPACING_RANGE[0]} to {SPACING_RANGE[1]} mm"
    yield judge("pixel spacing is plausible", odd["series_id"].unique(), meta["series_id"].nunique(), text)


def positions_differ(inputs: Inputs) -> Iterator[Finding]:
    """Look for slices of a series that lie at the same place."""
    known = inputs["meta"].dropna(subset=["ImagePositionPatient", "ImageOrientationPatient"])
    same = known.duplicated(["series_id", "ImagePositionPatient", "ImageOrientationPatient"])
    cases = known.loc[same, "series_id"].unique()
    yield judge(
        "slices of a series differ in position",
        cases,
        known["series_id"].nunique(),
        "series with slices at the same place",
        error_above=0.2,
    )


def numbers_follow_the_stack(inputs: Inputs) -> Iterator[Finding]:
    """Look for series whose instance numbers neither rise nor fall along their stack."""
    direction = numbering(along_stacks(inputs["meta"]))
    text = "series whose numbers start again, or jump; slices are ordered by position"
    yield note("instance numbers follow the stack", direction.index[direction == 0], len(direction), text)


def orientations_agree(inputs: Inputs) -> Iterator[Finding]:
    """Look for series that mix planes, hold stacks at several tilts, or are not what they are described as."""
    known = inputs["meta"].dropna(subset=["ImageOrientationPatient"])
    axes = tag_vectors(known["ImageOrientationPatient"], 6)
    normal = np.cross(axes[:, :3], axes[:, 3:])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    series, first, code = np.unique(known["series_id"].to_numpy(), return_index=True, return_inverse=True)
    cosine = np.abs(np.sum(normal * normal[first][code], axis=1))
    turned = pd.Series(np.degrees(np.arccos(np.clip(cosine, 0, 1)))).groupby(code).max().to_numpy()
    planes = pd.Series(PLANES[np.abs(normal).argmax(axis=1)]).groupby(code).agg(["nunique", "first"])
    mixed = planes["nunique"].to_numpy() > 1
    yield judge("one plane per series", series[mixed], len(series), "series that mix sagittal, coronal or axial slices")
    yield note("one tilt per series", series[(turned >= TILT) & ~mixed], len(series), "series of several stacks")
    if "series" in inputs.tables:
        listed = inputs["series"]
        described = dict(zip(listed["series_id"], listed["series_description"], strict=True))
        found = zip(series[~mixed], planes["first"][~mixed], strict=True)
        pairs = [(each, described[each], plane) for each, plane in found if each in described]
        wrong = [
            f"{each} ({kind}, but {plane})" for each, kind, plane in pairs if PLANE_OF_TYPE.get(kind, plane) != plane
        ]
        yield judge("orientation is as described", wrong, len(series), "series in another plane")


CHECKS: Final = (
    tags_are_present, sizes_are_usual, spacing_is_plausible, positions_differ, numbers_follow_the_stack,
    orientations_agree,
)  # fmt: skip
