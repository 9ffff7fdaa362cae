"""Checks of what is there: studies, series, slices and caches against the tables that list them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from lumbar.anatomy import SERIES_TYPES
from lumbar.audit.findings import Finding, judge, note
from lumbar.audit.inputs import Inputs, records, slice_names, without
from lumbar.tables import META


def studies_have_images(inputs: Inputs) -> Iterator[Finding]:
    """Compare the studies of ``train.csv`` with the folders, both ways."""
    listed, present = set(inputs["train"]["study_id"]), set(inputs.files["train"]["study_id"])
    yield judge(
        "training studies have images", sorted(listed - present), len(listed), "in train.csv but without images"
    )
    yield judge(
        "image folders belong to a study of train.csv",
        sorted(present - listed),
        len(present),
        "studies with images but without a row; left out of the folds",
    )


def series_have_slices(inputs: Inputs, split: str, table: str) -> Iterator[Finding]:
    """Compare the listed series with the folders, both ways."""
    listed, present = set(inputs[table]["series_id"]), set(inputs.files[split]["series_id"])
    yield judge(
        f"{split} series have slices",
        sorted(listed - present),
        len(listed),
        "listed but without a slice; is the download complete",
    )
    yield judge(
        f"{split} series folders are listed", sorted(present - listed), len(present), "never used, being unlisted"
    )


def studies_have_every_type(inputs: Inputs) -> Iterator[Finding]:
    """Count the studies that lack a series type, or have several of one."""
    counts = inputs["series"].groupby(["study_id", "series_description"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(SERIES_TYPES), fill_value=0)
    for kind in SERIES_TYPES:
        cases = counts.index[counts[kind] == 0]
        yield judge(f"studies have a {kind} series", cases, len(counts), "studies without one", error_above=0.95)
    several = counts.index[(counts > 1).any(axis=1)]
    text = "studies with several series of one type"
    yield note("one series of each type", several, len(counts), text)


def instances_are_numbered(inputs: Inputs) -> Iterator[Finding]:
    """Look for gaps in the instance numbers of a series, and for numbers that start above 1."""
    numbers = inputs.files["train"].groupby("series_id")["instance_number"].agg(["min", "max", "size"])
    gaps = numbers.index[numbers["max"] - numbers["min"] + 1 > numbers["size"]]
    yield note(
        "instance numbers have no gaps", gaps, len(numbers), "series with gaps (slices missing, or another numbering)"
    )
    late = numbers.index[numbers["min"] > 1]
    yield note("instance numbers start at 1", late, len(numbers), "series that start later")


def caches_are_complete(inputs: Inputs) -> Iterator[Finding]:
    """Look for slices without their PNG in a cache that was begun."""
    for version, pictures in inputs.caches.items():
        missing = without(without(inputs.files["train"], pictures), inputs.scouts)
        text = "slices without a PNG; run scripts/prepare.py, it says which files it cannot read"
        yield judge(f"cache {version} is complete", slice_names(missing), len(inputs.files["train"]), text)


def metadata_is_complete(inputs: Inputs) -> Iterator[Finding]:
    """Compare the metadata table with the files, both ways."""
    meta, files = inputs["meta"], inputs.files["train"]
    text = f"slices without a row; run {META.made_by}"
    missing = without(without(files, meta), inputs.scouts)
    yield judge("metadata are complete", slice_names(missing), len(files), text)
    text = "in another plane (a scout?); scripts/prepare.py leaves them out"
    yield note("slices lie in the plane of their series", slice_names(inputs.scouts), len(files), text)
    text = "rows of slices that are not there any more; run scripts/prepare.py again"
    yield judge("metadata describe slices that exist", slice_names(without(meta, files)), len(meta), text)


def slices_are_stored_as_usual(inputs: Inputs) -> Iterator[Finding]:
    """Count series that are stored in another way than most."""
    stored = inputs.storage
    windows = stored["windows"].map(lambda count: f"{count} windows" if count else "no window")
    for title, odd, words in (
        ("pixels are stored uncompressed", stored["compressed"], stored["syntax"]),
        ("pixels are stored unsigned", stored["signed"], "signed"),
        ("the greatest pixel is white", stored["photometric"] == "MONOCHROME1", stored["photometric"]),
        ("slices have one window", stored["windows"] != 1, windows),
        ("a file holds one slice", stored["frames"] > 1, stored["frames"].astype(str) + " frames"),
    ):
        named = stored[["series_id"]].assign(words=words)[odd.astype(bool)]
        cases = [f"{row.series_id} ({row.words})" for row in records(named)]
        yield note(title, cases, len(stored), "series whose first file is otherwise; they are read all the same")


CHECKS: Final = (
    studies_have_images,
    partial(series_have_slices, split="train", table="series"),
    partial(series_have_slices, split="test", table="test_series"),
    studies_have_every_type,
    instances_are_numbered,
    slices_are_stored_as_usual,
    caches_are_complete,
    metadata_is_complete,
)
