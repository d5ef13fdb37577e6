"""Files that once ended the tool itself: one line and status 2, or an answer; never a traceback, never status 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

INPUTS = Path(__file__).parent / "inputs" / "hostile"
FILES = sorted(str(file.relative_to(INPUTS)) for file in (*INPUTS.glob("*.onnx"), *INPUTS.glob("*/*.onnx")))


def holds(ran: Any) -> None:
    assert ran.status in (0, 1, 2), ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    if ran.status == 2:
        (line,) = ran.stderr.splitlines()
        assert line.startswith("triangulate: ")


def test_the_files_are_there() -> None:
    assert len(FILES) == 18


@pytest.mark.parametrize("name", FILES)
def test_a_look_into_the_file(triangulate: Callable[..., Any], name: str) -> None:
    holds(triangulate("inspect", INPUTS / name))


@pytest.mark.parametrize("name", FILES)
def test_the_file_against_itself(triangulate: Callable[..., Any], name: str) -> None:
    ran = triangulate("compare", INPUTS / name, INPUTS / name)
    holds(ran)
    assert not ran.stdout.startswith("differs")


def test_a_header_that_asks_for_a_terabyte(triangulate: Callable[..., Any]) -> None:
    ran = triangulate("compare", INPUTS / "in64m.onnx", INPUTS / "in64m.onnx", "--inputs", INPUTS / "hdr.npz")
    assert ran.status == 2
    holds(ran)
