"""Every intermediate value of the program that ``torch.onnx.export`` exported, in one pass.

``torch.fx.Interpreter`` runs the exporter's own ExportedProgram, the one after its decompositions, so that a value of
the graph is a node of that program: by name, or, for the graph's outputs, by position.  Each is handed over as it comes
and let go after its last use.  In float64 the same program is run on widened parameters and inputs, and where it names
float32 as a type it is read as float64.  Module path and line
come from what the exporter wrote into the file beside each node.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Origin

_SITE = re.compile(r'File "([^"]+)", line (\d+)')
_PREFIX = "pkg.torch.onnx."


def intermediates(
    program: Any, arguments: Sequence[Any], take: Callable[[str, Any], None], *, double: bool
) -> list[Any]:
    """Run the program and hand over the tensors of every node by name as they come; what it returns, in order.

    What a node made is let go when the last node that reads it has run.  In float64 a weight is wide only while a node
    reads it.
    """
    import torch

    def widened(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.double() if value.dtype == torch.float32 else value
        return torch.float64 if value is torch.float32 else value

    class Interpreter(torch.fx.Interpreter):
        def fetch_args_kwargs_from_env(self, node: Any) -> Any:
            found = super().fetch_args_kwargs_from_env(node)
            return torch.utils._pytree.tree_map(widened, found) if double else found

        def run_node(self, node: Any) -> Any:
            result = super().run_node(node)
            if isinstance(result, torch.Tensor):
                take(node.name, result)
            elif isinstance(result, (tuple, list)):
                for index, item in enumerate(result):
                    if isinstance(item, torch.Tensor):
                        take(f"{node.name}_split_{index}", item)
            return result

    signature = program.graph_signature
    held = {**program.state_dict, **program.constants, **dict(program.named_buffers())}
    users = iter(arguments)
    kinds = torch.export.graph_signature.InputKind
    feeds = [next(users) if spec.kind == kinds.USER_INPUT else held[spec.target] for spec in signature.input_specs]
    with torch.no_grad():
        returned = Interpreter(program.graph_module).run(*feeds, enable_io_processing=False)
    return [
        value
        for value, spec in zip(returned, signature.output_specs, strict=True)
        if spec.kind == torch.export.graph_signature.OutputKind.USER_OUTPUT
    ]


def origins(proto: onnx.ModelProto, root: str = "") -> dict[str, Origin]:
    """Where each value of the graph comes from, by the metadata of the node that makes it."""
    found = {}
    for node in proto.graph.node:
        notes = {p.key.removeprefix(_PREFIX): p.value for p in node.metadata_props if p.key.startswith(_PREFIX)}
        if "fx_node" not in notes:
            continue
        value = notes["fx_node"].partition(" ")[0].lstrip("%")
        try:
            scopes = [str(s) for s in ast.literal_eval(notes.get("name_scopes", "[]"))]
        except (ValueError, SyntaxError):
            scopes = []
        module = next((s for s in reversed(scopes[:-1]) if s), "").removeprefix("model").lstrip(".")
        for name in node.output:
            found[name] = Origin(value, module, _line(notes.get("stack_trace", ""), root))
    return found


def _line(trace: str, root: str) -> str:
    """The innermost line that is not the framework's own, as FILE:LINE."""
    sites = [(file, line) for file, line in _SITE.findall(trace) if "site-packages" not in file]
    named = [(file, line) for file, line in sites if not root or not file.startswith(root)]
    chosen = named[-1:]
    return f"{Path(chosen[0][0]).name}:{chosen[0][1]}" if chosen else ""


def plain(value: Any) -> Array:
    """A tensor as numpy's array, of the same memory where that is possible."""
    import torch

    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        value = value.float()
    return np.asarray(value.resolve_conj().resolve_neg().numpy())
