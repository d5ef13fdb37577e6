"""ONNX Runtime on the CPU, with its graph optimizations off and with all of them on: both are run, always.

One thread, for speed on small graphs and for results that do not depend on the machine's cores.

Its optimizer's passes can be switched off by name; names it does not know are ignored without a word.  There is no
list of them to ask for, but each transformer says its name in the log when it runs, so where the version hands its log
to Python (``set_default_logger_callback``) the names are this version's own; elsewhere they are :data:`TRANSFORMERS`.
The rewrite rules inside a transformer named ``…_RuleBasedTransformer`` say nothing; :data:`RULES` are those of
:data:`RECORDED`, and the transformer as a whole stands for those that are not among them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.engines.protocols import Evaluate, Passes
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import InvalidGraph, Unsupported

RECORDED = "1.32.0"
RULES = tuple(
    "CastChainElimination CastElimination ClipQuantRewrite ConvAddFusion ConvBNFusion ConvMulFusion DivMulFusion "
    "EliminateDropout EliminateIdentity EliminateSlice ExpandElimination FuseReluClip GemmSumFusion "
    "GemmTransposeFusion LabelEncoderFusion MatMul_BatchNormalization_Fusion NoopElimination NotWhereFusion Pad_Fusion "
    "PreShapeNodeElimination ReluQuantRewrite UnsqueezeElimination".split()
)
TRANSFORMERS = tuple(
    "AttentionFusion BiasDropoutFusion BiasGeluFusion BiasSkipLayerNormFusion BiasSoftmaxFusion "
    "CommonSubexpressionElimination ConstantFolding ConstantSharing ConvActivationFusion ConvAddActivationFusion "
    "DoubleQDQPairsRemover DynamicQuantizeMatMulFusion EmbedLayerNormFusion FastGeluFusion GatherSliceToSplitFusion "
    "GatherToSliceFusion GeluFusionL1 GeluFusionL2 GemmActivationFusion GroupQueryAttentionFusion "
    "GroupQueryAttentionPreNormFusion LayerNormFusionL1 LayerNormFusionL2 Level1_RuleBasedTransformer "
    "Level2_RuleBasedTransformer MatMulActivationFusion MatMulAddFusion MatMulIntegerToFloatFusion MatMulNBitsFusion "
    "MatMulScaleFusion MatmulTransposeFusion NchwcTransformer NhwcTransformer QDQFinalCleanupTransformer "
    "QDQPropagationTransformer QDQS8ToU8Transformer QDQSelectorActionTransformer QuickGeluFusion ReshapeFusion "
    "SimplifiedLayerNormFusion SkipLayerNormFusion SliceConcatToSpaceToDepthFusion SwiGluFusion TransposeOptimizer "
    "TransposeOptimizer_CPUExecutionProvider WeightBiasQuantization WhereDummyDq".split()
)
_LEVELS = ("ORT_ENABLE_ALL", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_BASIC", "ORT_DISABLE_ALL")
_SAYS = re.compile(r"GraphTransformer (\S+) modified: ([01])")


@dataclass(frozen=True)
class OnnxRuntime:
    name: str
    after: str
    step: str
    level: str
    distribution: str = "onnxruntime"
    double: bool = False

    def open(self, file: Path, *, double: bool = False) -> Evaluate:
        return self.open_without(file)

    def open_without(
        self,
        file: Path,
        off: Sequence[str] = (),
        level: str | None = None,
        *,
        saved: Path | None = None,
        severity: int = 4,
    ) -> Evaluate:
        """As :meth:`open`, without the passes ``off``; ``severity`` is from where on the session writes its log."""
        options = self._options(level, severity)
        if saved is not None:
            options.optimized_model_filepath = str(saved)
        return _opened(str(file), options, file, **({"disabled_optimizers": list(off)} if off else {}))

    def passes(self, file: Path) -> Passes:
        """The passes that this version runs over a graph, and which of them change it.

        A graph that the optimizer makes unusable still has those that ran before it was refused.
        """
        ort = _imported()
        at = _LEVELS.index(self.level)
        levels = tuple(level for level in _LEVELS[at + 1 :] if hasattr(ort.GraphOptimizationLevel, level))
        if not hasattr(ort, "set_default_logger_callback"):  # an older version, which keeps its log to itself
            return replace(self.recorded(), levels=levels)
        lines: list[str] = []
        ort.set_default_logger_callback(lambda *said: lines.append(str(said[-1])), 1)
        refused = False
        try:
            self.open_without(file, severity=1)
        except (RuntimeError, Unsupported, InvalidGraph):
            refused = True
        finally:
            ort.set_default_logger_callback(None)
            ort.set_default_logger_severity(_DEFAULT_SEVERITY)
        heard = [(found[1], found[2] == "1") for line in lines if (found := _SAYS.search(line))]
        names = tuple(dict.fromkeys([*(name for name, _ in heard), *(TRANSFORMERS if refused else ())]))
        groups = tuple(name for name in names if name.endswith("_RuleBasedTransformer"))
        applied = tuple(dict.fromkeys(name for name, changed in heard if changed))
        source = f"names from the log of onnxruntime {ort.__version__}, rewrite rules as recorded of {RECORDED}"
        return Passes((*RULES, *names), groups, applied, levels, source)

    def recorded(self) -> Passes:
        groups = tuple(name for name in TRANSFORMERS if name.endswith("_RuleBasedTransformer"))
        levels = _LEVELS[_LEVELS.index(self.level) + 1 :]
        return Passes((*RULES, *TRANSFORMERS), groups, (), levels, f"names of onnxruntime {RECORDED}, as recorded")

    def switch(self, off: Sequence[str], level: str | None) -> str:
        """The argument of ``InferenceSession``, or the option of a session, that does the same."""
        if level is not None:
            return f"SessionOptions.graph_optimization_level = GraphOptimizationLevel.{level}"
        listed = ", ".join(f'"{name}"' for name in off)
        return f"InferenceSession(..., disabled_optimizers=[{listed}])"

    def part(self, model: bytes, weights: Mapping[str, Array]) -> Evaluate:
        ort = _imported()
        options = self._options()
        if weights:
            arrays = [np.require(w, requirements=["C", "A"]) for w in weights.values()]  # mapped data may be anywhere
            options.add_external_initializers(list(weights), [ort.OrtValue.ortvalue_from_numpy(a) for a in arrays])
        return _opened(model, options, Path("part.onnx"))

    def _options(self, level: str | None = None, severity: int = 4) -> Any:
        ort = _imported()
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level or self.level)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = severity
        return options


_DEFAULT_SEVERITY = 2


def _imported() -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import; telemetry writes under the home folder
    import onnxruntime

    return onnxruntime


def _opened(model: str | bytes, options: Any, file: Path, **more: Any) -> Evaluate:
    try:
        session = _imported().InferenceSession(model, options, providers=["CPUExecutionProvider"], **more)
    except Exception as error:  # one class per status, all of them Exceptions of a private module
        raise _reason(error, file) from error

    kinds = {o.name: o.type for o in session.get_outputs()}

    def run(feeds: Mapping[str, Array], outputs: Sequence[str]) -> Sequence[Array]:
        try:
            made = session.run(list(outputs), {name: _fed(array) for name, array in feeds.items()})
        except Exception as error:  # as above
            raise _reason(error, file) from error
        return [_typed(np.asarray(v), kinds.get(name, "")) for name, v in zip(outputs, made, strict=True)]

    return run


def _fed(array: Array) -> Any:
    """An array as a session takes it: of 8-bit floats it wants the bits, and their type beside them."""
    if "float8" not in array.dtype.name:
        return array
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return _imported().OrtValue.ortvalue_from_numpy_with_onnx_type(np.asarray(array, order="C").view(np.uint8), kind)


def _typed(array: Array, kind: str) -> Array:
    """An array as its type means it: 8-bit floats come back as their bits."""
    named = re.fullmatch(r"tensor\((float8\w+)\)", kind)
    if named is None or array.dtype != np.uint8:
        return array
    return array.view(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(named[1].upper())))


def _reason(error: Exception, file: Path) -> Exception:
    text = " ".join(str(error).replace(str(file), file.name).split())  # the same run says the same wherever it is
    named = re.search(r"No Op registered for (\w+)", text) or re.search(
        r"implementation for (?:\w+\.)*?(\w+)\(\d+\)", text
    )
    foreign = re.search(r"(\w+)\(-?\d+\) is not a registered function/op", text)
    named = (
        named or foreign or re.search(r"In Node, \(\"[^\"]*\", (\w+)", text) or re.search(r"running (\w+) node", text)
    )
    node = re.search(r"(?:node with name|In Node, \(|Name:)\s*['\"]?([^'\",]+)", text)
    op = named[1] if named else None
    where = node[1] if node else None
    if "NOT_IMPLEMENTED" in text or foreign:
        return Unsupported(text[:300], op=op, node=where)
    if "INVALID_GRAPH" in text or "INVALID_PROTOBUF" in text:
        return InvalidGraph(text[:300], op=op, node=where)
    return RuntimeError(text[:300])


RUNTIMES = (
    OnnxRuntime("ort.off", after="reference", step="kernel", level="ORT_DISABLE_ALL"),
    OnnxRuntime("ort.all", after="ort.off", step="optimizer", level="ORT_ENABLE_ALL"),
)
