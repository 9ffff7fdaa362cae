"""Slices as DICOM files, with the headers that the competition's files have, and no more.

No tag here names a person. Every byte follows from the arguments: unique identifiers are hashes of the study, series
and instance numbers, not random.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lumbar.files import atomic_path
from lumbar.images.geometry import SlicePlane, Vector

MAXIMUM: Final = 4095
"""Greatest 12-bit value."""

SIGNED_OFFSET: Final = 1024
"""What signed pixels lie below the unsigned ones; the rescale intercept gives it back."""

TIMES: Final = {"T1": (560.0, 11.0), "T2": (3400.0, 102.0), "STIR": (4200.0, 38.0)}
"""Typical repetition and echo time of each contrast at 1.5 tesla, ms."""


@dataclass(frozen=True)
class Encoding:
    """How the pixels and the window of a series are stored.

    Parameters
    ----------
    transfer_syntax : str
        DICOM UID; compressed ones must be lossless.
    signed : bool
        16-bit signed pixels, `SIGNED_OFFSET` below the unsigned ones, with an intercept that says so.
    inverted : bool
        MONOCHROME1: the greatest value is black.
    slope : float or None
        RescaleSlope; None leaves the rescale tags out (unless signed).
    window : (float, float)
        Centre and width as a share of the series' 99.5 % quantile.
    windows : int
        Number of values in WindowCenter and WindowWidth.
    absent : tuple of str
        Tags that are left out.
    """

    transfer_syntax: str = ExplicitVRLittleEndian
    signed: bool = False
    inverted: bool = False
    slope: float | None = None
    window: tuple[float, float] = (0.5, 1.0)
    windows: int = 1
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """What a slice's header says beside its pixels: numbers, description, plane (scanner coordinates), spacing."""

    study_id: int
    series_id: int
    instance_number: int
    description: str
    contrast: str
    plane: SlicePlane
    thickness: float
    spacing: float


def offset_plane(plane: SlicePlane, offset: Vector) -> SlicePlane:
    """Move a plane by a table offset (mm)."""
    return SlicePlane(
        np.round(plane.origin + offset, 4), plane.row_dir, plane.col_dir, plane.row_spacing, plane.col_spacing
    )


def write_slice(path: Path, pixels: NDArray[np.uint16], header: Header, encoding: Encoding, brightest: float) -> None:
    """Write one slice atomically.

    Parameters
    ----------
    path : Path
        The file.
    pixels : ndarray of uint16, shape (rows, columns)
        0 to `MAXIMUM`, bright is bright.
    header : Header
        What it is and where it lies.
    encoding : Encoding
        How to store it.
    brightest : float
        The series' 99.5 % quantile, to which the window refers.
    """
    dataset = _describe(header)
    _add_window(dataset, encoding, brightest)
    for tag in encoding.absent:
        if tag in dataset:
            delattr(dataset, tag)
    _add_pixels(dataset, pixels, encoding)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _describe(header: Header) -> Dataset:
    study, series = str(header.study_id), str(header.series_id)
    plane = header.plane
    repetition, echo = TIMES[header.contrast]
    tags: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=["instance", study, series, str(header.instance_number)]),
        "Modality": "MR",
        "SeriesDescription": header.description,
        "PatientID": study,
        "ScanningSequence": "IR" if header.contrast == "STIR" else "SE",
        "SequenceVariant": "SK",
        "MRAcquisitionType": "2D",
        "SliceThickness": header.thickness,
        "RepetitionTime": repetition,
        "EchoTime": echo,
        "SpacingBetweenSlices": header.spacing,
        "PatientPosition": "HFS",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", study]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", study, series]),
        "InstanceNumber": header.instance_number,
        "ImagePositionPatient": plane.origin.tolist(),
        "ImageOrientationPatient": [*plane.row_dir.tolist(), *plane.col_dir.tolist()],
        "FrameOfReferenceUID": generate_uid(entropy_srcs=["frame", study]),
        "SliceLocation": round(float(plane.origin @ _location_axis(plane)), 3),
        "PixelSpacing": [plane.row_spacing, plane.col_spacing],
    }
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def _location_axis(plane: SlicePlane) -> Vector:
    """Slice normal, turned so that SliceLocation grows to the head or to the left as scanners have it."""
    normal = plane.normal
    return normal if normal[np.argmax(np.abs(normal))] > 0 else -normal


def _add_window(dataset: Dataset, encoding: Encoding, brightest: float) -> None:
    """Set the window, in units after rescaling and before inversion, as the standard has it (PS3.3 C.11.2.1.2)."""
    slope = encoding.slope or 1.0
    centres, widths = [], []
    for i in range(encoding.windows):
        centre, width = (share * brightest * 1.3**i for share in encoding.window)
        centres.append(round(slope * (MAXIMUM - centre if encoding.inverted else centre), 1))
        widths.append(round(slope * width, 1))
    dataset.WindowCenter, dataset.WindowWidth = centres, widths


def _add_pixels(dataset: Dataset, pixels: NDArray[np.uint16], encoding: Encoding) -> None:
    stored: NDArray[Any] = MAXIMUM - pixels if encoding.inverted else pixels
    slope = encoding.slope
    if encoding.signed:
        stored = stored.astype(np.int16) - SIGNED_OFFSET
        slope = slope or 1.0
    if slope is not None:
        dataset.RescaleIntercept = SIGNED_OFFSET * slope if encoding.signed else 0.0
        dataset.RescaleSlope = slope
    bits = 16 if encoding.signed else 12
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if encoding.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(encoding.signed)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if encoding.transfer_syntax == ExplicitVRLittleEndian:
        dataset.PixelData = stored.astype("<i2" if encoding.signed else "<u2").tobytes()
    else:
        dataset.compress(
            encoding.transfer_syntax, np.ascontiguousarray(stored), encoding_plugin="pylibjpeg",
            generate_instance_uid=False,
        )  # fmt: skip
