"""Run every benchmark of this folder, one after the other (`make bench`).

Each prints ratios of parts that it measured in the same run, so that figures of two machines can be compared.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SMALLER = {"bench_predict": ("--studies", "8", "32")}
"""Options of benchmarks whose own defaults take minutes."""


def main() -> int:
    """Run the scripts; the exit status is 1 if any failed."""
    failed = []
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"== {script.stem}", flush=True)
        if subprocess.run([sys.executable, script, *SMALLER.get(script.stem, ())], check=False).returncode:
            failed.append(script.stem)
    print(f"failed: {', '.join(failed)}" if failed else "all benchmarks ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
