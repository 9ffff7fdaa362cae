"""What tests of several scripts share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ScriptRunner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_script() -> ScriptRunner:
    """``run_script("make_folds.py", "--data", folder, env=...)`` runs the real command and returns what it said."""

    def run(name: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(Path(__file__).parents[2] / "scripts" / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=env)

    return run
