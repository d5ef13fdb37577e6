"""Permutations are read as changes of layout where they are, and only there."""

from __future__ import annotations

import onnx
import pytest

from pipeline.data import Transpose
from pipeline.graph.transposes import transposes

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def dims(count: int) -> str:
    return ",".join(str(d) for d in (2, 3, 5, 7, 8)[:count])


@pytest.mark.parametrize(
    ("perm", "kind"),
    [
        ((0, 3, 1, 2), "NHWC->NCHW"),
        ((0, 2, 3, 1), "NCHW->NHWC"),
        ((0, 4, 1, 2, 3), "NDHWC->NCDHW"),
        ((0, 2, 3, 4, 1), "NCDHW->NDHWC"),
        ((2, 3, 1, 0), "OIHW->HWIO"),
        ((2, 3, 4, 1, 0), "OIDHW->DHWIO"),
        ((3, 2, 0, 1), "other"),
        ((1, 0), "matrix"),
        ((0, 1, 2, 3), "identity"),
        ((0, 2, 1), "batch of matrices"),
        ((0, 2, 1, 3), "other"),
        ((0, 3, 2, 1), "other"),
        ((0, 0, 1, 2), "invalid"),
        ((0, 1, 3), "invalid"),
    ],
)
def test_kinds(perm: tuple[int, ...], kind: str) -> None:
    text = f"g (float[{dims(len(perm))}] x) => (float[A] y) {{ [t] y = Transpose <perm = {list(perm)}> (x) }}"
    assert transposes(parse(text)) == (Transpose("t", perm, kind),)


@pytest.mark.parametrize(
    ("op", "perm", "kind"),
    [
        ("Conv", (3, 2, 0, 1), "HWIO->OIHW"),
        ("ConvTranspose", (3, 2, 0, 1), "HWOI->IOHW"),
        ("Conv", (2, 1, 0), "WIO->OIW"),
        ("Conv", (4, 3, 0, 1, 2), "DHWIO->OIDHW"),
    ],
)
def test_weights(op: str, perm: tuple[int, ...], kind: str) -> None:
    text = (
        f"g (float[{dims(len(perm))}] x, float[{dims(len(perm))}] w) => (float[A] y) "
        f"{{ t = Transpose <perm = {list(perm)}> (w) y = {op} (x, t) }}"
    )
    assert transposes(parse(text)) == (Transpose("Transpose_0", perm, kind),)


def test_a_weight_permutation_on_the_data_of_a_convolution_is_no_weight() -> None:
    text = """g (float[2,3,5,7] x, float[2,5,3,3] w) => (float[A] y) {
        t = Transpose <perm = [3, 2, 0, 1]> (x)
        y = Conv (t, w)
    }"""
    assert transposes(parse(text))[0].kind == "other"


def test_three_axes_are_told_by_the_convolution_they_lead_to_or_come_from() -> None:
    text = """g (float[2,7,3] x, float[3,3,3] w) => (float[A] y) {
        [into] t = Transpose <perm = [0, 2, 1]> (x)
        r = Relu (t)
        c = Conv (r, w)
        s = Sigmoid (c)
        [back] y = Transpose <perm = [0, 2, 1]> (s)
    }"""
    assert [(t.node, t.kind) for t in transposes(parse(text))] == [("into", "NWC->NCW"), ("back", "NCW->NWC")]


def test_perm_left_out_reverses_the_axes() -> None:
    assert transposes(parse("g (float[2,3] x) => (float[3,2] y) { y = Transpose (x) }"))[0] == Transpose(
        "Transpose_0", (1, 0), "matrix"
    )
    inferred = "g (float[2,3,5] x) => (float[A] y) <int64[4] s = {2,3,5,1}> { r = Reshape (x, s) y = Transpose (r) }"
    assert transposes(parse(inferred))[0].perm == (3, 2, 1, 0)


def test_perm_left_out_and_no_rank_is_unknown() -> None:
    text = "g (float[2,3,5] x) => (float[A] y) { r = Nonsense (x) [t] y = Transpose (r) }"
    assert transposes(parse(text)) == (Transpose("t", (), "unknown"),)
