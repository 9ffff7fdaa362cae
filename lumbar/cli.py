"""What every command line here shares: errors in one line, exit statuses, common options, progress.

Exit status 0: all done. 1: the run failed, or finished with failures that its summary counts. 2: bad use.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

DATA_DIR = Path("datamount")
"""Default folder of every input and output table and image."""


class UserError(Exception):
    """A mistake of the user or of the input: shown as one line, never as a traceback.

    Parameters
    ----------
    message : str
        One line: the file, key or value at fault, what was expected, what to do.
    status : int
        Exit status: 1 for a failed run, 2 for bad use.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


def run(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a script's ``main(argv) -> exit status`` and exit.

    A `UserError` becomes one line on stderr, and so does what the system refuses: a full disk, a folder that may not be
    written to.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be text
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main(None)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = error.status
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        if error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror}; finished files are kept, run the same command again", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("error: interrupted; finished files are kept, run the same command again to go on", file=sys.stderr)
        status = 130
    sys.exit(status)


def parser(description: str, data: bool = True, workers: bool = True) -> argparse.ArgumentParser:
    """Make an argument parser with the options that all scripts share.

    Parameters
    ----------
    description : str
        The script's docstring; its first paragraph heads ``--help``.
    data : bool
        Add ``--data DIR`` (default `DATA_DIR`).
    workers : bool
        Add ``--workers N`` (default: all cores this process may use).
    """
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if data:
        result.add_argument(
            "--data", type=Path, default=DATA_DIR, metavar="DIR", help="data folder (default: %(default)s)"
        )
    if workers:
        result.add_argument(
            "--workers", type=positive_int, default=cores(), metavar="N", help="processes (default: all cores)"
        )
    return result


def positive_int(text: str) -> int:
    """Parse an option that must be a whole number of at least 1 (for argparse's ``type=``)."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


def probability(text: str) -> float:
    """Parse an option that must lie in 0..1 (for argparse's ``type=``)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")
    return value


def parse_gpus(text: str | None) -> list[int] | None:
    """Parse ``-G``: None takes what there is, an empty list is the CPU."""
    if text is None:
        return None
    if text.strip().lower() in ("", "cpu"):
        return []
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise UserError(f"option -G: expected GPU numbers such as 0 or 0,1, or cpu, got {text!r}", status=2) from None


def cores() -> int:
    """Count the cores that this process may use (at least 1)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which of `known` is nearest to a mistyped `name`: ``" (did you mean 'x'?)"`` or an empty string."""
    matches = get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def require_dir(path: Path, what: str, hint: str) -> Path:
    """Return `path` if it is a folder.

    Raises
    ------
    UserError
        Otherwise, naming the folder, `what` it should hold and a `hint` what to do.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected {what}. {hint}", status=2)
    return path
