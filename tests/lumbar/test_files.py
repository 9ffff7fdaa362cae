import os
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.files import (
    MARKER,
    atomic_path,
    check_apart,
    check_replaceable,
    claim,
    clear,
    foreign,
    locked,
    read_pickle,
    write_text,
)


def test_atomic_write_makes_the_folder_and_leaves_one_file(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "ä\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä\n".encode()


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_read_pickle_takes_plain_values_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.p"
    path.write_bytes(pickle.dumps([{"polys": np.ones((1, 4, 2)), "slice_nos": [1, np.int64(2)], "label": "L4"}]))
    (value,) = read_pickle(path)
    assert value["label"] == "L4"
    assert value["polys"].shape == (1, 4, 2)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(Evil()), pickle.dumps(pd.Timestamp(0)), b"", b"not a pickle", pickle.dumps(list(range(99)))[:50]],
)
def test_read_pickle_refuses_code_and_damage(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.p"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.p: not a pickle of plain values"):
        read_pickle(path)
    assert not Path("pwned").exists()


def test_a_locked_folder_lets_one_pass_at_a_time(tmp_path: Path) -> None:
    def busy() -> None:
        raise RuntimeError("busy")

    with locked(tmp_path, busy), pytest.raises(RuntimeError, match="busy"), locked(tmp_path, busy):
        pass
    with locked(tmp_path, busy):  # free again
        assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_all_pass(tmp_path: Path) -> None:
    with locked(tmp_path / "absent", lambda: None):
        pass


def test_a_claimed_folder_is_cleared_of_our_files_alone(tmp_path: Path) -> None:
    ours, folder = re.compile(r"\d+/\d\.png"), tmp_path / "work"
    claim(folder, "choose another")
    (folder / "12").mkdir()
    for name in ("12/1.png", ".a.csv.0f.part"):
        (folder / name).touch()
    (folder / "12" / "2.png").symlink_to(tmp_path / "elsewhere.png")
    claim(folder, "choose another")
    assert foreign(folder, ours) is None
    (folder / "12" / "a.png").touch()
    with pytest.raises(UserError, match=r"12/a\.png: was not made by this command, and is not deleted; choose another"):
        clear(folder, ours, "choose another")
    assert (folder / "12" / "1.png").is_file()
    (folder / "12" / "a.png").unlink()
    clear(folder, ours, "choose another")
    clear(folder, ours, "choose another")  # nothing is there
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_neither_claimed_nor_cleared(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    with pytest.raises(UserError, match=r"holds 1\.png, which this command did not make; choose another"):
        claim(tmp_path, "choose another")
    with pytest.raises(UserError, match="was not made by this command"):
        clear(tmp_path, re.compile(r"1\.png"), "choose another")
    assert not (tmp_path / MARKER).exists()


def test_links_do_not_hide_that_places_are_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    check_apart({"--out": tmp_path / "a.csv"}, {"FOLDER": tmp_path / "images", "--sample": None})
    for out, message in (("link", "is FOLDER too"), ("link/a/b.csv", "lies in FOLDER"), (".", "is around FOLDER")):
        with pytest.raises(UserError, match=message):
            check_apart({"--out": tmp_path / out}, {"FOLDER": tmp_path / "images"})


def test_only_an_earlier_output_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    check_replaceable(page, "<!DOCTYPE html>")
    for content in ("", "<!doctype html>\n<p>"):
        page.write_text(content)
        check_replaceable(page, "<!DOCTYPE html>")
    page.write_text("dear")
    with pytest.raises(UserError, match=r"a\.html: is there already, and is no earlier output"):
        check_replaceable(page, "<!DOCTYPE html>")
