"""Every rule fires on its own examples and stays quiet on the others: the tests are made of the rules."""

from __future__ import annotations

import re
from types import SimpleNamespace

import onnx.parser
import pytest

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.inspection.rules import Rule, chosen, collect, rules
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.plugins import BrokenPlugin

EVERY = list(rules().values())


@pytest.mark.parametrize(
    ("rule", "text"), [pytest.param(r, t, id=f"{r.code}-{i}") for r in EVERY for i, t in enumerate(r.fires)]
)
def test_fires(rule: Rule, text: str) -> None:
    remarks = rule.diagnose(ModelView(onnx.parser.parse_model(text)))
    assert remarks
    for remark in remarks:
        assert remark.code == rule.code
        assert remark.nodes or remark.message
        assert remark.message
        assert remark.severity in ("info", "warning", "error")
        assert not re.search(r"\b1 (\w+s|\w+ (stand|lead|wait|are|have|read|do|share)) ", remark.message), (
            remark.message
        )


@pytest.mark.parametrize(
    ("rule", "text"), [pytest.param(r, t, id=f"{r.code}-{i}") for r in EVERY for i, t in enumerate(r.quiet)]
)
def test_stays_quiet(rule: Rule, text: str) -> None:
    assert rule.diagnose(ModelView(onnx.parser.parse_model(text))) == ()


def test_a_second_rule_of_one_code_is_refused() -> None:
    module = SimpleNamespace(__name__="m", RULE=EVERY[0])
    with pytest.raises(BrokenPlugin, match="a second"):
        collect([module, module])  # type: ignore[list-item]


def test_no_rules_at_all_is_an_error() -> None:
    with pytest.raises(BrokenPlugin, match="no rules"):
        collect([])


def test_rules_are_chosen_by_code_beginning_and_name() -> None:
    first = EVERY[0]
    assert chosen([first.code]) == (first,)
    assert chosen([first.name]) == (first,)
    assert first in chosen([first.code[:3]])
    assert first not in chosen((), [first.code])
    with pytest.raises(UnusableInput, match="XYZ"):
        chosen(["XYZ"])
