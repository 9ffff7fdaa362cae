"""Fixtures that several test modules share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

WriteDicom = Callable[..., Path]


@pytest.fixture(scope="session")
def write_dicom() -> WriteDicom:
    """``write_dicom(path, pixels, syntax=..., **tags)`` writes an MR slice; a tag given as None is left out."""

    def write(path: Path, pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Path:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        encapsulated = UID(syntax).is_encapsulated
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if encapsulated else UID(syntax)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
        defaults = {
            "PatientName": "Doe^Jane",
            "PatientBirthDate": "19700101",
            "PatientID": path.parent.parent.name,
            "SeriesDescription": "T2",
            "PatientPosition": "HFS",
            "SliceThickness": 4,
            "SpacingBetweenSlices": 4.5,
            "SliceLocation": -12.5,
            "ImagePositionPatient": [-12.5, -100, 80],
            "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
            "PixelSpacing": [0.5, 0.75],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "BitsAllocated": 8 * pixels.itemsize,
            "BitsStored": 8 * pixels.itemsize,
            "HighBit": 8 * pixels.itemsize - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
            "PixelData": pixels.tobytes(),
        }
        for keyword, value in (defaults | tags).items():
            if value is not None:
                setattr(dataset, keyword, value)
        if encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
