"""Writes the files of :mod:`judgement.given`: the wrong export, a right one, and the witness that parts them.

python -m judgement.given_files FOLDER      # in scripts/
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from judgement import given
from judgement.healthy_torch import builder
from judgement.pairs import APART, apart, outputs

Feeds = dict[str, Any]


CASES = """import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
from judgement.given import cases

CASES = cases(Path(__file__).parent)
"""


def drawn(row: given.Row, seed: int) -> Feeds:
    random = np.random.default_rng([seed, *row.name.encode()])
    made: Feeds = {}
    for name, (_, shape, dtype, low, high) in row.inputs.items():
        whole = random.integers(int(low), max(int(high), int(low) + 1), shape)
        made[name] = (random.uniform(low, high, shape) if dtype == "float32" else whole).astype(dtype)
    return made


def witnesses(row: given.Row) -> list[Feeds]:
    """Feeds that may part the two: numbers of the kind that the row says."""
    feeds = []
    for seed in range(4):
        feed = drawn(row, 100 + seed)
        for name, value in feed.items():
            if value.dtype == np.float32 and row.witness in ("far", "masked_far"):
                feed[name] = value * np.float32((1e5, 40, 2e3, 120)[seed])
            elif row.witness == "tiny":
                feed[name] = value * np.float32((1e-6, 1e-5, 1e-4, 1e-9)[seed])
            elif row.witness == "zero":
                feed[name] = value * 0
            elif row.witness.startswith("="):
                number = float(row.witness[1:])
                feed[name] = np.full_like(value, number if value.dtype == np.float32 else int(number))
            elif row.witness == "nan":
                feed[name] = value.copy()
                feed[name][0, :3] = (np.nan, np.inf, -np.inf)
            elif row.witness == "either":
                feed[name] = np.abs(value) * np.float32((1, -1, 1, -1)[seed])
            if row.witness.startswith("masked") and value.dtype == bool:
                feed[name] = np.arange(value.size).reshape(value.shape) % 5 == 0
                feed[name][0] = row.witness == "masked_far" and np.arange(value.shape[1]) == 0
        feeds.append(feed)
    return feeds


def exported(text: str, row: given.Row, example: Feeds, file: Path) -> onnx.ModelProto:
    import torch

    from onnx_triangulate.engines.frameworks import torch as adapter

    shared = getattr(adapter, "_shared_registry", contextlib.nullcontext)  # for speed alone
    model = builder(text, given.start, tuple(row.inputs))(torch).eval()
    values = tuple(torch.from_numpy(v.copy()) for v in example.values())
    with shared(), torch.no_grad():
        if row.frozen:  # what the tracer freezes is the fault
            torch.onnx.export(model, values, file, dynamo=False, input_names=list(row.inputs), opset_version=20)
        else:
            torch.onnx.export(model, values, file, dynamo=True, input_names=list(row.inputs), verbose=False)
    return onnx.load(file)


def edited(model: onnx.ModelProto, row: given.Row) -> onnx.ModelProto:
    if row.edit == "swap":
        first, second = model.graph.input[0].name, model.graph.input[1].name
        names = {first: second, second: first}
        for node in model.graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
    elif row.edit:
        output = model.graph.output[0]
        code = getattr(onnx.TensorProto, row.edit)
        model.graph.node.append(onnx.helper.make_node("Cast", [output.name], ["cast_output"], name="cast", to=code))
        output.name = "cast_output"
        output.type.tensor_type.elem_type = code
    return model


def write(row: given.Row, folder: Path) -> dict[str, Any]:
    """One row's files, and what the case needs to know; ``why`` says that it is no material."""
    example = drawn(row, 1)
    right = exported(row.right, row, example, folder / "right.onnx") if not row.frozen else None
    wrong = edited(exported(row.wrong, row, example, folder / "wrong.onnx"), row)
    if right is None:  # the right one is exported by the other exporter, which freezes nothing of an expression
        right = exported(
            row.right, given.Row(row.name, row.right, row.wrong, row.inputs), example, folder / "right.onnx"
        )
    file = f"{row.name}.onnx"
    onnx.save(wrong, folder / file)
    for feed in witnesses(row):
        if apart(*(_in_order(model, feed) for model in (right, wrong))) > APART:
            np.savez(folder / f"{row.name}.witness.npz", **feed)
            break
    else:
        return {"why": "no witness parts the file from a right one"}
    hidden = apart(*(_in_order(model, example) for model in (right, wrong))) <= APART
    if row.frozen:
        np.savez(folder / f"{row.name}.npz", **example)
    return {"file": file, "inputs": f"{row.name}.npz" if row.frozen else None, "hidden": hidden}


def _in_order(model: onnx.ModelProto, feed: Feeds) -> Any:
    answer = outputs(model, feed)
    return answer if isinstance(answer, str) else {str(i): v for i, v in enumerate(answer.values())}


def write_all(folder: Path, names: list[str]) -> dict[str, Any]:
    """All rows that have no file yet; ``given.json`` lists those that are material."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "made.json"
    made = json.loads(log.read_text()) if log.exists() else {}
    for name, row in given.ROWS.items():
        if name in made or (names and name not in names):
            continue
        try:
            made[name] = write(row, folder)
        except Exception as error:
            made[name] = {"why": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        log.write_text(json.dumps(made, indent=1))
    (folder / "given.json").write_text(json.dumps({n: a for n, a in made.items() if "file" in a}, indent=1))
    (folder / "given.py").write_text(CASES.format(scripts=str(Path(__file__).parents[1])))
    return made


def main() -> int:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    made = write_all(Path(sys.argv[1]), sys.argv[2:])
    for name, about in made.items():
        if "why" in about:
            print(f"{name}: left out: {about['why']}")
    print(
        f"{sum('file' in a for a in made.values())} files; {sum(a.get('hidden', False) for a in made.values())} hidden"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
