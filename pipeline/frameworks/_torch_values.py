"""Every intermediate value of the program that ``torch.onnx.export`` exported, in one pass.

``torch.fx.Interpreter`` runs the exporter's own ExportedProgram, the one after its decompositions, so that a value of
the graph is a node of that program: by name, or, for the graph's outputs, by position.  In float64 the same program is
run on widened parameters and inputs, and where it names float32 as a type it is read as float64.  Module path and line
come from what the exporter wrote into the file beside each node.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pipeline.data import Array, Origin

_SITE = re.compile(r'File "([^"]+)", line (\d+)')
_PREFIX = "pkg.torch.onnx."


def intermediates(program: Any, arguments: Sequence[Any], *, double: bool) -> tuple[dict[str, Any], list[Any]]:
    """The tensors of every node by name, and what the program returns, in order."""
    import torch

    def widened(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = value.detach().clone()
            return value.double() if double and value.dtype == torch.float32 else value
        return value

    found: dict[str, Any] = {}

    class Interpreter(torch.fx.Interpreter):
        def run_node(self, node: Any) -> Any:
            result = super().run_node(node)
            if isinstance(result, torch.Tensor):
                found[node.name] = result.detach().clone()
            elif isinstance(result, (tuple, list)):
                for index, item in enumerate(result):
                    if isinstance(item, torch.Tensor):
                        found[f"{node.name}_split_{index}"] = item.detach().clone()
            return result

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            if double:
                args, kwargs = torch.utils._pytree.tree_map(
                    lambda v: torch.float64 if v is torch.float32 else v, (args, dict(kwargs))
                )
            return super().call_function(target, args, kwargs)

    signature = program.graph_signature
    held = {**program.state_dict, **program.constants, **dict(program.named_buffers())}
    users = iter(arguments)
    kinds = torch.export.graph_signature.InputKind
    feeds = [
        widened(next(users) if spec.kind == kinds.USER_INPUT else held[spec.target]) for spec in signature.input_specs
    ]
    with torch.no_grad():
        returned = Interpreter(program.graph_module).run(*feeds, enable_io_processing=False)
    wanted = [
        value
        for value, spec in zip(returned, signature.output_specs, strict=True)
        if spec.kind == torch.export.graph_signature.OutputKind.USER_OUTPUT
    ]
    return found, wanted


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


def matched(
    proto: onnx.ModelProto, tensors: Mapping[str, Any], returned: Sequence[Any], outputs: Sequence[str]
) -> dict[str, Array]:
    """The program's tensors by the graph's names: outputs by position, everything else by name."""
    made = {name for node in proto.graph.node for name in node.output if name}
    kept = {name: value for name, value in tensors.items() if name in made}
    kept |= {name: value for value, name in zip(returned, outputs, strict=True) if hasattr(value, "detach")}
    return {name: _plain(value) for name, value in kept.items()}


def _plain(value: Any) -> Array:
    import torch

    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        value = value.float()
    return np.asarray(value.resolve_conj().resolve_neg().numpy())
