import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "draw_phantom_figure.py"


def draw(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_figure_is_small_and_the_same_each_time(tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    for out in (first, second):
        result = draw("--out", out)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"{out}: drawn")
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) < 300_000
    picture = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (3 * 178, 6 * 160)
    assert 30 < picture.mean() < 150


def test_the_committed_figure_has_the_size_of_a_drawn_one():
    committed = SCRIPT.parents[1] / "docs" / "images" / "phantom.png"
    assert committed.stat().st_size < 300_000
    assert cv2.imread(str(committed), cv2.IMREAD_GRAYSCALE).shape == (3 * 178, 6 * 160)


def test_a_folder_that_is_none_is_one_line(tmp_path):
    result = draw("--real", tmp_path / "nowhere", "--out", tmp_path / "x.png")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "no such folder" in result.stderr


def test_a_folder_without_tables_names_the_table(tmp_path):
    result = draw("--real", tmp_path, "--out", tmp_path / "x.png")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "train_series_descriptions.csv" in result.stderr
