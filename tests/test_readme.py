"""What the README shows is what the tool says: its blocks of output are compared with a real run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Ran

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def block(name: str) -> list[str]:
    """The lines of the README's block of output ``name``, without the command."""
    found = re.search(rf"<!-- output: {re.escape(name)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {name!r}"
    return [line for line in found[1].splitlines() if not line.startswith("$")]


def strangers(shown: list[str], printed: list[str]) -> list[str]:
    """The lines shown that were not printed, in order; ``…`` stands for anything left out."""
    left = iter(printed)
    return [line for line in shown if line.strip() != "…" and line.rstrip() not in left]


def test_the_table_of_verdicts_is_todays(catalogue: Ran) -> None:
    table = block("verify")
    assert len([line for line in table if "/" in line.split(" ")[0]]) == len(catalogue.report["cases"])
    assert not strangers(table, catalogue.stdout.splitlines())


def test_the_even_convolution_is_todays(triangulate: Callable[..., Ran]) -> None:
    shown = block("verify conv2d/even_input")
    printed = triangulate("verify", "conv2d/even_input").stdout.splitlines()
    assert not strangers(shown, printed)
    planted = "  pads        tensorflow, tensorflow:nchw     Conv  before 1 1  after 1 1  symmetric"
    assert strangers([*shown, planted], printed) == [planted]


def test_a_verdict_that_changed_is_seen(catalogue: Ran) -> None:
    printed = catalogue.stdout.replace("autodiff/chain  ", "autodiff/moved  ")
    assert strangers(block("verify"), printed.splitlines())
