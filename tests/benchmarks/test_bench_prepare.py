import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_prepare.py"


def test_it_prints_speed_and_ratios(tmp_path: Path, write_dicom: Callable[..., Path]) -> None:
    for instance in range(1, 5):
        write_dicom(tmp_path / f"train_images/1/2/{instance}.dcm", np.arange(400, dtype=np.uint16).reshape(20, 20))
    command = [sys.executable, str(SCRIPT), "--data", str(tmp_path), "--copies", "2", "--repeats", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "8 slices" in result.stdout
    assert result.stdout.count("ratio") == 2
