"""A SLURM of two nodes on this machine, for the length of the tests that ask for it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SLURM = Path(__file__).with_name("slurm.sh")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    for step in ("install", "start"):
        done = subprocess.run([SLURM, step, folder], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            pytest.skip(done.stderr.strip())
    yield
    subprocess.run([SLURM, "stop", folder], check=True)
