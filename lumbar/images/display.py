"""The standard display of a slice, and slices that are stored mirrored or turned brought to it.

Axial: x to the patient's left, y to the back. Sagittal: x to the back, y to the feet. Labels, networks and pages take
this for granted, and so the cached picture and its geometry are changed together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from lumbar.images.dicom import DicomSlice
from lumbar.images.geometry import orientation_name

_AXES: Final = {"axial": ((1, 0, 0), (0, 1, 0)), "sagittal": ((0, 1, 0), (0, 0, -1))}
"""Directions of x and y in the standard display, in patient coordinates."""

_OTHER_PLANE: Final = 0.5
"""Cosine of the angle, 60 degrees, beyond which a slice lies in another plane than its series. The axial slices of a
spine are tilted from disc to disc by up to half of it."""


@dataclass(frozen=True)
class Turn:
    """What brings a slice to the standard display: a transposition, then mirroring of x and of y."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, tags: Mapping[str, Any]) -> Self:
        """Find the turn that a slice needs; none where its plane is unknown or has no standard display."""
        orientation = tags["ImageOrientationPatient"]
        axes = _AXES.get(orientation_name(orientation)) if isinstance(orientation, tuple) else None
        if axes is None:
            return cls()
        along = np.array(orientation).reshape(2, 3) @ np.array(axes).T  # rows: x, y of the picture
        transposed = bool(abs(along[0, 0]) + abs(along[1, 1]) < abs(along[0, 1]) + abs(along[1, 0]))
        if transposed:
            along = along[::-1]
        return cls(transposed, bool(along[0, 0] < 0), bool(along[1, 1] < 0))

    def __bool__(self) -> bool:
        return self.transposed or self.mirrored_x or self.mirrored_y

    def tags(self, tags: Mapping[str, Any]) -> dict[str, Any]:
        """Give the tags of the turned slice."""
        result = dict(tags)
        across, down = (np.array(half) for half in np.reshape(tags["ImageOrientationPatient"], (2, 3)))
        spacing = tags["PixelSpacing"] if isinstance(tags["PixelSpacing"], tuple) else (math.nan, math.nan)
        width, height = tags["img_w"], tags["img_h"]
        if self.transposed:
            across, down, spacing, width, height = down, across, spacing[::-1], height, width
            result |= {"img_w": width, "img_h": height}
            if isinstance(tags["PixelSpacing"], tuple):
                result["PixelSpacing"] = spacing
        if isinstance(tags["ImagePositionPatient"], tuple):
            position = np.array(tags["ImagePositionPatient"])
            if self.mirrored_x:
                position = position + across * spacing[1] * (width - 1)
            if self.mirrored_y:
                position = position + down * spacing[0] * (height - 1)
            known = bool(np.isfinite(position).all())
            result["ImagePositionPatient"] = tuple(position.tolist()) if known else math.nan
        signs = -1.0 if self.mirrored_x else 1.0, -1.0 if self.mirrored_y else 1.0
        turned = np.concatenate([across * signs[0], down * signs[1]]) + 0.0  # no negative zeros
        result["ImageOrientationPatient"] = tuple(turned.tolist())
        return result

    def image(self, image: DicomSlice) -> DicomSlice:
        """Give the turned slice."""
        stored: NDArray[np.integer] = image.stored.T if self.transposed else image.stored
        stored = stored[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1]
        return replace(image, tags=self.tags(image.tags), stored=np.ascontiguousarray(stored))


def in_other_plane(orientations: Sequence[Any]) -> list[bool]:
    """Tell which slices of a series lie in another plane than more than half of it (a scout among them).

    Parameters
    ----------
    orientations : sequence
        ImageOrientationPatient of each slice; anything but a tuple is unknown, and in no other plane.
    """
    known = {number: np.reshape(each, (2, 3)) for number, each in enumerate(orientations) if isinstance(each, tuple)}
    normals = {number: np.cross(*each) for number, each in known.items()}
    far = [
        {number for number, other in normals.items() if abs(float(normal @ other)) < _OTHER_PLANE}
        for normal in normals.values()
    ]
    others = min(far, key=len, default=set())
    return [number in others and 2 * len(others) < len(normals) for number in range(len(orientations))]
