"""Which series type a series is, from its headers: plane, weighting, and what is of no use here.

The description is believed first (T1, T2, STIR and their spellings), echo, repetition and inversion times where it is
silent or contradicts itself, and the times against the description where they leave no doubt.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from lumbar.images.geometry import orientation_name
from lumbar.predict.headers import Header

FEWEST_SLICES: Final = 3
"""A series with fewer is a reference image, not a stack."""

KINDS: Final = {
    ("sagittal", "T1"): SAGITTAL_T1,
    ("sagittal", "T2"): SAGITTAL_T2,
    ("sagittal", "STIR"): SAGITTAL_T2,
    ("axial", "T2"): AXIAL_T2,
}
"""Series type by plane and weighting."""

SHORT_ECHO, LONG_ECHO = 35.0, 60.0
SHORT_REPETITION, LONG_REPETITION = 1200.0, 1500.0
STIR_INVERSION: Final = 400.0
"""Limits of spin-echo contrasts, ms: T1 has a short echo and repetition time, T2 long ones, proton density a short echo
and a long repetition time; an inversion time under the last nulls fat (STIR), a longer one fluid (T1 FLAIR). Wide
enough for the usual protocols at 1.5 and 3 tesla."""

_START: Final = r"(?:(?<![a-z])|(?<=sag)|(?<=ax)|(?<=tra))"
_WEIGHTINGS: Final = {
    "T1": rf"{_START}t1(?!\d)",
    "T2": rf"{_START}t2(?!\d)",
    "STIR": r"stir|tirm|(?<![a-z])t?ir(?![a-z])",
    "PD": r"(?<![a-z])pd(?!\d|fs?\d)|proton",
}
_PLANES: Final = {
    "sagittal": r"(?<![a-z])sag",
    "axial": r"(?<![a-z])(?:ax|tra)",
    "coronal": r"(?<![a-z])cor(?!d)",
}
_LOCALIZER: Final = r"(?<![a-z])(?:locali[sz]|loc(?![a-z])|scout|survey|pilot|topogram|(?:3|three|tri) ?plane)"
_NO_ANATOMY: Final = r"(?<![a-z])(?:diff|dwi|dti|adc|mip(?![a-z])|myelo|perf|fmri|csf ?flow|screen ?save)"
_OTHER_REGION: Final = r"cervic|thorac|(?<![a-z])[ct] ?spine|(?<![a-z])(?:head|brain|hip|knee|shoulder)"
_LUMBAR: Final = r"lumb|(?<![a-z])ls? ?spine|lws|sacr"
_GRADIENT: Final = r"t2 ?\*|t2 ?star|(?<![a-z])(?:gre|medic|merge|ffe|swi|fl[23]d)(?![a-z])"
_ENHANCED: Final = r"(?<![a-z])(?:post|gad|gd(?![a-z])|km(?![a-z]))|\+ ?c(?![a-z])"
_REFORMATTED: Final = r"mpr|projection|reformat"
_FAT_PART: Final = r"(?:dixon|ideal).*(?<![a-z])(?:f|fat|opp)(?![a-z])"


class Recognition(NamedTuple):
    """What a series was taken for."""

    kind: str | None
    """One of `lumbar.anatomy.SERIES_TYPES`, or None."""
    reason: str
    """Why, or why it is of no use."""
    second_choice: bool = False
    """Whether it is used only where the study has no better series of its type."""


def recognise(headers: Sequence[Header]) -> Recognition:
    """Recognise a series by the headers of its files, at least one; the reason quotes no text of a header."""
    header = headers[len(headers) // 2]
    text = re.sub(r"[^a-z0-9*+]+", " ", header.text)
    unusable = _unusable(headers, text)
    if unusable:
        return Recognition(None, unusable)
    plane = _plane(headers, text)
    if plane is None:
        return Recognition(None, "slices in several planes, or in none that the header tells: a localizer")
    weighting, why = _weighting(header, text)
    if weighting is None and plane == "axial" and not re.search(_GRADIENT, text):
        return Recognition(AXIAL_T2, f"axial; {why}: taken for T2", second_choice=True)
    kind = KINDS.get((plane, weighting or ""))
    if kind is None:
        named = f"{plane} {weighting or ''}".strip()
        return Recognition(None, f"{named} is not used ({why})" if weighting else f"{named}; {why}")
    drawback = _drawback(header, text, weighting)
    return Recognition(kind, f"{plane}; {why}{drawback and f'; {drawback}'}", second_choice=bool(drawback))


def choose(found: Sequence[Recognition]) -> list[Recognition]:
    """Leave out second choices among a study's series where it has a better series of their type."""
    good = {each.kind for each in found if not each.second_choice}
    return [
        Recognition(None, f"{each.reason}; the study has a better {each.kind} series")
        if each.second_choice and each.kind in good
        else each
        for each in found
    ]


