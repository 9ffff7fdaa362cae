"""Files that are never half-written, folders that are cleared of our own files alone, pickles that run no code."""

from __future__ import annotations

import io
import os
import pickle
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from lumbar.cli import UserError

TEMPORARY = ".part"
"""Suffix of files that are being written; whoever finds one may delete it."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    A reader sees the old file, the new file or none, never a part of one, even after ``kill -9``.

    Parameters
    ----------
    path : Path
        The final file; its folder is made when absent.

    Yields
    ------
    Path
        Write here.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    # Unique among the processes of all machines that share a disk, and among the threads of one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)  # a full disk names no file, and nobody knows the temporary name
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 text file atomically, with Unix line ends on every system; what is no text of a name is escaped."""
    write_bytes(path, content.encode(errors="backslashreplace"))


@contextmanager
def locked(folder: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time (with the processes it forks) pass for the same folder; the others wait.

    The lock leaves nothing on the disk and ends with the last process that holds it, even after ``kill -9``. Where the
    system or the disk has no such locks there is none.

    Parameters
    ----------
    folder : Path
        An existing folder; it may be read-only.
    busy : callable
        Called once if there is a wait, to say so.
    """
    with ExitStack() as stack:
        try:
            import fcntl  # not on Windows

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                busy()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield


MARKER: Final = ".made_by_lumbar"
"""File in a folder that a command made for itself, and may clear."""


def claim(folder: Path, hint: str) -> None:
    """Make a folder that may be cleared later, and mark it; an empty one or one that is marked will do.

    Parameters
    ----------
    folder : Path
        Its parents are made too.
    hint : str
        What to do if it holds something else.

    Raises
    ------
    UserError
        If it is not empty and not marked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER).is_file():
        other = next(folder.iterdir(), None)
        if other is not None:
            raise UserError(f"{folder}: holds {other.name}, which this command did not make; {hint}", status=2)
        (folder / MARKER).touch()


def foreign(folder: Path, ours: re.Pattern[str]) -> Path | None:
    """Find something in a folder that none of our commands made; None if there is nothing.

    Parameters
    ----------
    folder : Path
        Searched in depth; links are not followed.
    ours : pattern
        Of whole paths relative to `folder`, with ``/``; `MARKER` and files that are being written are ours too.
    """
    for path in sorted(folder.rglob("*")):
        known = path.name == MARKER or (path.name.startswith(".") and path.suffix == TEMPORARY)
        is_folder = path.is_dir() and not path.is_symlink()
        if not (is_folder or known or ours.fullmatch(path.relative_to(folder).as_posix())):
            return path
    return None


def clear(folder: Path, ours: re.Pattern[str], hint: str) -> None:
    """Delete a folder that was claimed, if everything in it is ours; one that is not there is none.

    Raises
    ------
    UserError
        If it is not marked, or holds something else; names it, and nothing is deleted.
    """
    if not folder.exists():
        return
    other = foreign(folder, ours) if (folder / MARKER).is_file() else folder
    if other is not None:
        raise UserError(f"{other}: was not made by this command, and is not deleted; {hint}", status=2)
    shutil.rmtree(folder)


def check_apart(written: Mapping[str, Path], read: Mapping[str, Path | None]) -> None:
    """Check that nothing that is written lies in, around or over something else.

    Parameters
    ----------
    written, read : mapping of str to Path
        Files and folders by the option that names them; None is not given.

    Raises
    ------
    UserError
        Names both.
    """
    places = {**read, **written}
    for option, path in written.items():
        for other, place in places.items():
            if other == option or place is None:
                continue
            here, there = path.resolve(), place.resolve()
            if here == there:
                raise UserError(f"{option} {path}: is {other} too; choose another {option}", status=2)
            for inner, outer, text in ((here, there, "lies in"), (there, here, "is around")):
                if inner.is_relative_to(outer):
                    raise UserError(f"{option} {path}: {text} {other} {place}; choose another {option}", status=2)


def check_replaceable(path: Path, starts: str) -> None:
    """Check before long work that a file to write replaces nothing but what the same command wrote.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    starts : str
        How such a file starts.

    Raises
    ------
    UserError
        If there is a file that starts otherwise.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(starts)).lower() != starts.lower().encode():
                raise UserError(f"{path}: is there already, and is no earlier output; choose another name", status=2)


_ALLOWED: Final = frozenset(
    {
        ("builtins", "slice"),
        ("builtins", "list"),
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
    }
)
"""What a pickled table or list of plain values is made of; everything else in a pickle is refused."""


class _SafeUnpickler(pickle.Unpickler):
    """An unpickler that builds plain values, arrays and data frames, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no table needs")
        return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """Load a pickle of plain values, NumPy arrays or a pandas data frame, without trusting where it came from.

    Parameters
    ----------
    path : Path
        A file written by `lumbar.tables`, by pandas, or by SpineNet.

    Raises
    ------
    UserError
        If the file is no such pickle, is damaged, or names anything but the classes that tables are made of.
    """
    content = path.read_bytes()
    try:
        return _SafeUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{path}: not a pickle of plain values or of a table ({error})") from error
