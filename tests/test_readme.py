"""What the README shows is what the tool says: its blocks of output are compared with a real run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran

pytestmark = pytest.mark.slow  # the engines run

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
    groups = {case["case"].partition("/")[0] for case in catalogue.report["cases"]}
    assert {line.split(" ")[0] for line in table} == groups
    assert not strangers(table, catalogue.stdout.splitlines())


def test_the_even_convolution_is_todays(triangulate: Callable[..., Ran]) -> None:
    shown = block("verify conv2d/even_input")
    printed = triangulate("verify", "conv2d/even_input").stdout.splitlines()
    assert not strangers(shown, printed)
    planted = "  pads        tensorflow, tensorflow:nchw     Conv  before 1 1  after 1 1  symmetric"
    assert strangers([*shown, planted], printed) == [planted]


def test_a_verdict_that_changed_is_seen(catalogue: Ran) -> None:
    printed = catalogue.stdout.replace("15 agree", "14 agree")
    assert strangers(block("verify"), printed.splitlines())


def written(folder: Path) -> list[str]:
    """The README's own case files, in a folder beside a stand-in for torchvision; their names."""
    files = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL)
    for name, text in files:
        (folder / name).write_text(text)
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text("")
    (folder / "torchvision" / "models.py").write_text(RESIDUAL)
    return [name for name, _ in files]


RESIDUAL = """
def resnet18(weights):
    import torch
    nn = torch.nn
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)) + x)
    stem = [nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, Block(8), Block(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""


def test_the_case_files_are_ones_and_say_what_is_shown(tmp_path: Path, triangulate: Callable[..., Ran]) -> None:
    assert written(tmp_path) == ["net.py", "image.py", "reader.py"]
    ran = triangulate("verify", *(tmp_path / f"{name}.py" for name in ("net", "image", "reader")), out=tmp_path / "out")
    assert ran.case("net/net")["status"] == "expected"
    assert ran.case("image/resnet18")["blame"] == ["agree"]
    assert list(ran.case("image/resnet18")["sizes"]) == ["n=1", "n=5"]
    assert {b["party"] for b in ran.case("reader/reader")["blames"]} == {"torch:script"}
    shown = block("verify reader.py")
    assert not strangers(shown, ran.stdout.splitlines()), ran.stdout
    assert strangers([*shown, "  sizes       none"], ran.stdout.splitlines())
