"""Two processes never work on one checkpoint."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lumbar.cli import UserError
from lumbar.engine.lock import hold
from lumbar.engine.signals import Stopped, StopRequest

HOLDER = """
import sys
from pathlib import Path
from lumbar.engine.lock import hold
from lumbar.engine.signals import StopRequest
with hold(Path(sys.argv[1]), False, StopRequest()):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock until its input closes."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "fold0" / "a.lock")]
    environment = os.environ | {"SLURM_JOB_ID": "77"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_second_process_is_told_who_holds_it(holder: subprocess.Popen, tmp_path: Path) -> None:
    said = f"process {holder.pid} on .*, SLURM job 77 works on this config, fold and seed"
    with pytest.raises(UserError, match=said), hold(tmp_path / "fold0" / "a.lock", False, StopRequest()):
        pass
    with hold(tmp_path / "fold0" / "b.lock", False, StopRequest()):
        pass  # of another seed


def test_waiting_ends_when_the_holder_is_killed(holder: subprocess.Popen, tmp_path: Path) -> None:
    threading.Timer(0.5, holder.kill).start()
    with hold(tmp_path / "fold0" / "a.lock", True, StopRequest()):
        assert f"process {os.getpid()}" in (tmp_path / "fold0" / "a.lock").read_text()


def test_waiting_can_be_stopped(holder: subprocess.Popen, tmp_path: Path) -> None:
    stop = StopRequest()
    stop.join()
    with pytest.raises(Stopped, match="while waiting"), hold(tmp_path / "fold0" / "a.lock", True, stop):
        pass
