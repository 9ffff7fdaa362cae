"""The download script with a stand-in for the Kaggle client, since the real one needs an account."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "download_data.sh"
ARCHIVE = "rsna-2024-lumbar-spine-degenerative-classification.zip"

pytestmark = pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")


def download(tmp_path: Path, client: str | None, token: bool = True) -> subprocess.CompletedProcess[str]:
    home, tools = tmp_path / "home", tmp_path / "tools"
    (home / ".kaggle").mkdir(parents=True, exist_ok=True)
    tools.mkdir(exist_ok=True)
    if token:
        (home / ".kaggle" / "kaggle.json").write_text("{}")
    if client is not None:
        (tools / "kaggle").write_text(f"#!/bin/sh\n{client}\n")
        (tools / "kaggle").chmod(0o755)
    environment = {"HOME": str(home), "PATH": f"{tools}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    return subprocess.run(
        ["bash", SCRIPT, tmp_path / "data"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("client", "token", "message"),
    [
        (None, True, "the Kaggle client is not installed; run: pip install kaggle"),
        ("exit 0", False, "no Kaggle token"),
        ("echo '403 Client Error: Forbidden'; exit 1", True, "accept the competition's rules at https://"),
        ("echo '401 Client Error: Unauthorized'; exit 1", True, "does not accept the token"),
        ("echo 'network down'; exit 1", True, "the download failed"),
        ("exit 0", True, "not there after the download"),
    ],
)
def test_what_is_missing_is_said_in_one_line(client: str | None, token: bool, message: str, tmp_path: Path) -> None:
    result = download(tmp_path, client, token)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_the_archive_is_unpacked_once(tmp_path: Path) -> None:
    archive = tmp_path / ARCHIVE
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("train.csv", "study_id\n1\n")
        content.writestr("train_images/1/2/3.dcm", b"")
    client = f'cp {archive} "$6"/'
    result = download(tmp_path, client)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "data" / "train_images" / "1" / "2" / "3.dcm").exists()
    assert not (tmp_path / "data" / ARCHIVE).exists()
    assert "1 training slices" in result.stdout
    again = download(tmp_path, "exit 1")
    assert again.returncode == 0
    assert "already there" in again.stdout


def test_a_phantom_is_not_taken_for_the_download(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "train_images").mkdir(parents=True)
    (data / "train.csv").touch()
    (data / "truth_grades.csv").touch()
    result = download(tmp_path, "exit 0")
    assert result.returncode == 1
    assert "holds a synthetic competition" in result.stderr
