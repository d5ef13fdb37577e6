"""What a cold ``triangulate inspect`` takes: wall time (the median of some runs) and peak memory, file by file.

    python scripts/inspect_benchmark.py                 # all of it
    python scripts/inspect_benchmark.py resnet50 chain  # the files whose names begin so
    python scripts/inspect_benchmark.py my_model.onnx   # or files of your own

Each run is a process of its own, with the file in the page cache and the modules' bytecode written, as after a first
use.  Exit status 1 where a limit is exceeded or a hostile file gets another status than it should.  ``chain`` is told
per node, too, in processor time and less what the smallest file takes: it should be the same for 1,000 nodes and for
20,000.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inspect_files import HOSTILE

ROOT = Path(__file__).resolve().parent.parent
CHAINS = (1_000, 5_000, 20_000)


@dataclass(frozen=True)
class Job:
    """A file to look into, by name or where it is, and what that may take: seconds, megabytes, the exit status."""

    name: str
    seconds: float
    megabytes: float
    status: int = 0
    nodes: int = 0
    file: Path | None = None


@dataclass(frozen=True)
class Taken:
    """One run: seconds by the clock and of all processors, megabytes at the peak, exit status."""

    seconds: float
    processor: float
    megabytes: float
    status: int


def jobs() -> Iterator[Job]:
    yield Job("smallest", 0.5, 300)
    yield Job("resnet50", 0.5, 300)
    for count in CHAINS:
        yield Job(f"chain_{count}", 3.0, 300, nodes=count)
    for hostile in HOSTILE:
        yield Job(hostile.name, 2.0, 500, hostile.status)


def written(name: str, folder: Path) -> Path:
    """The file of that name, made by a process of its own."""
    folder.mkdir()
    command = [sys.executable, str(ROOT / "scripts" / "inspect_files.py"), name, str(folder)]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def taken(file: Path, environment: dict[str, str]) -> Taken:
    """One cold run; memory is that of the largest of its processes."""
    command = [sys.executable, "-m", "onnx_triangulate", "inspect", str(file)]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.perf_counter() - start
    return Taken(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**20, process.returncode)


def main() -> int:
    """Run, print, and say whether everything was within its limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="files of this benchmark whose names begin so, or files of your own")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    own = [Job(Path(n).name, 1e9, 1e9, file=Path(n).resolve()) for n in arguments.names if Path(n).is_file()]
    names = tuple(n for n in arguments.names if not Path(n).is_file())
    wanted = [*(job for job in jobs() if not arguments.names or job.name.startswith(names or ("\n",))), *own]
    failures = 0
    smallest: float | None = None
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {
            "PYTHONPYCACHEPREFIX": f"{temporary}/bytecode",
            "PYTHONPATH": str(ROOT / "pipeline"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        print(f"{'file':32} {'median s':>9} {'best s':>7} {'cpu s':>6} {'peak MB':>8} {'status':>6}")
        for job in wanted:
            folder = Path(temporary) / job.name
            file = job.file or written(job.name, folder)
            taken(file, environment)  # writes bytecode, fills the page cache
            runs = [taken(file, environment) for _ in range(arguments.runs)]
            median, peak = statistics.median(r.seconds for r in runs), max(r.megabytes for r in runs)
            best, cpu = min(r.seconds for r in runs), min(r.processor for r in runs)
            smallest = cpu if job.name == "smallest" else smallest
            faults = [
                *([f"over {job.seconds} s"] if median > job.seconds else []),
                *([f"over {job.megabytes} MB"] if peak > job.megabytes else []),
                *([f"status should be {job.status}"] if {r.status for r in runs} != {job.status} else []),
            ]
            failures += bool(faults)
            each = f"  {1e6 * (cpu - smallest) / job.nodes:.0f} µs/node" if job.nodes and smallest else ""
            said = f"  ! {', '.join(faults)}" if faults else ""
            print(
                f"{job.name:32} {median:9.2f} {best:7.2f} {cpu:6.2f} {peak:8.0f} {runs[-1].status:6}{each}{said}",
                flush=True,
            )
            if file.is_relative_to(folder) and file.is_file():
                file.unlink()
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
