import errno
from pathlib import Path

import pytest

from lumbar import cli
from lumbar.files import atomic_path


def test_a_user_error_is_one_line_and_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: object) -> int:
        raise cli.UserError("x.csv: no such file;\n   make it with y", status=2)

    with pytest.raises(SystemExit) as exit_info:
        cli.run(main)
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == "error: x.csv: no such file; make it with y\n"


def test_what_the_system_refuses_is_one_line_that_names_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def main(argv: object) -> int:
        with atomic_path(tmp_path / "a.csv") as temporary:
            temporary.touch()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SystemExit) as exit_info:
        cli.run(main)
    assert exit_info.value.code == 1
    said = (
        f"error: {tmp_path / 'a.csv'}: No space left on device; finished files are kept, run the same command again\n"
    )
    assert capsys.readouterr().err == said
    assert list(tmp_path.iterdir()) == []


def test_run_passes_the_status_on() -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.run(lambda argv: 1)
    assert exit_info.value.code == 1


def test_parser_defaults() -> None:
    args = cli.parser("Text.").parse_args([])
    assert args.data == Path("datamount")
    assert args.workers == cli.cores() >= 1


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_workers_must_be_a_positive_number(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.parser("Text.").parse_args([f"--workers={value}"])
    assert exit_info.value.code == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["-0.1", "1.1", "x", "nan"])
def test_probability_must_lie_in_0_to_1(value: str) -> None:
    with pytest.raises(Exception, match="from 0 to 1"):
        cli.probability(value)


def test_nearest_names_a_likely_meaning_or_nothing() -> None:
    assert cli.nearest("cfg_dh_29a", ["cfg_dh_29a2", "cfg_dh_12y8"]) == " (did you mean 'cfg_dh_29a2'?)"
    assert cli.nearest("zzz", ["cfg_dh_29a2"]) == ""


def test_require_dir(tmp_path: Path) -> None:
    assert cli.require_dir(tmp_path, "x", "y") == tmp_path
    with pytest.raises(cli.UserError, match=r"gone: no such folder; expected DICOMs\. Do this"):
        cli.require_dir(tmp_path / "gone", "DICOMs", "Do this.")
