"""An ONNX file as a case: the target ``MODEL.onnx`` of ``verify``, and ``file_case`` for those who keep case files.

Design note.  A case lives in a case file, which every worker loads for itself.  So a target that is an ONNX file
becomes a case file of two lines beside the run's artefacts: the rest of the run knows no other kind of case.  Its
inputs are drawn as those of ``compare`` are (``locate.feeds``), or taken from an ``.npz`` of the same name beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from onnx_triangulate.cases.inputs import MOST
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.records.errors import UnusableInput, one_line
from onnx_triangulate.records.party import FILE
from onnx_triangulate.records.text import safe

SUFFIX = ".onnx"
_TEXT = """from onnx_triangulate.verification.file_cases import file_case

CASES = (file_case({file!r}, {sizes!r}, {seed}, noted={noted}),)
"""


def with_case_files(
    targets: Iterable[str], folder: Path, sizes: Mapping[str, int], seed: int = 0, noted: bool = True
) -> tuple[str, ...]:
    """The targets, with a case file, written to ``folder``, in place of each ONNX file, also of those of a folder that
    holds no Python file.

    Raises :class:`UnusableInput` where a file cannot be used, two have one name, or none has an axis of ``sizes``.
    """
    targets = tuple(each for target in targets for each in _files_of(target))
    files = [Path(t) for t in targets if t.endswith(SUFFIX) and Path(t).is_file()]
    places: dict[str, Path] = {}
    axes: set[str] = set()
    for file in dict.fromkeys(file.resolve() for file in files):
        if file.stem in places:
            raise UnusableInput(f"{file}: another target has this name, {places[file.stem]}; judge them in two runs")
        places[file.stem] = file
        axes |= set(_open_axes(file))
    for name in sizes.keys() - axes:
        known = f"open are {', '.join(sorted(axes))}" if axes else "no target MODEL.onnx has an open axis"
        raise UnusableInput(f"--dim {name}={sizes[name]}: no axis is named so; {known}")
    for stem, file in places.items():
        file_case(file, sizes, seed)  # what is wrong with it is said of the file
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.py").write_text(_TEXT.format(file=str(file), sizes=dict(sizes), seed=seed, noted=noted))
    return tuple(str(folder / f"{Path(t).stem}.py") if Path(t) in files else t for t in targets)


def _files_of(target: str) -> list[str]:
    """The ONNX files of a folder that holds no Python file; else the target itself."""
    place = Path(target)
    if not target.strip() or not place.is_dir() or any(place.glob("*.py")):
        return [target]
    return [str(file) for file in sorted(place.glob(f"*{SUFFIX}"))] or [target]


def file_case(
    file: str | Path, sizes: Mapping[str, int] | None = None, seed: int = 0, *, name: str = "model", noted: bool = True
) -> Case:
    """The case of an ONNX file, fed with numbers drawn from ``seed``; ``sizes`` are those of open axes, by name, and
    ``noted`` says that its note is to tell what nobody gave.

    Raises :class:`UnusableInput` where the file cannot be used, or what it takes cannot be drawn.
    """
    file = Path(file)
    given, note = _fed_from_beside(file), f"fed from {file.stem}.npz, which lies beside the file"
    fed = given
    if fed is None:
        fed, note = _drawn(file, sizes or {}, seed)
    inputs = {input_name: _input(values, fixed=given is not None) for input_name, values in fed.items()}

    def build(onnx: Any) -> Any:
        return file

    return Case(name, inputs, {FILE: build}, note=note if noted else "")


def _input(values: Array, *, fixed: bool) -> Tensor:
    """An input with these numbers or, of floats that nobody gave, with a range: a case is judged in its halves too."""
    axes, dtype = " ".join(f"a{axis}" for axis in range(values.ndim)), values.dtype.name
    if fixed or dtype not in ("float16", "float32", "float64"):
        return Tensor(axes, values.shape, dtype, values=values)
    return Tensor(axes, values.shape, dtype, low=-2, high=2, integers=False)


def _fed_from_beside(file: Path) -> dict[str, Array] | None:
    """The arrays of an ``.npz`` of the same name beside a file, where it holds all of its inputs."""
    beside = file.with_suffix(".npz")
    if not beside.is_file():
        return None
    arrays = npz.load(beside, f"{beside}", memory=MOST)
    names = [port.name for port in _interface(file).inputs]
    return {name: arrays[name] for name in names} if set(names) <= set(arrays) else None


def _drawn(file: Path, sizes: Mapping[str, int], seed: int) -> tuple[dict[str, Array], str]:
    """Numbers for each input, and a note about sizes that nobody gave."""
    from onnx_triangulate.locate.axis_sizes import guesses, open_axes, shapes_at
    from onnx_triangulate.locate.feeds import Feed, draw

    interface = _interface(file)
    ports = interface.inputs
    lacking = [axis for axis in open_axes(ports) if axis not in sizes]
    chosen = next(guesses(ports, sizes)) if lacking else sizes
    guessed = ", ".join(f"{safe(axis)}={chosen[axis]}" for axis in lacking)
    try:
        fed = draw(Feed("random", shapes_at(ports, chosen)), ports, interface.landmarks, seed)
    except (ValueError, MemoryError) as error:  # sizes below 0, or beyond what there is
        raise UnusableInput(f"{file}: its inputs cannot be drawn: {one_line(error)}") from error
    return fed, f"sizes that nobody gave: {guessed} (--dim NAME=N)" if guessed else ""


def _open_axes(file: Path) -> list[str]:
    from onnx_triangulate.locate.axis_sizes import open_axes

    return open_axes(_interface(file).inputs)


def _interface(file: Path) -> Any:
    from onnx_triangulate.locate.model_interface import read_interface

    return read_interface(file)
