from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

ScriptRunner = Callable[..., CompletedProcess[str]]


def test_the_command_reports_on_what_there_is(run_script: ScriptRunner, mini: Path, tmp_path: Path) -> None:
    page = tmp_path / "sub" / "page.html"
    options = ("--data", mini / "datamount", "--weights", mini / "weights", "--out", page)
    done = run_script("make_report.py", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{page}: 12 runs of 3 configs, 0 of them with grades; ")
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_misuse_is_one_line(run_here: ScriptRunner, mini: Path, tmp_path: Path) -> None:
    done = run_here("scripts/make_report.py", "--weights", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'nowhere'}: no run ")
    assert done.stderr.count("\n") == 1
    (tmp_path / "file").touch()
    page = tmp_path / "file" / "page.html"
    options = ("--data", mini / "datamount", "--weights", mini / "weights", "--out", page)
    done = run_here("scripts/make_report.py", *options)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("the report is not written\n")
