"""Slices as DICOM files, with the headers that the competition's files have, and no more.

No tag here names a person. Every byte follows from the arguments: unique identifiers are hashes of the study, series
and instance numbers, not random.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from lumbar.files import write_bytes
from lumbar.phantom.plan import Encoding, PlannedSlice, SeriesPlan, Study
from lumbar.phantom.render import WHITE

BRIGHTEST_QUANTILE: Final = 0.995
"""Quantile of a series' pixels to which its window refers."""

SIGNED_OFFSET: Final = 1024
"""What signed pixels lie below the unsigned ones; the rescale intercept gives it back."""

TIMES: Final = {"T1": (560.0, 11.0), "T2": (3400.0, 102.0), "STIR": (4200.0, 38.0)}
"""Typical repetition and echo time of each contrast at 1.5 tesla, ms, as headers state them."""


FRAME_GROUPS: Final = {
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "WindowCenter": ("FrameVOILUTSequence", "WindowCenter"),
    "WindowWidth": ("FrameVOILUTSequence", "WindowWidth"),
}
"""Tags of which an enhanced image has one per frame: the functional group, and the tag in it."""

SHARED_GROUPS: Final = {
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "SpacingBetweenSlices": ("PixelMeasuresSequence", "SpacingBetweenSlices"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
}
"""Tags of which it has one for all frames."""


def write_series(
    folder: Path, study: Study, series: SeriesPlan, description: str, frames: Sequence[NDArray[np.uint16]]
) -> None:
    """Write the slices of a series as ``<instance number>.dcm`` into a folder, or as one file, each atomically.

    The frames are their pixels, shape (rows, columns), 0 to `WHITE`, bright is bright; the series says how they are
    stored.
    """
    brightest = float(np.quantile(np.concatenate([frame.ravel()[::7] for frame in frames]), BRIGHTEST_QUANTILE))
    headers = []
    for planned in series.slices:
        dataset = _header(study, series, planned, description)
        _add_window(dataset, series.encoding, brightest)
        for tag in series.encoding.absent:
            delattr(dataset, tag)
        headers.append(dataset)
    pixels = list(frames)
    if series.encoding.one_file:
        headers, pixels = [_joined(headers)], [np.stack(frames)]
    for name, dataset, frame in zip(series.files, headers, pixels, strict=True):
        _add_pixels(dataset, frame, series.encoding)
        content = io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        write_bytes(folder / name, content.getvalue())


def _joined(headers: Sequence[Dataset]) -> Dataset:
    """Make the header of an enhanced multi-frame image of those of its frames (PS3.3 A.36)."""
    joined = headers[0]
    frames = [_groups(header, FRAME_GROUPS) for header in headers]
    joined.SharedFunctionalGroupsSequence = [_groups(joined, SHARED_GROUPS)]
    joined.PerFrameFunctionalGroupsSequence = frames
    for keyword in (*FRAME_GROUPS, *SHARED_GROUPS, "SliceLocation"):
        delattr(joined, keyword)
    joined.SOPClassUID = EnhancedMRImageStorage
    joined.NumberOfFrames = len(headers)
    return joined


def _groups(header: Dataset, groups: Mapping[str, tuple[str, str]]) -> Dataset:
    """Put tags of a header into functional groups."""
    result = Dataset()
    for keyword, (group, name) in groups.items():
        if group not in result:
            setattr(result, group, [Dataset()])
        setattr(result[group].value[0], name, header[keyword].value)
    return result


def _header(study: Study, series: SeriesPlan, planned: PlannedSlice, description: str) -> Dataset:
    """Say everything about a slice but its window and pixels."""
    study_id, series_id, number = str(study.study_id), str(series.series_id), planned.instance_number
    plane = replace(planned.plane, origin=np.round(planned.plane.origin + study.table_offset, 4))
    normal = plane.normal  # turned so that SliceLocation grows to the head or to the left, as scanners have it
    location = plane.origin @ (normal if normal[np.argmax(np.abs(normal))] > 0 else -normal)
    repetition, echo = TIMES[series.contrast]
    tags: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=["instance", study_id, series_id, str(number)]),
        "Modality": "MR",
        "SeriesDescription": description,
        "PatientID": study_id,
        "ScanningSequence": "IR" if series.contrast == "STIR" else "SE",
        "SequenceVariant": "SK",
        "MRAcquisitionType": "2D",
        "SliceThickness": series.thickness,
        "RepetitionTime": repetition,
        "EchoTime": echo,
        "SpacingBetweenSlices": series.spacing,
        "PatientPosition": "HFS",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", study_id]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", study_id, series_id]),
        "InstanceNumber": planned.header_number or number,
        "ImagePositionPatient": plane.origin.tolist(),
        "ImageOrientationPatient": [*plane.row_dir.tolist(), *plane.col_dir.tolist()],
        "FrameOfReferenceUID": generate_uid(entropy_srcs=["frame", study_id]),
        "SliceLocation": round(float(location), 3),
        "PixelSpacing": [plane.row_spacing, plane.col_spacing],
    }
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def _add_window(dataset: Dataset, encoding: Encoding, brightest: float) -> None:
    """Set the window, in units after rescaling and before inversion, as the standard has it (PS3.3 C.11.2.1.2)."""
    slope = encoding.slope or 1.0
    centres, widths = [], []
    for i in range(encoding.windows):
        centre, width = (share * brightest * 1.3**i for share in encoding.window)
        centres.append(round(slope * (WHITE - centre if encoding.inverted else centre), 1))
        widths.append(round(slope * width, 1))
    dataset.WindowCenter, dataset.WindowWidth = centres, widths


def _add_pixels(dataset: Dataset, pixels: NDArray[np.uint16], encoding: Encoding) -> None:
    stored: NDArray[Any] = WHITE - pixels if encoding.inverted else pixels
    slope = encoding.slope
    if encoding.signed:
        stored = stored.astype(np.int16) - SIGNED_OFFSET
        slope = slope or 1.0
    if slope is not None:
        dataset.RescaleIntercept = SIGNED_OFFSET * slope if encoding.signed else 0.0
        dataset.RescaleSlope = slope
    dataset.file_meta = FileMetaDataset()
    interpretation, bits = "MONOCHROME1" if encoding.inverted else "MONOCHROME2", 16 if encoding.signed else 12
    dataset.set_pixel_data(stored, interpretation, bits, generate_instance_uid=False)
    if encoding.transfer_syntax != ExplicitVRLittleEndian:
        dataset.compress(encoding.transfer_syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
