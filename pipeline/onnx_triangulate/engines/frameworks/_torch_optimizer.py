"""The passes of torch's exporter's optimizer, one by one.

``ONNXProgram.optimize`` has no off-switches.  It is onnxscript's: constant folding, a list of rewrite rules, fusions of
attention and the like, and clean-up passes.  All of these are public one by one, so the same work is done here with any
of them left out.  It is not the exporter's own run: whoever uses this looks first whether it makes the same divergence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDING = "onnxscript.optimizer.fold_constants"
REWRITING = "onnxscript.rewriter.rewrite"
FUSIONS = "onnxscript.rewriter.onnx_fusions.fuse"
_RULES = "onnxscript.rewriter.rules.common"
_PASSES = "onnx_ir.passes.common"
# Those of onnxscript 0.7's optimizer that change more than names and order.
_CLEANING: dict[str, dict[str, Any]] = {
    "LiftConstantsToInitializersPass": {"lift_all_constants": True, "size_limit": 0},
    "LiftSubgraphInitializersToMainGraphPass": {},
    "DeduplicateInitializersPass": {},
    "CommonSubexpressionEliminationPass": {},
}
_CHOICE = "_DEFAULT_REWRITE_RULES"
ITERATIONS = 2  # as many as the optimizer makes


def names() -> tuple[str, ...]:
    """The passes of this installation by their full names."""
    return (FOLDING, *_rules(), FUSIONS, *(f"{_PASSES}.{name}" for name in _CLEANING))


def optimized(raw: Path, off: Sequence[str], place: Path) -> Path:
    """The graph of ``raw`` after every pass but those in ``off``, written to ``place``."""
    import onnx_ir
    from onnx_ir.passes import common
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter import onnx_fusions

    model = onnx_ir.load(raw)
    rules = [rule for name, rule in _rules().items() if name not in off]
    for _ in range(ITERATIONS):
        if FOLDING not in off:
            optimizer.fold_constants_ir(model)
        if rules:
            rewriter.rewrite(model, None if rules == [None] else rules)
    if FUSIONS not in off:
        onnx_fusions.fuse(model)
    for name, more in _CLEANING.items():
        if f"{_PASSES}.{name}" not in off:
            getattr(common, name)(**more)(model)
    common.OutputFixPass()(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    onnx_ir.save(model, place)
    return place


def _rules() -> dict[str, Any]:
    """The rewrite rules that the optimizer applies, under the names by which they are public.

    Which of the public ones these are, and in what order, only a private tuple says (seen in onnxscript 0.7.2).  Where
    it is not to be had the rules are one pass, the public function with its own choice of them.
    """
    from onnxscript import rewriter

    chosen = getattr(rewriter, _CHOICE, None)
    try:
        from onnxscript.rewriter.rules import common
    except ImportError:
        chosen = None
    if not isinstance(chosen, (tuple, list)) or not chosen:
        return {REWRITING: None}
    public = {id(getattr(common, name)): f"{_RULES}.{name}" for name in common.__all__}
    return {public.get(id(rule), f"{REWRITING}, rule {i}"): rule for i, rule in enumerate(chosen)}
