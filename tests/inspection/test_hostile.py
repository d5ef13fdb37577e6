"""Files that were written to hang, fool or kill who looks: one line and status 2, or an answer; never more than that.

Each is looked into by a command of its own, whose memory a small process in between measures: Linux counts what a
parent has in memory as the peak of the child that it starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onnx_triangulate
from onnx_triangulate.records.errors import UnusableInput
from scripts.inspect_files import HOSTILE, Hostile

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 500
MEASURE = """
import json, resource, subprocess, sys
run = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
unit = 2**20 if sys.platform == "darwin" else 2**10
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
said = {"status": run.returncode, "megabytes": peak, "out": run.stdout.decode(), "err": run.stderr.decode()}
print(json.dumps(said))
"""


def measured(*command: str) -> dict[str, Any]:
    """Status, peak in megabytes, and both outputs of a command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "pipeline"), "NO_COLOR": "1"}
    program = [sys.executable, "-c", MEASURE, sys.executable, *command]
    result = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("hostile", [pytest.param(h, id=h.name) for h in HOSTILE])
def test_the_command(hostile: Hostile, tmp_path: Path) -> None:
    found = measured("-m", "onnx_triangulate", "inspect", str(hostile.write(tmp_path)))
    assert found["status"] == hostile.status, found["err"][-2000:]
    assert found["megabytes"] < MEGABYTES
    if hostile.status:
        assert found["out"] == ""
        assert hostile.says in found["err"]
        assert found["err"].count("\n") == 1
        assert found["err"][:-1].isprintable()
        assert len(found["err"]) < 1200
    else:
        assert found["err"] == ""
        assert found["out"]


@pytest.mark.parametrize("hostile", [pytest.param(h, id=h.name) for h in HOSTILE])
def test_the_inspection(hostile: Hostile, tmp_path: Path) -> None:
    file = hostile.write(tmp_path)
    if hostile.status:
        with pytest.raises(UnusableInput) as raised:
            onnx_triangulate.inspect(file)
        said = str(raised.value)
    else:
        found = onnx_triangulate.inspect(file)
        said = "\n".join([*found.notes, *(r.message for r in found.diagnostics)])
        assert len(said) < 20_000
    assert hostile.says in said


def test_more_memory_than_allowed_is_noticed() -> None:
    assert measured("-c", f"b'x' * {MEGABYTES + 100} * 2**20")["megabytes"] > MEGABYTES
    assert measured("-c", "pass")["megabytes"] < 50
