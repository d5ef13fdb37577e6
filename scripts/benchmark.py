"""How long it takes and how much memory, measured as a user would: whole processes, beside the straightforward script.

    .venv/bin/python scripts/benchmark.py

Figures are medians of ``--rounds`` runs, taken in turn so that a machine that changes its speed changes both.  A time
per case is (the time of all cases - the time of one) / (number of cases - 1): what starting costs is said by itself.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
SAME_PARTIES = ["--parties", "torch>ort.*,tensorflow>ort.*"]


def run(arguments: list[str]) -> tuple[float, float, str]:
    """Run a command; its wall time in seconds, its own (not its children's) peak resident size in MB, its output."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.005)
    output, errors = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}: {errors[-500:]}")
    return seconds, peak / 2**20, output


def plain_cases() -> list[str]:
    """The catalogue's cases that the straightforward script can do: both frameworks, no gradient."""
    from onnx_triangulate.cases import catalogue

    refs = [(ref, catalogue.load(ref)) for ref in catalogue.find()]
    return [ref.name for ref, case in refs if case.gradient is None and {"torch", "tensorflow"} <= set(case.builders)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command (default: %(default)s)")
    rounds = parser.parse_args().rounds
    sys.path.insert(0, str(ROOT))
    cases = plain_cases()
    commands = {
        "triangulate --help": ["-m", "onnx_triangulate", "--help"],
        "triangulate list": ["-m", "onnx_triangulate", "list"],
        "straightforward, all": ["scripts/straightforward.py", *cases],
        "straightforward, one": ["scripts/straightforward.py", cases[0]],
        "same parties, all": ["-m", "onnx_triangulate", "verify", *SAME_PARTIES, *cases],
        "same parties, one": ["-m", "onnx_triangulate", "verify", *SAME_PARTIES, cases[0]],
        "every party, all": ["-m", "onnx_triangulate", "verify", *cases],
        "every party, one": ["-m", "onnx_triangulate", "verify", cases[0]],
        "whole catalogue": ["-m", "onnx_triangulate", "verify"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            took, peak, _output = run(arguments)
            seconds[name].append(took)
            memory[name].append(peak)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{len(cases)} cases without gradients; medians of {rounds}, seconds (least to most), own MB at most")
    for name in commands:
        spread = f"({min(seconds[name]):.2f} to {max(seconds[name]):.2f})"
        print(f"  {name:<22} {middle[name]:7.2f} s  {spread:<18} {max(memory[name]):6.0f} MB")
    each = {
        name: (middle[f"{name}, all"] - middle[f"{name}, one"]) / (len(cases) - 1)
        for name in ("straightforward", "same parties", "every party")
    }
    print("per case")
    for name, value in each.items():
        print(
            f"  {name:<22} {value:7.3f} s  {each['straightforward'] / value:.1f} × the straightforward script's speed"
        )


if __name__ == "__main__":
    main()
