import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_and_tables_are_used_or_named_and_cost_nothing_else() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--mutants", "60"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("60 mutants, 0 faults")
    assert "predict.py exit status 1: 1 runs" in done.stdout  # it answers, and says that something was left out
