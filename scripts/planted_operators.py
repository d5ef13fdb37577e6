"""Whether a wrong operator is ever passed over: in cases of the catalogue, one engine's operator is made wrong.

    .venv/bin/python scripts/planted_operators.py --count 30

Each case is run as it is first, which has to be as expected and gives its graphs.  Then the operator that makes the
first output is made wrong in one engine (a float is 1/128 of itself and 1/128 off, a whole number one, a boolean the
other) and the case is run again: it has to be unexpected, and the engine blamed.  What is planted where takes turns:

``native:FRAMEWORK``  what the builder returns: the framework is wrong, and its exports say the same;
``export:GRAPH``      the exported file;
``kernel``            ONNX Runtime, with its optimizations and without;
``optimizer``         ONNX Runtime with its optimizations only;
``reference``         ONNX's reference evaluator.

A case that declares a divergence is planted in where the declaration is about somebody else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate import Builder, Case
from onnx_triangulate.cases import catalogue
from onnx_triangulate.onnxgraph.inference import infer

OFF = 2.0**-7
KINDS = (
    "native:torch",
    "native:tensorflow",
    "export:torch",
    "export:torch:script",
    "export:tensorflow",
    "kernel",
    "optimizer",
    "reference",
)
_RESULTS: dict[str, int] = {}  # the type of an operator's results, as it was seen in a whole graph
RUNTIMES = ("reference", "ort.off", "ort.all")
_HANDED_ON = ("Identity", "Transpose", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


# --- what is planted, in the processes of a run


def planted(case: str, kind: str, op: str) -> tuple[Case, ...]:
    """A case of the catalogue with one engine broken: what a case file of this benchmark holds.

    Loading it breaks the engine in the process that loads it, so a process must load one such file only.
    """
    (ref,) = catalogue.find([case])
    own = dataclasses.replace(catalogue.declared(ref), name=case.replace("/", "__"))
    what, _, whom = kind.partition(":")
    if what == "native":
        return (dataclasses.replace(own, builders={**own.builders, whom: _wrong_model(own.builders[whom])}),)
    if what == "export":
        _break_exporter(whom, op)
    elif what == "reference":
        _break_reference(op)
    else:
        _break_onnxruntime(op, ("ort.all",) if what == "optimizer" else ("ort.all", "ort.off"))
    return (own,)


def _wrong_model(builder: Builder) -> Builder:
    def build(module: Any, **parameters: Any) -> Callable[..., Any]:
        model = builder(module, **parameters)
        return lambda *inputs: _map(lambda value: _wrong(module, value), model(*inputs))

    return build


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _map(function, each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_map(function, each) for each in value)
    return function(value)


def _wrong(module: Any, value: Any) -> Any:
    name = str(value.dtype)
    if "bool" in name:
        return module.logical_not(value) if hasattr(module, "logical_not") else module.math.logical_not(value)
    return value * (1 + OFF) + OFF if "float" in name else value + 1


def broken(model: onnx.ModelProto, op: str) -> onnx.ModelProto | None:
    """The model with every node of an operator wrong; None where it has none whose result can be made so."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    types = {value.name: value.type.tensor_type.elem_type for value in infer(model).graph.value_info}
    types |= {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    nodes, done = [], False
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != op or not node.output:
            continue
        kind = types.get(node.output[0]) or _RESULTS.get(op, 0)  # of a part without its weights nothing is inferred
        if more := _after(node.output[0], kind):
            _RESULTS[op] = kind
            nodes[-1] = onnx.NodeProto()
            nodes[-1].CopyFrom(node)
            nodes[-1].output[0] = f"{node.output[0]}__right"
            nodes += more
            done = True
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made if done else None


def _after(name: str, kind: int) -> list[onnx.NodeProto]:
    """Nodes that make ``name`` wrong of what is right of it."""
    if not kind or kind == onnx.TensorProto.STRING:
        return []
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    right = f"{name}__right"
    if dtype == np.bool_:
        return [onnx.helper.make_node("Not", [right], [name])]

    def constant(value: float, output: str) -> onnx.NodeProto:
        tensor = onnx.numpy_helper.from_array(np.asarray(value, dtype))
        return onnx.helper.make_node("Constant", [], [output], value=tensor)

    if dtype.kind in "iu":
        return [constant(1, f"{name}__one"), onnx.helper.make_node("Add", [right, f"{name}__one"], [name])]
    return [
        constant(1 + OFF, f"{name}__factor"),
        constant(OFF, f"{name}__more"),
        onnx.helper.make_node("Mul", [right, f"{name}__factor"], [f"{name}__scaled"]),
        onnx.helper.make_node("Add", [f"{name}__scaled", f"{name}__more"], [name]),
    ]


def _break_exporter(graph: str, op: str) -> None:
    from onnx_triangulate.engines.frameworks import adapter

    kind: Any = type(adapter(graph.partition(":")[0]))
    export = kind.export

    def exported(*given: Any, **more: Any) -> Any:
        models = export(*given, **more)
        for model in models:
            if model.graph == graph and model.file is not None and (wrong := broken(onnx.load(model.file), op)):
                onnx.save(wrong, model.file)
        return models

    kind.export = exported


def _break_onnxruntime(op: str, names: Sequence[str]) -> None:
    from onnx_triangulate.engines.runtimes import onnxruntime as module

    kind: Any = module.OnnxRuntime
    opened = module._opened
    whole, part = kind.open_without, kind.part
    asked: list[str] = []

    def wrong(model: Any, *given: Any, **more: Any) -> Any:
        if asked[-1] in names:
            proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
            if (edited := broken(proto, op)) is not None:
                model = edited.SerializeToString()
        return opened(model, *given, **more)

    def named(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *given: Any, **more: Any) -> Any:
            asked.append(self.name)
            try:
                return function(self, *given, **more)
            finally:
                asked.pop()

        return call

    module._opened = wrong
    kind.open_without, kind.part = named(whole), named(part)


def _break_reference(op: str) -> None:
    from onnx_triangulate.engines.runtimes.reference import Reference

    kind: Any = Reference
    opened = kind._opened

    def wrong(self: Any, model: Any, file: Path, operators: Sequence[Any]) -> Any:
        if not operators:  # as it is shipped, in the graph's own precision
            proto = onnx.load(model) if isinstance(model, str) else model
            model = broken(proto, op) or proto
        return opened(self, model, file, operators)

    kind._opened = wrong


# --- the runs, and what they have to say


def maker(file: Path) -> str | None:
    """The operator that makes a graph's first output, behind what only hands it on."""
    graph = onnx.load(file, load_external_data=False).graph
    makers = {output: node for node in graph.node for output in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _HANDED_ON and node.input[0] in makers:
        node = makers[node.input[0]]
    return None if node is None else node.op_type


def run(targets: Sequence[str], folder: Path) -> dict[str, Any]:
    """The cases of a run of the command, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.json"
    words = [sys.executable, "-m", "onnx_triangulate", "verify", *targets]
    ran = subprocess.run(
        [*words, "--out", str(folder), "--json", str(file)], capture_output=True, text=True, check=False
    )
    if not file.is_file():
        raise SystemExit(f"no report of {', '.join(targets)}: {ran.stderr}")
    return {case["case"]: case for case in json.loads(file.read_text())["cases"]}


def can_plant(case: Mapping[str, Any], kind: str, folder: Path) -> str | None:
    """The operator to be made wrong; None where this kind cannot be planted in a case, or would not be news."""
    what, _, whom = kind.partition(":")
    graph = whom or next((g for g in ("torch", "tensorflow") if g in case["exports"].get("faithful", ())), "")
    framework = graph.partition(":")[0]
    if what == "native":
        fine = whom in case["parties"] and not any(whom in b["party"] for b in case["blames"])
        return "its result" if fine else None
    if graph not in case["exports"].get("faithful", ()) or framework not in case["parties"]:
        return None
    file = case["graphs"].get(graph, {}).get("file")
    parties = [case["parties"].get(f"{graph}>{name}", {"error": "absent"}) for name in RUNTIMES]
    blamed = [blame["party"] for blame in case["blames"]]
    if file is None or any(p["error"] for p in parties) or any(fnmatchcase(p, f"{graph}>*") for p in blamed):
        return None
    file = folder / file
    op = maker(file)
    return op if op is not None and op not in _HANDED_ON and broken(onnx.load(file), op) is not None else None


def is_right(case: Mapping[str, Any], kind: str) -> bool:
    """Whether a planted case is unexpected, and the engine that was broken is blamed of what it does."""
    what, _, whom = kind.partition(":")
    named = [b for b in case["unexpected"] if b["blame"] == what]
    named = [b for b in named if not whom or b["party"].removesuffix("@64") == whom]
    return case["status"] == "unexpected" and bool(named)


def plant(case: str, kind: str, op: str, folder: Path) -> dict[str, Any]:
    """A planted case, run."""
    file = folder / "planted.py"
    folder.mkdir(parents=True)
    file.write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
        f"from planted_operators import planted\nCASES = planted({case!r}, {kind!r}, {op!r})\n"
    )
    (found,) = run([str(file)], folder).values()
    return dict(found)


def main(arguments: Sequence[str]) -> int:
    """Plant, and print a line for each."""
    parser = argparse.ArgumentParser(description="Plants wrong operators in cases of the catalogue.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="groups or cases; without, of all a sample")
    parser.add_argument("--count", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample")
    given = parser.parse_args(arguments)
    names = [ref.name for ref in catalogue.find(given.targets)]
    order = [names[i] for i in np.random.default_rng(given.seed).permutation(len(names))]
    done = right = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        healthy = run(order[: 3 * given.count], folder / "healthy")
        for name, case in healthy.items():
            if done == given.count:
                break
            turned = [KINDS[(done + i) % len(KINDS)] for i in range(len(KINDS))]
            possible = ((kind, op) for kind in turned if (op := can_plant(case, kind, folder / "healthy")))
            kind, op = next(possible, ("", ""))
            if case["status"] != "expected" or not kind:
                continue
            found = plant(name, kind, op, folder / str(done))
            fine = is_right(found, kind)
            done, right = done + 1, right + fine
            said = "; ".join(f"{b['blame']} {b['party']} {b['op'] or ''}".strip() for b in found["blames"])
            print(f"{'right' if fine else 'WRONG'}  {name}  {kind}  {op}  ->  {found['status']}: {said}", flush=True)
    print(f"{right} of {done} planted faults are unexpected with the right blame")
    return 0 if right == done and done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
