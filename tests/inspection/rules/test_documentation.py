"""The page on the rules is what the rules say."""

from __future__ import annotations

from onnx_triangulate.inspection.rules import rules
from scripts.document_rules import FAMILIES, FILE, documentation


def test_the_page_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == documentation(), "run scripts/document_rules.py"


def test_every_rule_stands_in_it_with_an_example() -> None:
    page = documentation()
    for rule in rules().values():
        assert f"### {rule.code} {rule.name}\n" in page
        assert rule.about in page
        assert rule.fires[0].split("{")[0].split(">")[0] in page
    assert {code[:3] for code in rules()} <= set(FAMILIES)
