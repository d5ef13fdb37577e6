"""An ONNX file, which is its own source, on answers made up for the purpose: whose step parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.records.runs import Failure, Model
from tests.verification.test_triangulate import RIGHT, A, B, make


def answers(**given: Any) -> Mapping[str, Any]:
    parties = ("truth@onnx", "onnx", "onnx@64", "onnx>reference", "onnx>ort.off", "onnx>ort.all")
    usual: dict[str, Any] = dict.fromkeys(parties, RIGHT)
    return usual | {f"onnx>{name.replace('_', '.')}": values for name, values in given.items()}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, set()),
        ({"reference": A}, {("reference", "onnx>reference")}),
        ({"ort_off": A, "ort_all": A}, {("kernel", "onnx>ort.off")}),
        ({"ort_all": A}, {("optimizer", "onnx>ort.all")}),
        # All wrong, each in its own way: nobody has exported it.
        ({"reference": A, "ort_off": B, "ort_all": B}, {("reference", "onnx>reference"), ("kernel", "onnx>ort.off")}),
    ],
)
def test_whose_step_parts_in_a_file(given: Any, named: Any) -> None:
    seen = make(answers(**given), derived="onnx")
    assert seen.named == named
    assert seen["onnx", "onnx>reference"].isolates == "reference"
    assert seen["onnx", "onnx>ort.off"].isolates == "reference+kernel"


def test_a_definition_that_stands_alone_blames_nobody_and_agrees_with_nobody() -> None:
    seen = make(answers(reference=A, ort_off=A, ort_all=A), derived="onnx")
    assert seen.named == set()
    assert seen.status == "undecided"


def test_one_runtime_at_two_settings_is_no_second_witness() -> None:
    lacking = Failure("unsupported", "no")
    seen = make(answers(reference=lacking, ort_off=A, ort_all=A), derived="onnx")
    assert ("kernel", "onnx>ort.off") in seen.named


def test_a_file_that_nobody_accepts_is_invalid() -> None:
    refused, lacking = Failure("invalid", "no model"), Failure("unsupported", "no")
    models = {"onnx": Model("onnx", Path("onnx.onnx"))}
    seen = make(answers(), derived="onnx", checks={"onnx": refused}, models=models)
    assert seen.named == {("invalid", "onnx")}
    unevaluated = make(
        answers() | {"onnx": lacking, "onnx@64": lacking}, derived="onnx", checks={"onnx": refused}, models=models
    )
    assert unevaluated.named == {("invalid", "onnx")}


def test_a_file_that_amplifies_rounding_is_seen_in_what_runtimes_make_of_it() -> None:
    """Its definition, rounded once, has all its digits."""
    off = tuple(value + 0.5 for value in RIGHT)
    seen = make(answers(ort_off=off, ort_all=off), derived="onnx", scale=2.0**22)
    assert ("conditioning", "onnx") in seen.named
    assert make(answers(ort_off=off, ort_all=off), derived="onnx", scale=1.0).named == {("kernel", "onnx>ort.off")}
