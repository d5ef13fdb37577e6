"""What is worth a remark in a graph: one rule, one file.

Design note.  A rule is a module of this package with a ``RULE``; there is no list to edit.  It carries graphs on which
it fires and graphs on which it stays quiet; tests and the documentation are made of them.  Codes are chosen as a
linter's are: a family of three letters (``PAD``, ``LAY``, ``TYP``, ``NUM``, ``STR``, ``EXP``) and a number, so that
``--select PAD`` takes a family and ``--ignore PAD002`` leaves out one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from onnx_triangulate.inspection.rules._registry import Occurrence, Rule
from onnx_triangulate.records import plugins
from onnx_triangulate.records.errors import UnusableInput

__all__ = ["Occurrence", "Rule", "chosen", "collect", "rules"]

_CODE = re.compile(r"[A-Z]{3}\d{3}")


def collect(modules: Iterable[Any]) -> dict[str, Rule]:
    """The rules of these modules by code.

    Raises ``BrokenPlugin`` for two of one code or name, a code that is none, missing proofs, or no rule at all.
    """
    found = plugins.collect("rules", modules, "RULE", Rule, lambda rule: rule.code)
    names = Counter(rule.name for rule in found.values())
    for rule in found.values():
        if not _CODE.fullmatch(rule.code):
            raise plugins.BrokenPlugin(f"{rule.code}: a code is three capital letters and three digits")
        if not rule.fires or not rule.quiet:
            raise plugins.BrokenPlugin(f"{rule.code}: a rule shows where it fires and where it stays quiet")
        if names[rule.name] > 1:
            raise plugins.BrokenPlugin(f"{rule.code} {rule.name}: there is another rule of that name")
    return dict(sorted(found.items()))


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule, of this package and of users' packages, by code."""
    return collect(plugins.modules("rules", __name__))


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The rules that a user asks for by codes, the beginnings of codes, or names; ``ignore`` takes away afterwards.

    Raises ``UnusableInput`` for a word that is none of a rule.
    """

    def meant(word: str) -> set[str]:
        codes = {code for code, rule in rules().items() if code.startswith(word.upper()) or rule.name == word}
        if not word or not codes:
            raise UnusableInput(
                f"{word!r}: no rule of that code, beginning of a code or name; 'triangulate rule' lists them"
            )
        return codes

    kept = set().union(*(meant(word) for word in select)) if select else set(rules())
    kept -= set().union(*(meant(word) for word in ignore))
    return tuple(rule for code, rule in rules().items() if code in kept)
