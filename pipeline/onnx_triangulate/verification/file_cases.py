"""An ONNX file as a case: the target ``MODEL.onnx`` of ``verify``, and ``file_case`` for those who keep case files.

Design note.  A case lives in a case file, which every worker loads for itself.  So a target that is an ONNX file
becomes a case file of two lines beside the run's artefacts: the rest of the run knows no other kind of case.  Its
inputs are drawn as those of ``compare`` are (``locate.feeds``), or taken from an ``.npz`` of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import FILE

SUFFIX = ".onnx"
_TEXT = """from onnx_triangulate.verification.file_cases import file_case

CASES = (file_case({file!r}),)
"""


def with_case_files(targets: Iterable[str], folder: Path) -> tuple[str, ...]:
    """The targets, with a case file, written to ``folder``, in place of each ONNX file.

    Raises :class:`UnusableInput` where two files have one name.
    """
    found: dict[str, str] = {}
    return tuple(
        _case_file(Path(target), folder, found) if target.endswith(SUFFIX) and Path(target).is_file() else target
        for target in targets
    )


def _case_file(file: Path, folder: Path, found: dict[str, str]) -> str:
    place = folder / f"{file.stem}.py"
    other = found.setdefault(place.name, str(file.resolve()))
    if other != str(file.resolve()):
        raise UnusableInput(f"{file}: another target has this name, {other}; judge them in two runs")
    folder.mkdir(parents=True, exist_ok=True)
    place.write_text(_TEXT.format(file=str(file.resolve())))
    return str(place)


def file_case(file: str | Path, sizes: Mapping[str, int] | None = None, name: str = "model") -> Case:
    """The case of an ONNX file, fed with drawn numbers; ``sizes`` are those of open axes, by name.

    Raises :class:`UnusableInput` where the file cannot be used, or what it takes cannot be drawn.
    """
    from onnx_triangulate.locate.model_interface import read_interface

    file = Path(file)
    interface = read_interface(file)
    beside = file.with_suffix(".npz")
    given = np.load(beside, allow_pickle=False) if beside.is_file() else None
    if given is not None and {port.name for port in interface.inputs} <= set(given.files):
        fed: Mapping[str, Array] = {port.name: given[port.name] for port in interface.inputs}
    else:
        fed = _drawn(file, sizes or {})
    inputs = {n: Tensor(" ".join(f"a{i}" for i in range(v.ndim)), dtype=v.dtype.name, values=v) for n, v in fed.items()}

    def build(onnx: Any) -> Any:
        return file

    return Case(name, inputs, {FILE: build})


def _drawn(file: Path, sizes: Mapping[str, int]) -> Mapping[str, Array]:
    from onnx_triangulate.locate.axis_sizes import guesses, open_axes, shapes_at
    from onnx_triangulate.locate.feeds import Feed, draw
    from onnx_triangulate.locate.model_interface import read_interface

    interface = read_interface(file)
    ports = interface.inputs
    chosen = next(guesses(ports, sizes)) if set(open_axes(ports)) - set(sizes) else sizes
    return draw(Feed("random", shapes_at(ports, chosen)), ports, interface.landmarks, 0)
