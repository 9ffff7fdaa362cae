from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale
from pydicom.uid import EnhancedMRImageStorage, JPEG2000Lossless, RLELossless

from lumbar.images.dicom import DicomFile, read_slice
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.dicom_writer import write_series
from lumbar.phantom.plan import Encoding, PlannedSlice, SeriesPlan, Study
from lumbar.phantom.render import WHITE

PLANE = SlicePlane(np.array([-112.12, -98.7, 101.3]), np.array([0.0, 1, 0]), np.array([0.0, 0, -1]), 1.25, 1.5)
PIXELS = np.random.default_rng(0).integers(0, 2001, (40, 32)).astype(np.uint16)


PIXELS[0] = 2000  # the brightest, to which windows refer


def written(tmp_path, encoding=None, offset=(0, 0, 0)):
    slices = (PlannedSlice(PLANE, (40, 32), 9),)
    series = SeriesPlan("Sagittal T1", "T1", slices, 4.0, 4.4, encoding or Encoding(), 702807833)
    write_series(tmp_path, Study(4003253, None, (series,), np.array(offset)), series, "Sag T1", [PIXELS])
    return pydicom.dcmread(tmp_path / "9.dcm")


def test_header_holds_what_real_ones_hold(tmp_path):
    dataset = written(tmp_path)
    assert (dataset.Rows, dataset.Columns, dataset.BitsStored, dataset.PixelRepresentation) == (40, 32, 12, 0)
    assert dataset.Modality == "MR" and dataset.PatientPosition == "HFS" and dataset.PatientID == "4003253"
    assert dataset.InstanceNumber == 9 and dataset.PhotometricInterpretation == "MONOCHROME2"
    assert (dataset.SliceThickness, dataset.SpacingBetweenSlices, dataset.SliceLocation) == (4.0, 4.4, -112.12)
    assert (dataset.WindowCenter, dataset.WindowWidth) == (1000.0, 2000.0)
    assert "RescaleSlope" not in dataset and "PatientName" not in dataset and "PatientBirthDate" not in dataset
    again = SlicePlane.from_tags(dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
    assert again.to_patient((3, 5)) == pytest.approx(PLANE.to_patient((3, 5)), abs=1e-9)
    assert (dataset.pixel_array == PIXELS).all()


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(),
        Encoding(slope=2.4),
        Encoding(signed=True),
        Encoding(signed=True, slope=0.5),
        Encoding(transfer_syntax=RLELossless),
        Encoding(transfer_syntax=JPEG2000Lossless),
        Encoding(transfer_syntax=RLELossless, signed=True),
    ],
)
def test_rescaled_pixels_and_window_mean_the_same_however_stored(tmp_path, encoding):
    dataset = written(tmp_path, encoding)
    assert dataset.file_meta.TransferSyntaxUID == encoding.transfer_syntax
    slope = encoding.slope or 1.0
    assert apply_rescale(dataset.pixel_array, dataset) == pytest.approx(PIXELS * slope)
    assert (dataset.WindowCenter, dataset.WindowWidth) == (1000 * slope, 2000 * slope)
    assert (dataset.pixel_array.min() < 0) == encoding.signed


def test_inverted_pixels_and_their_window(tmp_path):
    dataset = written(tmp_path, Encoding(inverted=True))
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    assert (dataset.pixel_array == WHITE - PIXELS).all()
    assert dataset.WindowCenter == WHITE - 1000


def test_several_windows_and_absent_tags(tmp_path):
    assert list(written(tmp_path, Encoding(windows=3)).WindowCenter) == [1000, 1300, 1690]
    dataset = written(tmp_path, Encoding(absent=("SliceLocation", "WindowCenter", "WindowWidth")))
    assert not {"SliceLocation", "WindowCenter", "WindowWidth"} & set(dataset.dir()) and "SliceThickness" in dataset


def test_same_arguments_same_bytes_and_unique_identifiers(tmp_path):
    first = written(tmp_path)
    content = (tmp_path / "9.dcm").read_bytes()
    assert written(tmp_path).SOPInstanceUID == first.SOPInstanceUID and (tmp_path / "9.dcm").read_bytes() == content
    assert len({first.SOPInstanceUID, first.StudyInstanceUID, first.SeriesInstanceUID, first.FrameOfReferenceUID}) == 4


def test_one_file_holds_the_same_slices(tmp_path):
    moved = replace(PLANE, origin=PLANE.origin + 4.4 * PLANE.normal)
    slices = (PlannedSlice(PLANE, (40, 32), 1), PlannedSlice(moved, (40, 32), 2))
    series = SeriesPlan("Sagittal T1", "T1", slices, 4.0, 4.4, Encoding(slope=2.4), 702807833)
    pixels = [PIXELS, PIXELS[::-1]]
    for folder, encoding in (("single", series.encoding), ("joined", replace(series.encoding, one_file=True))):
        planned = replace(series, encoding=encoding)
        write_series(tmp_path / folder, Study(4003253, None, (planned,), np.zeros(3)), planned, "Sag T1", pixels)
    assert [path.name for path in (tmp_path / "joined").iterdir()] == ["1.dcm"]
    dataset = pydicom.dcmread(tmp_path / "joined" / "1.dcm")
    assert dataset.SOPClassUID == EnhancedMRImageStorage and dataset.NumberOfFrames == 2
    assert "ImagePositionPatient" not in dataset and "WindowCenter" not in dataset and "EchoTime" not in dataset
    for number in (1, 2):
        single = read_slice(tmp_path / "single" / f"{number}.dcm")
        joined = DicomFile(tmp_path / "joined" / "1.dcm").slice(number - 1)
        assert (joined.stored == single.stored).all() and joined.window == single.window
        tags = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                "SpacingBetweenSlices", "SeriesDescription")  # fmt: skip
        assert {name: joined.tags[name] for name in tags} == {name: single.tags[name] for name in tags}


def test_a_header_may_count_otherwise_than_the_files(tmp_path):
    slices = (PlannedSlice(PLANE, (40, 32), 9, header_number=2),)
    series = SeriesPlan("Sagittal T1", "T1", slices, 4.0, 4.4, Encoding(), 702807833)
    write_series(tmp_path, Study(4003253, None, (series,), np.zeros(3)), series, "Sag T1", [PIXELS])
    assert pydicom.dcmread(tmp_path / "9.dcm").InstanceNumber == 2


def test_table_offset_moves_the_plane(tmp_path):
    assert written(tmp_path, offset=(1.0, -2, 3)).ImagePositionPatient == pytest.approx([-111.12, -100.7, 104.3])
