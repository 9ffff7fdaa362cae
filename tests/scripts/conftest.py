"""What tests of several scripts share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ScriptRunner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_script(run_here: ScriptRunner) -> ScriptRunner:
    """``run_script("make_folds.py", "--data", folder)`` runs a script without a process start.

    Given an environment, ``env=...``, it runs in a process of its own.
    """

    def run(name: str, *arguments: object, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        if env is None:
            return run_here(f"scripts/{name}", *arguments)
        command = [sys.executable, str(Path(__file__).parents[2] / "scripts" / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    return run