def _unusable(headers: Sequence[Header], text: str) -> str:
    """Say why a series is none of a lumbar MRI examination; empty if it may be one."""
    header = headers[len(headers) // 2]
    about = f"{text} {header.body_part}"
    if header.modality not in ("MR", ""):
        return f"modality {header.modality}, not MR"
    if re.search(_LOCALIZER, text) or re.search(r"localizer|scout", header.image_type):
        return "a localizer"
    if re.search(_OTHER_REGION, about) and not re.search(_LUMBAR, about):
        return "another region of the body than the lumbar spine"
    if re.search(_NO_ANATOMY, text):
        return "a diffusion, projection or flow image, not anatomy"
    if len(headers) < FEWEST_SLICES:
        return f"only {len(headers)} slice{'s' if len(headers) > 1 else ''}"
    return ""


def _plane(headers: Sequence[Header], text: str) -> str | None:
    """Name the plane of more than half of the slices; by the description where no slice has an orientation."""
    planes = Counter(orientation_name(header.orientation) for header in headers if header.orientation)
    if planes:
        plane, count = planes.most_common(1)[0]
        return plane if 2 * count > planes.total() else None
    named = [plane for plane, pattern in _PLANES.items() if re.search(pattern, text)]
    return named[0] if len(named) == 1 else None


def _weighting(header: Header, text: str) -> tuple[str | None, str]:
    """Tell T1, T2, STIR or PD, and why; None where nothing does."""
    named = [weighting for weighting, pattern in _WEIGHTINGS.items() if re.search(pattern, text)]
    if "STIR" in named and "T1" not in named:
        named = ["STIR"]  # often described as T2 STIR
    timed, certain = _by_times(header)
    times = ", ".join(
        f"{name} time {value:.0f} ms"
        for name, value in (("echo", header.echo), ("repetition", header.repetition), ("inversion", header.inversion))
        if not math.isnan(value)
    )
    if len(named) == 1 and not (certain and {named[0], timed} == {"T1", "T2"}):
        return named[0], f"described as {named[0]}"
    if timed:
        return timed, f"{f'described as {named[0]}, but ' if len(named) == 1 else ''}{times}"
    return None, f"weighting unknown ({times or 'no description of it, no echo time'})"


def _by_times(header: Header) -> tuple[str | None, bool]:
    """Tell the weighting by the times, and whether they leave no doubt."""
    echo, repetition, inversion = header.echo, header.repetition, header.inversion
    sequence = header.sequence.split()
    if inversion > 0:
        return ("STIR" if inversion < STIR_INVERSION else "T1"), False
    if "ir" in sequence:
        return ("STIR" if repetition > LONG_REPETITION else None), False
    if "gr" in sequence and "se" not in sequence:
        return None, False
    if echo >= LONG_ECHO and not repetition < LONG_REPETITION:
        return "T2", repetition >= LONG_REPETITION
    if echo <= SHORT_ECHO and repetition <= SHORT_REPETITION:
        return "T1", True
    if echo < LONG_ECHO and repetition >= LONG_REPETITION:
        return "PD", False
    return None, False


def _drawback(header: Header, text: str, weighting: str | None) -> str:
    """Say what makes a series a second choice; empty if nothing does."""
    if re.search(_REFORMATTED, f"{text} {header.image_type}"):
        return "reformatted"
    if weighting == "T1" and (header.contrast or re.search(_ENHANCED, header.text)):
        return "with contrast agent"
    if weighting == "T2" and re.search(_GRADIENT, text):
        return "gradient echo"
    if re.search(_FAT_PART, text):
        return "the fat or opposed-phase part"
    return ""
