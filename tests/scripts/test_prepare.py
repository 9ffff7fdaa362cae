"""The four preparation commands, run as commands."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from lumbar.images.cache import SOURCES
from lumbar.tables import META, TEST_META, read_table

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"
WriteDicom = Callable[..., Path]


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lines_about(output: str, name: str) -> list[str]:
    """Lines of stderr that name a file, without the progress bar that may stand before them."""
    return [line for line in output.replace("\r", "\n").splitlines() if name in line]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_dicom: WriteDicom) -> Path:
    """A data folder with six train series and one test series, some compressed."""
    data = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    for number in range(6):
        syntax = {"syntax": (RLELossless, JPEG2000Lossless)[number % 2]} if number < 2 else {}
        for instance in range(1, 31):
            pixels = rng.integers(0, 4096, (96, 80), dtype=np.uint16)
            write_dicom(data / f"train_images/{10 + number // 3}/{100 + number}/{instance}.dcm", pixels, **syntax)
    for instance in range(3):
        pixels = rng.integers(0, 4096, (20, 20), dtype=np.uint16)
        write_dicom(data / f"test_images/77/88/{instance}.dcm", pixels, WindowCenter=2000, WindowWidth=1000)
    return data


@pytest.fixture
def data(source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(source, tmp_path / "data")


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run leaves."""
    data = shutil.copytree(source, tmp_path_factory.mktemp("expected") / "data")
    result = run("prepare.py", "--data", data, "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return contents(data)


def test_both_image_folders_get_caches_and_a_table(expected: dict[str, bytes], source: Path) -> None:
    folders = {name.partition("/")[0] for name in expected}
    assert folders == {
        "train_images", "train_images_v01", "train_images_v04", META.path,
        "test_images", "test_images_v01", "test_images_v04", TEST_META.path,
    }  # fmt: skip
    for images in ("train_images", "test_images"):
        slices = {path.relative_to(source / images).with_suffix("") for path in (source / images).rglob("*.dcm")}
        for version in ("v01", "v04"):
            prefix = f"{images}_{version}/"
            names = [Path(name.removeprefix(prefix)) for name in expected if name.startswith(prefix)]
            assert {name.with_suffix("") for name in names if name.suffix == ".png"} == slices
            assert {name.name for name in names if name.suffix != ".png"} == {SOURCES}


def test_a_second_run_keeps_everything(data: Path, expected: dict[str, bytes]) -> None:
    first = run("prepare.py", "--data", data).stdout.splitlines()
    assert [line.split(" in ")[0].rpartition("/")[2] for line in first] == [
        "train_images: 180 slices done, 0 kept, 0 failed, 0 removed",
        "test_images: 3 slices done, 0 kept, 0 failed, 0 removed",
    ]
    png = data / "train_images_v01/10/100/1.png"
    written = png.stat().st_mtime_ns
    result = run("prepare.py", "--data", data)
    assert result.returncode == 0
    assert "0 slices done, 180 kept, 0 failed, 0 removed" in result.stdout
    assert png.stat().st_mtime_ns == written
    assert contents(data) == expected


def test_the_three_thin_commands_make_the_same_files(data: Path, expected: dict[str, bytes]) -> None:
    for script, made in (
        ("convert_dcm_v01.py", "train_images_v01"),
        ("convert_dcm_v04.py", "train_images_v04"),
        ("make_meta_v01.pkl.py", META.path),
    ):
        assert not (data / made).exists()
        assert run(script, "--data", data).returncode == 0
        assert (data / made).exists()
    assert contents(data) == expected


def test_a_change_of_any_kind_is_redone(data: Path, expected: dict[str, bytes], write_dicom: WriteDicom) -> None:
    run("prepare.py", "--data", data)
    first, second = data / "train_images/10/102/1.dcm", data / "train_images/10/102/2.dcm"
    original, stat = first.read_bytes(), first.stat()
    first.write_bytes(second.read_bytes())  # same size, and the same time:
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (data / "train_images_v01/10/102/3.png").unlink()
    (data / "train_images_v04/10/102/4.png").write_bytes(b"half")
    (data / "train_images_v04/10/102/.5.png.0123.part").write_bytes(b"left by a killed run")
    (data / ".meta_v1.pkl.0123.part").write_bytes(b"the same")
    result = run("prepare.py", "--data", data, "--images", "train_images")
    assert "3 slices done, 177 kept, 0 failed, 0 removed" in result.stdout
    pngs = [(data / f"train_images_v01/10/102/{instance}.png").read_bytes() for instance in (1, 2)]
    assert pngs[0] == pngs[1]
    first.write_bytes(original)
    assert run("prepare.py", "--data", data, "--images", "train_images").returncode == 0
    assert contents(data) == expected


def test_force_redoes_all(data: Path, expected: dict[str, bytes]) -> None:
    run("prepare.py", "--data", data, "--images", "test_images")
    result = run("prepare.py", "--data", data, "--images", "test_images", "--force")
    assert "3 slices done, 0 kept" in result.stdout


def test_killed_at_random_moments_and_run_again(data: Path, expected: dict[str, bytes]) -> None:
    command = [sys.executable, str(SCRIPTS / "prepare.py"), "--data", str(data), "--workers", "2"]
    rng = random.Random(0)
    partial = 0
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 20
        goal = len(list(data.rglob("*.png"))) + rng.randrange(5, 60)  # strike in the midst of the writing
        while process.poll() is None and len(list(data.rglob("*.png"))) < goal and time.monotonic() < limit:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        partial += contents(data) != expected
    assert partial >= 1
    assert run("prepare.py", "--data", data, "--workers", 2).returncode == 0
    assert contents(data) == expected


def test_bad_files_are_reported_skipped_and_counted(data: Path, expected: dict[str, bytes]) -> None:
    series = data / "train_images/10/102"
    (series / "1.dcm").write_bytes(b"")
    (series / "2.dcm").write_bytes(b"no DICOM at all")
    (series / "3.dcm").write_bytes((series / "3.dcm").read_bytes()[:5000])
    (series / "31.dcm").mkdir()
    result = run("prepare.py", "--data", data, "--images", "train_images", "--workers", 2)
    assert result.returncode == 1
    assert "177 slices done, 0 kept, 4 failed" in result.stdout
    for name in ("1.dcm", "2.dcm", "3.dcm", "31.dcm"):
        assert len(lines_about(result.stderr, f"102/{name}: ")) == 1
    assert "Traceback" not in result.stderr
    assert len(read_table(data, META)) == 177
    left = contents(data / "train_images_v04")
    skipped = {f"10/102/{number}.png" for number in (1, 2, 3)}
    everything = {name.removeprefix("train_images_v04/") for name in expected if name.startswith("train_images_v04/")}
    assert set(left) == everything - skipped


def test_no_name_and_no_birth_date_leaves_a_file(data: Path, write_dicom: WriteDicom) -> None:
    images = data / "test_images/77/88"
    write_dicom(images / "5.dcm", np.zeros((4, 4), np.uint16), PatientID="MRN-4711")
    write_dicom(images / "6.dcm", np.zeros((4, 4), np.uint16), Rows=100)
    result = run("prepare.py", "--data", data, "--images", "test_images")
    assert result.returncode == 1
    shutil.rmtree(data / "test_images")
    shutil.rmtree(data / "train_images")
    for secret in ("Doe", "Jane", "1970", "MRN"):
        assert secret not in result.stdout + result.stderr
        assert not any(secret.encode() in content for content in contents(data).values())


def test_every_file_of_pydicoms_own_collection(tmp_path: Path) -> None:
    """Each gives an image or one clear reason; nothing crashes, and no partial file is left."""
    folder = Path(pydicom.data.__file__).parent / "test_files"  # what ships in the wheel, nothing downloaded
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) > 100
    assert {Path(name) for name in pydicom.data.get_testdata_files() if Path(name).is_file()} >= set(files)
    for number, path in enumerate(files):
        target = tmp_path / f"train_images/{number // 40}/{number // 10}/{number}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    result = run("prepare.py", "--data", tmp_path, "--workers", 2)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    meta = read_table(tmp_path, META)
    assert len(meta) > 50
    multi_frame, single = set(), 0
    for number, path in enumerate(files):
        name = f"{number // 40}/{number // 10}/{number}"
        pngs = [(tmp_path / f"train_images_{version}/{name}.png").is_file() for version in ("v01", "v04")]
        reasons = lines_about(result.stderr, f"train_images/{name}.dcm: ")
        if not (any(pngs) or reasons):  # its frames are slices of the series, with numbers after those of the files
            multi_frame.add(path.name)
            continue
        assert (pngs, len(reasons)) in (([True, True], 0), ([False, False], 1)), (path.name, reasons)
        single += pngs[0]
        of_series = meta[meta["series_id"] == number // 10]
        assert (number in set(of_series["instance_number"])) == pngs[0]
        assert all(len(reason) < 400 for reason in reasons)
    assert multi_frame == {"rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm"}
    frames = sum(int(pydicom.dcmread(path).NumberOfFrames) for path in files if path.name in multi_frame)
    assert len(meta) == single + frames
    plain = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert all("train_images" in line for line in plain), plain  # reasons and the progress bar, nothing else
    written = [name for name in contents(tmp_path / "train_images_v01") if Path(name).name != SOURCES]
    assert len(written) == len(meta)
    assert all(re.fullmatch(r"\d+/\d+/\d+\.png", name) for name in written)


def test_interrupting_is_one_line(data: Path) -> None:
    """Ctrl-C reaches the workers too; only the command itself answers."""
    command = [sys.executable, str(SCRIPTS / "prepare.py"), "--data", str(data), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not any(data.rglob("*.png")):
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        error = process.stderr.read() if process.stderr else ""
    assert process.returncode == 130
    assert "error: interrupted" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["--data", "absent"], "absent: no such folder", 2),
        (["--data", "{tmp}"], "no such folder; expected <study>/<series>/<instance>.dcm", 2),
        (["--data", "{tmp}", "--images", "pictures"], "invalid choice", 2),
        (["--data", "{tmp}", "--workers", "0"], "at least 1", 2),
    ],
)
def test_bad_use(tmp_path: Path, arguments: list[str], message: str, status: int) -> None:
    result = run("prepare.py", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("script", "made"), [("convert_dcm_v01.py", "v01"), ("convert_dcm_v04.py", "v04")])
def test_published_pictures_lie_in_a_folder_of_their_own(script: str, made: str, data: Path) -> None:
    done = run(script, "--data", data, "--as-published")
    assert done.returncode == 0, done.stderr
    assert f"train_images_{made}published" in done.stdout
    assert {path.name for path in data.glob("*_images_*")} == {
        f"{split}_images_{made}published" for split in ("train", "test")
    }
    assert len(list((data / f"train_images_{made}published").rglob("*.png"))) == 180


@pytest.mark.parametrize("script", ["prepare.py", "convert_dcm_v01.py", "convert_dcm_v04.py", "make_meta_v01.pkl.py"])
def test_help(script: str) -> None:
    result = run(script, "--help")
    assert result.returncode == 0
    for option in ("--data", "--workers", "--images", "--force"):
        assert option in result.stdout
