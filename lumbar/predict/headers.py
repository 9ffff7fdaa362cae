"""What a DICOM header says about where a file belongs and what it shows, read without its pixels.

The values here decide and are then forgotten: of a patient's tags none is kept, printed or written.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from lumbar.images.dicom import MOST_FRAMES, DicomError
from lumbar.images.dicom_file import FileError, check_regular, parse
from lumbar.images.frames import PER_FRAME, SHARED, frame_values
from lumbar.images.geometry import are_directions

KEYWORDS: Final = (
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "InstanceNumber", "Modality", "ImageType",
    "SeriesDescription", "ProtocolName", "SequenceName", "ScanningSequence", "BodyPartExamined", "EchoTime",
    "RepetitionTime", "InversionTime", "ImagePositionPatient", "ImageOrientationPatient", "ContrastBolusAgent", "Rows",
    "NumberOfFrames",
)  # fmt: skip
_TAGS: Final = [Tag(keyword) for keyword in (*KEYWORDS, SHARED, PER_FRAME)]


@dataclass(frozen=True)
class Header:
    """One file's header: texts are empty where a tag is absent, times NaN."""

    path: Path
    study: str
    patient: str
    series: str
    image: str
    """With the three above, unique identifiers: to tell files apart, for nothing else."""
    instance: int | None
    modality: str
    """For example ``MR``."""
    image_type: str
    text: str
    """Series description, protocol and sequence name; lower case, as the three tags beside it."""
    body_part: str
    sequence: str
    """ScanningSequence."""
    echo: float
    repetition: float
    inversion: float
    """With the two above, times in ms."""
    orientation: tuple[float, ...]
    """ImageOrientationPatient; empty where absent or no two unit vectors at right angles."""
    contrast: bool
    """Whether a contrast agent was given."""
    is_image: bool
    """Whether it says how many rows of pixels it has."""
    position: tuple[float, ...] = ()
    """ImagePositionPatient, mm; empty where absent."""
    frames: tuple[tuple[float, ...], ...] = ()
    """Of a multi-frame image, the orientation of each frame."""

    @property
    def slices(self) -> list[Header]:
        """One header per slice that the file holds."""
        return [replace(self, orientation=each, frames=()) for each in self.frames] or [self]


def read_header(path: Path) -> Header:
    """Read a file's header, up to its pixels.

    Raises
    ------
    DicomError
        If it cannot be read or is no DICOM file; one line: the path and the reason.
    """
    try:
        check_regular(path)
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            dataset = parse(file, stop_before_pixels=True, specific_tags=_TAGS)
            values = {keyword: _values(dataset, keyword) for keyword in KEYWORDS}
            frames = int((_numbers(values["NumberOfFrames"]) or (1,))[0])
            if frames > 1 or SHARED in dataset:
                return _with_frames(_header(path, values), dataset, min(max(frames, 1), MOST_FRAMES))
            return _header(path, values)
    except FileError as error:
        raise DicomError(path, str(error)) from error
    except OSError as error:
        raise DicomError(path, f"cannot be read ({error.strerror})") from error
    except Exception as error:  # a damaged file can raise nearly anything; its text may quote tags
        raise DicomError(path, f"damaged or truncated DICOM file ({type(error).__name__})") from error


def _with_frames(header: Header, dataset: pydicom.Dataset, count: int) -> Header:
    """Add what a file says of its frames; times are those of the first that names them."""
    frames = [frame_values(dataset, number) for number in range(count)]
    orientations = [_numbers(_several(frame.get("ImageOrientationPatient"))) for frame in frames]

    def time(known: float, keyword: str) -> float:
        found = [_numbers(_several(frame.get(keyword)))[:1] for frame in frames]
        return next((each[0] for each in found if each), math.nan) if math.isnan(known) else known

    return replace(
        header,
        echo=time(header.echo, "EffectiveEchoTime"),
        repetition=time(header.repetition, "RepetitionTime"),
        inversion=time(header.inversion, "InversionTimes"),
        frames=tuple(_directions(each) or header.orientation for each in orientations),
    )


def _values(dataset: pydicom.Dataset, keyword: str) -> list[Any]:
    """Return a tag's values; none where it is absent or malformed."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom parses a value when it is asked for, and a malformed one can raise nearly anything
        return []
    return _several(value)


def _several(value: Any) -> list[Any]:
    """Return one value or several as a list, without those that are absent."""
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [each for each in values if each is not None]


def _header(path: Path, values: Mapping[str, list[Any]]) -> Header:
    """Bring the values of the tags into plain types."""
    texts = {keyword: " ".join(str(each).strip() for each in found).strip() for keyword, found in values.items()}
    numbers = {keyword: _numbers(found) for keyword, found in values.items()}
    instance = numbers["InstanceNumber"]
    orientation = numbers["ImageOrientationPatient"]
    described = " ".join(texts[keyword] for keyword in ("SeriesDescription", "ProtocolName", "SequenceName"))
    times = [(numbers[keyword] or (math.nan,))[0] for keyword in ("EchoTime", "RepetitionTime", "InversionTime")]
    return Header(
        path=path,
        study=texts["StudyInstanceUID"],
        patient=texts["PatientID"],
        series=texts["SeriesInstanceUID"],
        image=texts["SOPInstanceUID"],
        instance=int(instance[0]) if instance else None,
        modality=texts["Modality"].upper(),
        image_type=texts["ImageType"].lower(),
        text=described.lower(),
        body_part=texts["BodyPartExamined"].lower(),
        sequence=texts["ScanningSequence"].lower(),
        echo=times[0],
        repetition=times[1],
        inversion=times[2],
        position=numbers["ImagePositionPatient"],
        orientation=_directions(orientation),
        contrast=bool(texts["ContrastBolusAgent"]),
        is_image=bool(numbers["Rows"]),
    )


def _directions(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Return an orientation that can be used, or nothing."""
    return numbers if len(numbers) == 6 and are_directions(numbers) else ()


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    """Return values as finite numbers; none where one of them is no number."""
    try:
        numbers = tuple(float(each) for each in values)
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
