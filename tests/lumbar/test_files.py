import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.files import atomic_path, locked, read_pickle, write_text


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
