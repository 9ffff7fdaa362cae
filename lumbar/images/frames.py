"""Enhanced multi-frame images: many slices in one file, with geometry and window for each.

An enhanced MR file describes its frames in two sequences, one for all frames and one with an item per frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray

from lumbar.images.geometry import FARTHEST

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

_GROUPS: Final = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "InversionTimes": "MRModifierSequence",
}
"""Where the two sequences keep a tag."""


def frame_values(dataset: pydicom.Dataset, frame: int) -> dict[str, Any]:
    """Return what a file says of one frame (from 0), by keyword; what it does not say is left out."""
    found: dict[str, Any] = {}
    shared, own = (dataset.get(name) or [] for name in (SHARED, PER_FRAME))
    for items in (shared[:1], own[frame : frame + 1]):
        for keyword, group in _GROUPS.items():
            for item in items:
                value = next((each.get(keyword) for each in item.get(group) or []), None)
                if value is not None:
                    found[keyword] = value
    return found


def order_frames(frames: Sequence[Mapping[str, Any]]) -> list[int]:
    """Order the frames of a series: stack by stack, in each along its normal; unknown positions as they stand.

    Frames of one stack share its name, echo time, time and orientation.

    Parameters
    ----------
    frames : sequence of mapping
        As `frame_values` returns them, of one file or several.
    """
    stacks: dict[tuple[Any, ...], list[int]] = {}
    for number, frame in enumerate(frames):
        orientation = _vector(frame.get("ImageOrientationPatient"), 6)
        plane = None if orientation is None else tuple(np.round(orientation, 2).tolist())
        key = *(str(frame.get(name)) for name in ("StackID", "EffectiveEchoTime", "TemporalPositionIndex")), plane
        stacks.setdefault(key, []).append(number)
    return [number for members in stacks.values() for number in _along_normal(frames, members)]


def _along_normal(frames: Sequence[Mapping[str, Any]], members: Sequence[int]) -> list[int]:
    """Order frames of one stack along its normal."""
    places = []
    for number in members:
        position = _vector(frames[number].get("ImagePositionPatient"), 3)
        orientation = _vector(frames[members[0]].get("ImageOrientationPatient"), 6)
        if position is None or orientation is None:
            return list(members)
        places.append(float(position @ np.cross(orientation[:3], orientation[3:])))
    return [members[rank] for rank in np.argsort(places, kind="stable")]


def _vector(value: Any, length: int) -> NDArray[np.float64] | None:
    """Return a tag as that many numbers; None where it is not, or one is beyond `FARTHEST`."""
    try:
        vector = np.array([float(each) for each in value])
    except (TypeError, ValueError):
        return None
    return vector if len(vector) == length and (np.abs(vector) < FARTHEST).all() else None
