"""The cases of the catalogue or of a target as rows: ``triangulate list`` before it is printed.

Design note.  A case has the tags that it says, and those that follow from its record: ``gradient``, ``dynamic``,
``training``, its number types, and the blames that it declares.  Its status here is what it declares, for nothing is
run: that all agree, or that somebody diverges."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_triangulate.cases import catalogue
from onnx_triangulate.records.case import Case, Expected, Tensor
from onnx_triangulate.records.errors import UnusableInput

STATUSES = ("agree", "diverges")


def rows(targets: Sequence[str] = (), tags: Sequence[str] = (), status: str | None = None) -> list[Mapping[str, Any]]:
    """By case its ``name``, ``frameworks``, ``note``, ``tags`` and ``status``; only cases that have every one of
    ``tags`` and the ``status``, where these are given.  Runs the case files in this very process.

    Raises :class:`UnusableInput` for a target that names nothing, a file that declares no cases, or a tag of none.
    """
    refs = catalogue.find(targets)
    cases = {ref.name: catalogue.declared(ref) for ref in refs}
    known = {name: tags_of(case) for name, case in cases.items()}
    every = {tag for own in known.values() for tag in own}
    for tag in tags:
        if tag not in every:
            raise UnusableInput(f"--tag {tag}: no case has it; there are {', '.join(sorted(every))}")
    return [
        {
            "name": name,
            "frameworks": tuple(sorted(case.builders)),
            "note": case.note,
            "tags": known[name],
            "status": status_of(case),
        }
        for name, case in cases.items()
        if set(tags) <= set(known[name]) and status in (None, status_of(case))
    ]


def groups(targets: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """By group its ``name``, how many ``cases`` it has, how many of them ``diverge``, and the ``title`` of its file,
    which is what it says of itself first."""
    files: dict[str, Path] = {ref.group: ref.file for ref in catalogue.find(targets)}
    by_group: dict[str, list[Mapping[str, Any]]] = {group: [] for group in files}
    for row in rows(targets):
        by_group[row["name"].partition("/")[0]].append(row)
    return [
        {
            "name": group,
            "cases": len(held),
            "diverge": sum(row["status"] == "diverges" for row in held),
            "title": _title(files[group]),
        }
        for group, held in by_group.items()
    ]


def tags_of(case: Case) -> tuple[str, ...]:
    """The tags of a case, in alphabetical order."""
    found = set(case.tags) | {tensor.dtype for tensor in case.inputs.values()}
    found |= {expected.blame for expected in expected_of(case)}
    found |= {"gradient"} if case.gradient else set()
    found |= {"dynamic"} if case.dynamic else set()
    found |= {"training"} if case.training else set()
    found |= {tensor.dtype for tensor in case.outputs.values() if isinstance(tensor, Tensor)}
    return tuple(sorted(found))


def status_of(case: Case) -> str:
    """What a case declares: that everybody agrees, or that somebody diverges."""
    return "diverges" if expected_of(case) else "agree"


def expected_of(case: Case) -> tuple[Expected, ...]:
    """The divergences that a case declares."""
    return tuple(one for each in case.expect.values() for one in (each if isinstance(each, tuple) else (each,)))


def _title(file: Path) -> str:
    said = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    return " ".join(said.partition("\n\n")[0].split())
