"""Draws samples of torch's own operator tests that its exporter takes, operators in turn.

python -m judgement.opinfo_samples FOLDER COUNT      # in scripts/
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from judgement.opinfo import TESTS, encoded

MOST = 400  # elements of all tensors of a sample
DRAWS = """
rand dropout bernoulli multinomial normal uniform exponential cauchy geometric empty rrelu resize_ to_sparse set_ new_
""".split()
FILE = """import sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
from judgement.opinfo import cases

CASES = cases(Path(__file__).parent)
"""


def sample(op: Any, number: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """One sample of an operator as JSON, with its tensors; None where it has no such sample."""
    import torch

    torch.manual_seed(number)
    fitting = []
    for each in op.sample_inputs("cpu", torch.float32, requires_grad=False):
        tensors: dict[str, Any] = {}
        try:
            args = [encoded(a, tensors) for a in (each.input, *each.args)]
            kwargs = {k: encoded(v, tensors) for k, v in each.kwargs.items()}
        except (ValueError, TypeError, RuntimeError):
            continue
        kinds = {v.dtype.name for v in tensors.values()}
        size = sum(v.size for v in tensors.values())
        fits = all(v.size and v.ndim <= 6 for v in tensors.values()) and bool(tensors)
        if fits and size <= MOST and "float32" in kinds and kinds <= {"float32", "int64", "bool"}:
            fitting.append(({"args": args, "kwargs": kwargs}, tensors))
        if len(fitting) > 40:
            break
    if not fitting:
        return None
    about, tensors = fitting[(7 * number) % len(fitting)]
    return {"op": op.name, "variant": op.variant_test_name} | about, tensors


def exports(about: dict[str, Any], tensors: dict[str, Any]) -> bool:
    import torch

    from judgement.opinfo import builder
    from onnx_triangulate.engines.frameworks import torch as adapter

    shared = getattr(adapter, "_shared_registry", contextlib.nullcontext)  # for speed alone
    model = builder(about, tuple(tensors))(torch).eval()
    given = tuple(torch.from_numpy(v.copy()) for v in tensors.values())
    with torch.no_grad():
        made = model(*given)
        answers = made if isinstance(made, (list, tuple)) else [made]
        if not all(isinstance(a, torch.Tensor) and a.numel() and not a.is_complex() for a in answers):
            return False
        with shared():
            torch.onnx.export(model, given, dynamo=True, verbose=False)
    return True


def write(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    listed, tried_file = folder / "opinfo.json", folder / "tried.json"
    found = json.loads(listed.read_text()) if listed.exists() else {}
    tried = json.loads(tried_file.read_text()) if tried_file.exists() else {}
    tests = importlib.import_module(TESTS)
    order = np.random.default_rng(0).permutation(len(tests.op_db))
    for number in range(4):
        for place in order:
            if len(found) >= count:
                break
            op = tests.op_db[place]
            name = f"{op.name}_{op.variant_test_name}_{number}".replace(".", "_").replace("/", "_")
            if name in tried or any(word in op.name for word in DRAWS):
                continue
            tried[name] = "it ended the process"
            tried_file.write_text(json.dumps(tried))
            try:
                made = sample(op, number)
                tried[name] = "no sample" if made is None else "refused"
                if made is not None and exports(*made):
                    about, tensors = made
                    tried[name] = "exported"
                    text = json.dumps({"args": about["args"], "kwargs": about["kwargs"]})
                    found[name] = about | {"says": f"{op.name} {text}"[:200]}
                    np.savez(folder / f"{name}.npz", **tensors)
                    listed.write_text(json.dumps(found))
            except Exception as error:
                tried[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            tried_file.write_text(json.dumps(tried))
    (folder / "opinfo.py").write_text(FILE.format(scripts=str(Path(__file__).parents[1])))


def main() -> int:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    write(Path(sys.argv[1]), int(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
