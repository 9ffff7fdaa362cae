"""Which file and frame of a series an instance number stands for.

A file of one slice is named by its number. Multi-frame files hold many slices, which are numbered by their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lumbar.images.cache import is_instance
from lumbar.images.dicom import DicomError, DicomFile, DicomSlice, MultiFrameError, read_slice, read_tags
from lumbar.images.frames import order_frames


def dicom_files(folder: Path) -> list[Path]:
    """List the DICOM files of a series, by instance number; hidden files and other suffixes are ignored."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.iterdir() if path.suffix.lower() == ".dcm" and not path.name.startswith(".")]
    return sorted(files, key=lambda path: (int(path.stem) if is_instance(path.stem) else -1, path.name))


def numbered_files(folder: Path) -> dict[int, Path]:
    """Give the DICOM files of a series that are named by their instance numbers, by these."""
    return {int(path.stem): path for path in dicom_files(folder) if is_instance(path.stem)}


def number_frames(files: Sequence[MultiFrameError], last: int) -> list[tuple[int, Path, int]]:
    """Give numbers to the frames of a series' multi-frame files by their place, stack by stack.

    Parameters
    ----------
    files : sequence of MultiFrameError
        The files, as `lumbar.images.dicom.read_tags` raises them.
    last : int
        The greatest number of the series' other files; 0 if there are none.

    Returns
    -------
    list of (int, Path, int)
        Instance number, file and frame, from 0.
    """
    frames = [(each.path, number) for each in files for number in range(len(each.frames))]
    order = order_frames([frame for each in files for frame in each.frames])
    return [(last + rank, *frames[number]) for rank, number in enumerate(order, start=1)]


def read_instances(folder: Path, instances: Iterable[int]) -> Iterator[DicomSlice]:
    """Read slices of a series by their instance numbers, as `lumbar.images.preparation` gives them.

    Raises
    ------
    DicomError
        If there is no such slice, or it cannot be read.
    """
    frames: dict[int, tuple[Path, int]] | None = None
    files = numbered_files(folder)
    for instance in instances:
        path = files.get(instance, folder / f"{instance}.dcm")
        if frames is None:
            try:
                yield read_slice(path)
                continue
            except DicomError as error:
                frames = _frames_of(folder)
                if instance not in frames:
                    raise error
        place, frame = frames.get(instance, (path, None))
        yield DicomFile(place).slice(frame)


def _frames_of(folder: Path) -> dict[int, tuple[Path, int]]:
    """Find the frames of a series' multi-frame files by their instance numbers."""
    several, last = [], 0
    for path in dicom_files(folder):
        try:
            read_tags(path)
        except MultiFrameError as error:
            several.append(error)
            continue
        except DicomError:
            pass  # it keeps its number
        last = max(last, int(path.stem) if is_instance(path.stem) else 0)
    return {instance: (path, frame) for instance, path, frame in number_frames(several, last)}
