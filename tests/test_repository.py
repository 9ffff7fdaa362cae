"""What a visitor relies on: commands answer ``--help``, the documents name files that exist, versions are bounded."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
COMMANDS = sorted(
    name for name in TRACKED if re.fullmatch(r"(scripts/[\w.]+|train|predict|aggregate_\w+)\.(py|sh)|\w+\.sh", name)
)
DOCUMENTS = [name for name in TRACKED if name.endswith(".md")]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_help(command: str) -> None:
    runner = ["bash"] if command.endswith(".sh") else [sys.executable, "-X", "importtime"]
    result = subprocess.run([*runner, command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) >= 2
    assert not re.search(r"\| +torch$", result.stderr, flags=re.MULTILINE), "a user would wait seconds for PyTorch"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name.endswith(".py")])
def test_an_unknown_option_is_bad_use(command: str, run_here: Callable[..., Any]) -> None:
    result = run_here(command, "--no-such-option")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    commands = re.findall(r"(?:python |bash |^)((?:scripts/)?[\w./]+\.(?:py|sh))\b", text, flags=re.MULTILINE)
    missing = [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    missing += [command for command in commands if not (ROOT / command).exists()]
    assert not missing


@pytest.mark.parametrize("name", ["requirements.txt", "requirements_ngc.txt"])
def test_every_requirement_is_bounded_on_both_sides(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-"))]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w-]+(>=[\d.]+,<[\d.]+|==[\d.]+)", line), line


def test_the_container_brings_its_own_torch() -> None:
    names = re.findall(r"^([\w-]+)[>=]", (ROOT / "requirements_ngc.txt").read_text(), flags=re.MULTILINE)
    assert "timm" in names
    assert not {"torch", "torchvision"} & set(names)


def test_functions_stay_short() -> None:
    for name in (name for name in TRACKED if name.endswith(".py") and not name.startswith("tests/")):
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{name}: {node.name}() has over 60 lines"  # type: ignore[operator]
