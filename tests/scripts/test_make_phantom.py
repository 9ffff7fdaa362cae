import filecmp
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts/make_phantom.py"
OPTIONS = ("--studies", 1, "--test-studies", 1, "--seed", 1, "--irregular", 0.5)


def command(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The same tiny phantom made by one worker and by two."""
    folders = [tmp_path_factory.mktemp("phantom") / f"workers{n}" for n in (1, 2)]
    runs = [command("--out", folder, *OPTIONS, "--workers", n) for n, folder in enumerate(folders, 1)]
    return folders, runs


def test_same_bytes_whatever_the_number_of_workers(made):
    folders, runs = made
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    names = [sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file()) for folder in folders]
    assert names[0] == names[1] and len(names[0]) > 80
    _matching, different, unreadable = filecmp.cmpfiles(*folders, names[0], shallow=False)
    assert (different, unreadable) == ([], [])


def test_summary_counts_what_lies_there(made):
    (folder, _), (run, _) = made
    slices = len(list(folder.glob("*_images/*/*/*.dcm")))
    line = run.stdout.strip()
    assert "\n" not in line and f"{slices} slices" in line and "2 studies (1 train, 1 test, 1 irregular)" in line
    assert len(pd.read_csv(folder / "train.csv")) == 1


def test_second_run_finds_all_there(made):
    (folder, _), _ = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}
    run = command("--out", folder, *OPTIONS, "--workers", 1)
    assert run.returncode == 0 and "already there" in run.stdout
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}


def test_other_options_into_the_same_folder_are_refused_in_one_line(made):
    (folder, _), _ = made
    run = command("--out", folder, "--studies", 1, "--seed", 2)
    assert run.returncode == 2 and run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    assert str(folder) in run.stderr and "--force" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--studies", 0), "--studies: must be a whole number of at least 1, got '0'"),
        (("--test-studies", -1), "--test-studies"),
        (("--seed", "x"), "--seed"),
        (("--irregular", 1.5), "--irregular: must be a number from 0 to 1, got '1.5'"),
        (("--size", "huge"), "--size: invalid choice: 'huge'"),
        (("--workers", 0), "--workers"),
        (("--studdies", 3), "--studdies"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    run = command("--out", tmp_path / "new", *arguments)
    assert run.returncode == 2 and message in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "new").exists()


def test_out_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    run = command("--out", tmp_path / "file", "--studies", 1)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and str(tmp_path / "file") in run.stderr


def test_help():
    run = command("--help")
    assert run.returncode == 0 and "--irregular P" in run.stdout
