"""An ONNX file as the source: what its graph means, by ONNX's definitions of its operators in float64.

Design note.  A file has no framework that would say what it means; its operators do.  So the "native run" of a file is
its graph evaluated node by node in float64 (``numerics.float64_evaluation``: by each operator's rule, by the reference
evaluator where there is none), rounded to the types that the file declares; nothing is exported, and what every runtime
gives is held against that.  Its bound is derived as that of any model: by moving what the graph is fed and holds, and
what its nodes round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.engines.frameworks._onnx_file import write_arrays
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.faults import SourceValues
from onnx_triangulate.records.runs import Failure, Jitter, Model, Roundings


class OnnxFile:
    name = "onnx"
    distributions = ("onnx",)
    exporters = ("",)
    layouts: Mapping[str, str] = {}

    def warm(self) -> None:
        import onnx.reference  # noqa: F401

    def native(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Mapping[str, Any]:
        return _typed(self._evaluation(case, values).run(), _file(case), double)

    def instance(self, case: Case, values: Mapping[str, Any], *, seed: int) -> _Instance:
        return _Instance(self, case)

    def perturbed(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter]
    ) -> Iterator[Mapping[str, Any]]:
        evaluation = self._evaluation(case, values)
        for jitter in jitters:
            yield _typed(evaluation.run(jitter), _file(case), double)

    def roundings(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Roundings | None:
        """Counted on the longest path of the graph."""
        from onnx_triangulate.ops.roundings import roundings
        from onnx_triangulate.transform.shape_folding import settled_at

        return roundings(settled_at(_file(case), {name: np.shape(values[name]) for name in case.inputs}))

    def export(
        self, case: Case, values: Mapping[str, Any], exporters: Sequence[str], folder: Path, *, seed: int
    ) -> Sequence[Model]:
        """The file itself."""
        names = {name: name for name in case.inputs}
        return [Model(self.name, file=_file(case), inputs=names, outputs={n: n for n in _types(_file(case))})]

    def weights(self, case: Case, values: Mapping[str, Any], folder: Path, *, seed: int) -> Path:
        evaluation = self._evaluation(case, values)
        return write_arrays(list(evaluation.held.values()), folder / "onnx.weights.npz")

    def values(
        self,
        case: Case,
        values: Mapping[str, Any],
        model: Model,
        folder: Path,
        *,
        seed: int,
        doubles: Sequence[bool] = (False, True),
        proto: Any = None,
    ) -> SourceValues:
        return SourceValues(model.graph, error=Failure("refused", "a file has no source but its own nodes"))

    def _evaluation(self, case: Case, values: Mapping[str, Any]) -> Any:
        """The file's graph in float64, taken apart once for the case's values."""
        from onnx_triangulate.numerics.rounding_response import MovedEvaluation

        file = _file(case)
        fed = {name: _wide(values[name]) for name in case.inputs}
        status = file.stat()
        key = (file, status.st_mtime_ns, status.st_size)
        if key not in _opened:
            _opened.clear()
            _opened[key] = _in_float64(file)
        graph, weights = _opened[key]
        return MovedEvaluation(graph, {**weights, **fed}, tuple(_types(file)))


_opened: dict[tuple[Path, int, int], Any] = {}  # the last file: its float64 graph, and the large weights beside it


def _in_float64(file: Path) -> tuple[Any, Mapping[str, Array]]:
    from onnx_triangulate.numerics.float64_evaluation import take_apart
    from onnx_triangulate.onnxgraph.inlining import inlined
    from onnx_triangulate.transform.skeleton import in_float64, skeleton

    slim = skeleton(file)
    double = in_float64(replace(slim, model=inlined(slim.model)))
    return take_apart(double.model, {}), double.weights


class _Instance:
    """A graph has no memory."""

    def __init__(self, engine: OnnxFile, case: Case) -> None:
        self._engine, self._case = engine, case

    def __call__(self, values: Mapping[str, Any], *, seed: int) -> Mapping[str, Any]:
        return self._engine.native(self._case, values, double=False, seed=seed)

    def state(self) -> Mapping[str, str]:
        return {}


def _file(case: Case) -> Path:
    """The file that a case's builder names."""
    import onnx

    return Path(str(case.builders["onnx"](onnx)))


def _types(file: Path) -> dict[str, Any]:
    """By output of the file, numpy's type of what it declares."""
    import onnx

    found = {}
    for value in onnx.load(file, load_external_data=False).graph.output:
        kind = value.type.tensor_type.elem_type
        found[value.name] = onnx.helper.tensor_dtype_to_np_dtype(kind) if kind else np.dtype(np.float32)
    return found


def _wide(value: Array) -> Array:
    return value.astype(np.float64) if value.dtype == np.float32 else value


def _typed(made: Mapping[str, Array], file: Path, double: bool) -> dict[str, Array]:
    """Results in the types that the file declares; in float64 those of float32 stay as they are."""
    found = {}
    for name, kind in _types(file).items():
        due = np.float64 if double and kind == np.float32 else kind
        with np.errstate(all="ignore"):
            found[name] = np.asarray(made[name]).astype(due)
    return found


FRAMEWORK = OnnxFile()
