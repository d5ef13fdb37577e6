"""TensorFlow: native runs, and tf2onnx with the framework's own order of axes at the border or with NCHW.

Native runs are eager.  For export the same callable becomes a ``tf.function`` and goes through
``tf2onnx.convert.from_function`` with its defaults, which is what people run.  tf2onnx reports an operator that it
cannot convert by a logged line and leaves it in the graph; whether the file is a model at all is for the checker and
the runtimes to say.  Tensors that a function merely captures become extra inputs of the graph; their values are known
here and are written into the file as what they are, initializers.

oneDNN's kernels, which TensorFlow switches on by the type of the CPU, are off unless ``TF_ENABLE_ONEDNN_OPTS=1`` is
set: what an operation gives, and whether it is there at all, should not depend on the machine.

In float64 a Keras model is built a second time under ``floatx`` float64 and given the first one's weights.
"""

from __future__ import annotations

import io
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import Array, Case, Failure, Model, Origin, SourceValues, Stored, Tensor
from pipeline.frameworks._onnx_file import Values, border, write, write_arrays
from pipeline.frameworks._structure import BuilderError, forward_outputs, named
from pipeline.inputs import forward_inputs
from pipeline.layout import order

_NCHW = {"n h w c": "n c h w"}


class TensorFlow:
    name = "tensorflow"
    distributions = (("tensorflow", "tensorflow-cpu"), "tf2onnx", "onnx")
    exporters = ("", "nchw")
    layouts: Mapping[str, str] = {
        "n c h w": "n h w c",
        "o i h w": "h w i o",
        "n c l": "n l c",
        "o i l": "l i o",
        "n c d h w": "n d h w c",
        "o i d h w": "d h w i o",
    }

    def warm(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.get_logger().setLevel(logging.ERROR)
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.WARNING)
        assert tf2onnx.convert

    def native(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitter: int | None = None
    ) -> Mapping[str, Any]:
        """Run eagerly; gradients by a ``GradientTape``.  A gradient that TensorFlow does not give is ``None``.

        ``jitter`` seeds random signs by which every float input and weight is moved by one unit roundoff of float32.
        A model that cannot be built in float64, or computes in a narrower type all the same, is frozen, as tf2onnx
        freezes it, and its graph turned to float64.
        """
        if double and not _is_double(case):
            try:
                self._only_double(case, values, seed)
                return self._native(case, values, double=True, seed=seed, jitter=jitter)
            except BuilderError:
                raise
            except Exception as refusal:  # variables of its own in float32, most often
                return self._frozen_in_double(case, values, seed, jitter, refusal)
        return self._native(case, values, double=double, seed=seed, jitter=jitter)

    def _native(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitter: int | None
    ) -> Mapping[str, Any]:
        import tensorflow as tf

        random = np.random.default_rng(jitter) if jitter is not None else None
        tensors = _tensors(case, values, double, random)
        model = _build(case, tensors, double=double, seed=seed)
        if random is not None:
            for variable in getattr(model, "variables", ()):
                if variable.dtype in ("float32", "float64"):
                    variable.assign(_moved(np.asarray(variable), random))
        if case.gradient is None:
            results = named(case, self.name, _call(case, model, tensors))
        else:
            results = _with_gradients(tf, case, model, tensors)
        return {name: None if value is None else _array(value) for name, value in results.items()}

    def export(
        self, case: Case, values: Mapping[str, Any], exporters: Sequence[str], folder: Path, *, seed: int
    ) -> Sequence[Model]:
        """Convert with each of ``exporters``."""
        return [self._convert(case, values, exporter, folder, seed) for exporter in exporters]

    def _only_double(self, case: Case, values: Mapping[str, Any], seed: int) -> None:
        """Raise where the model, built in float64, has a step in a narrower float type."""
        import tensorflow as tf

        tensors = _tensors(case, values, double=True, random=None)
        wide = {n: v.astype(np.float64) if getattr(v, "dtype", None) == np.float32 else v for n, v in values.items()}
        function, _names = self._function(case, _build(case, tensors, double=True, seed=seed), tensors, wide)
        narrow = (tf.float32, tf.float16, tf.bfloat16)
        for operation in function.get_concrete_function().graph.get_operations():
            if any(tensor.dtype in narrow for tensor in operation.outputs):
                raise TypeError(f"{operation.type} computes in a narrower type than float64")

    def values(
        self,
        case: Case,
        values: Mapping[str, Any],
        model: Model,
        folder: Path,
        *,
        seed: int,
        doubles: Sequence[bool] = (False, True),
    ) -> SourceValues:
        """Every tensor of the frozen graph that was converted, by the ONNX graph's names, in both precisions."""
        import onnx

        from pipeline.frameworks._tensorflow_values import frozen, intermediates, matched

        assert model.file is not None
        proto = onnx.load(model.file, load_external_data=False)
        tensors = _tensors(case, values, double=False, random=None)
        function, _ = self._function(case, _build(case, tensors, double=False, seed=seed), tensors, values)
        concrete = function.get_concrete_function()
        stored: dict[bool, Stored] = {}
        notes = []
        for double in doubles:
            wide = _tensors(case, values, double=double, random=None)
            try:
                definition, inputs, outputs = frozen(concrete, double=double)
                wanted = matched(proto, outputs, list(model.outputs.values()))
                fed = [wide[name] for name in case.inputs]
                with Values(folder / f"{model.graph.replace(':', '.')}.values{'64' if double else ''}") as file:
                    intermediates(definition, inputs, outputs, fed, wanted, file.write)
                stored[double] = file.stored()
            except Exception as error:  # operators that TensorFlow has in float32 only
                if not double:
                    return SourceValues(model.graph, error=Failure("refused", _one_line(error)))
                notes.append(f"tensorflow has no float64 for this: {_one_line(error)[:120]}")
        origins = {name: Origin(name.rpartition(":")[0]) for kept in stored.values() for name in kept.slots}
        return SourceValues(
            model.graph, stored.get(False), stored.get(True), origins, permuted=True, notes=tuple(notes)
        )

    def _frozen_in_double(
        self, case: Case, values: Mapping[str, Any], seed: int, jitter: int | None, refusal: Exception
    ) -> Mapping[str, Any]:
        """The frozen graph in float64; what the builder's own float64 run raised, where that cannot be had either."""
        from pipeline.frameworks._tensorflow_double import double

        random = np.random.default_rng(jitter) if jitter is not None else None
        tensors = _tensors(case, values, double=False, random=None)
        try:
            function, names = self._function(case, _build(case, tensors, double=False, seed=seed), tensors, values)
            run = double(
                function.get_concrete_function(),
                moved=None if random is None else lambda value: _moved(value, random),
            )
            wide = _tensors(case, values, double=True, random=random)
            results = dict(zip(names, run([wide[name] for name in case.inputs]), strict=True))
        except BuilderError:
            raise
        except Exception:
            raise refusal from None
        absent = {name: None for name in case.outputs if name.startswith("grad_") and name not in results}
        return {name: _array(value) for name, value in results.items()} | absent

    def _function(
        self, case: Case, model: Any, tensors: Mapping[str, Any], values: Mapping[str, Any]
    ) -> tuple[Any, list[str]]:
        """The case as a ``tf.function`` of its inputs in order, and the names of its outputs once it was traced."""
        import tensorflow as tf

        names: list[str] = []

        def positional(*inputs: Any) -> list[Any]:
            given = {**tensors, **dict(zip(case.inputs, inputs, strict=True))}
            if case.gradient is None:
                results = named(case, self.name, _call(case, model, given))
            else:
                results = _with_gradients(tf, case, model, given)
            kept = {name: value for name, value in results.items() if value is not None}
            names[:] = kept
            return [tf.identity(value, name=_scope(f"out_{name}")) for name, value in kept.items()]

        signature = [tf.TensorSpec(values[name].shape, values[name].dtype, name=name) for name in case.inputs]
        return tf.function(positional, input_signature=signature), names

    def _convert(self, case: Case, values: Mapping[str, Any], exporter: str, folder: Path, seed: int) -> Model:
        import tf2onnx

        graph = f"tensorflow:{exporter}" if exporter else "tensorflow"
        started = time.perf_counter()
        tensors = _tensors(case, values, double=False, random=None)
        model = _build(case, tensors, double=False, seed=seed)
        with _quiet() as log:
            try:
                function, names = self._function(case, model, tensors, values)
                concrete = function.get_concrete_function()
                axes, as_nchw_in, as_nchw_out = self._border(case, exporter, names, concrete)
                tf2onnx.utils.INTERNAL_NAME = 1  # it numbers its nodes on and on; a case is named the same in any run
                proto, _ = tf2onnx.convert.from_function(
                    function,
                    input_signature=list(function.input_signature),
                    inputs_as_nchw=as_nchw_in or None,
                    outputs_as_nchw=as_nchw_out or None,
                )
                _captures_inside(proto, concrete)
            except BuilderError:
                raise
            except Exception as error:  # the exporter's own refusal, whatever its type
                return Model(
                    graph, error=Failure("refused", _one_line(error), op=_refused_op(error)), log=log.getvalue()
                )
        held = [*getattr(model, "variables", ()), *[tensors[name] for name in case.parameters]]
        write_arrays([np.asarray(v) for v in held if hasattr(v, "numpy")], folder / "tensorflow.weights.npz")
        file = write(proto, folder / f"{graph.replace(':', '.')}.onnx")
        inputs, outputs, problem = border(proto, list(case.inputs), names)
        return Model(
            graph,
            file=file,
            error=Failure("refused", f"{graph}: {problem}") if problem else None,
            inputs=inputs,
            outputs=outputs,
            axes=axes,
            weights=folder / "tensorflow.weights.npz",
            seconds=time.perf_counter() - started,
            log=log.getvalue(),
        )

    def _border(
        self, case: Case, exporter: str, names: Sequence[str], concrete: Any
    ) -> tuple[dict[str, str], list[str], list[str]]:
        """The order of axes at the graph's border, and which inputs and outputs tf2onnx is asked to turn to NCHW."""
        axes = {
            name: order(tensor, self.name, self.layouts)
            for name, tensor in {**case.inputs, **case.outputs}.items()
            if isinstance(tensor, Tensor)
        }
        if exporter != "nchw":
            return axes, [], []
        turned = {name for name in axes if axes[name] in _NCHW}
        outputs = [tensor.name for tensor in concrete.outputs]
        as_nchw_out = [outputs[i] for i, name in enumerate(names) if name in turned]
        axes |= {name: _NCHW[axes[name]] for name in turned}
        return axes, [f"{name}:0" for name in case.inputs if name in turned], as_nchw_out


def _tensors(case: Case, values: Mapping[str, Any], double: bool, random: np.random.Generator | None) -> dict[str, Any]:
    """Inputs as constants, parameters as variables that the exporter freezes, other values as they are."""
    import tensorflow as tf

    tensors: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            tensors[name] = value
            continue
        if double and value.dtype == np.float32:
            value = value.astype(np.float64)
        if random is not None and np.issubdtype(value.dtype, np.floating):
            value = _moved(value, random)
        tensors[name] = (
            tf.Variable(value, trainable=False, name=name) if name in case.parameters else tf.constant(value)
        )
    return tensors


def _moved(value: Array, random: np.random.Generator) -> Array:
    """Moved by one unit roundoff of float32 if it is float64, else by its own type's eps."""
    step = 2.0**-24 if value.dtype == np.float64 else float(np.finfo(value.dtype).eps)
    return np.asarray(value * (1 + random.choice([-1.0, 1.0], value.shape) * step), dtype=value.dtype)


def _build(case: Case, tensors: Mapping[str, Any], *, double: bool, seed: int) -> Any:
    model = _built(case, tensors, seed, "float64" if _is_double(case) else "float32")
    if not double or _is_double(case) or not getattr(model, "variables", ()):
        return model
    twice = _built(case, tensors, seed, "float64")
    for there, here in zip(twice.variables, model.variables, strict=True):
        there.assign(
            np.asarray(here).astype(there.dtype if isinstance(there.dtype, str) else there.dtype.as_numpy_dtype)
        )
    return twice


def _built(case: Case, tensors: Mapping[str, Any], seed: int, floatx: str) -> Any:
    import tensorflow as tf

    before = tf.keras.config.dtype_policy()
    tf.keras.backend.clear_session(free_memory=False)  # Keras numbers its layers on and on, too
    tf.keras.config.set_dtype_policy(floatx)  # floatx alone does not reach a policy that has been asked for once
    tf.keras.utils.set_random_seed(seed)
    try:
        model = case.builders["tensorflow"](tf, **{name: tensors[name] for name in case.parameters})
        if not callable(model):
            raise BuilderError(f"tensorflow: the builder returned a {type(model).__name__}, expected a model to call")
        if isinstance(model, tf.keras.layers.Layer) and not model.built:
            _call(case, model, {**tensors})
    except BuilderError:
        raise
    except Exception as error:
        raise BuilderError(f"tensorflow: the builder raised {_one_line(error)}") from error
    finally:
        tf.keras.config.set_dtype_policy(before)
    return model


def _is_double(case: Case) -> bool:
    dtypes = {np.dtype(tensor.dtype) for tensor in case.inputs.values()}
    return np.dtype("float64") in dtypes and np.dtype("float32") not in dtypes


def _call(case: Case, model: Any, tensors: Mapping[str, Any]) -> Any:
    import tensorflow as tf

    inputs = [tensors[name] for name in forward_inputs(case)]
    if isinstance(model, tf.keras.layers.Layer):
        multiple = isinstance(model, tf.keras.Model) and len(inputs) > 1
        return model(inputs, training=case.training) if multiple else model(*inputs, training=case.training)
    return model(*inputs)


def _with_gradients(tf: Any, case: Case, model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Forward results and the gradients that are asked for; what the case declares absent nobody asks."""
    assert case.gradient is not None
    given = [name for name in case.gradient.wrt if name in tensors]
    with tf.GradientTape() as tape:
        for name in given:
            tape.watch(tensors[name])
        results = named(case, "tensorflow", _call(case, model, tensors))
    sources = [tensors[name] if name in given else results[name] for name in case.gradient.wrt]
    gradients = tape.gradient(results[case.gradient.of], sources, output_gradients=tensors[case.gradient.cotangent])
    asked = {f"grad_{name}": value for name, value in zip(case.gradient.wrt, gradients, strict=True)}
    declared = {name: None for name in case.outputs if name.startswith("grad_")}
    return {name: results[name] for name in forward_outputs(case)} | declared | asked


def _array(value: Any) -> Array:
    import tensorflow as tf

    if isinstance(value, tf.IndexedSlices):
        value = tf.convert_to_tensor(value)
    if not isinstance(value, (tf.Tensor, tf.Variable)) and not hasattr(value, "numpy"):
        raise BuilderError(f"tensorflow: the model returned a {type(value).__name__}, expected a tensor")
    return np.array(value.numpy())


def _captures_inside(proto: Any, concrete: Any) -> None:
    """Turn inputs that stand for captured tensors into initializers with the captured values, in place."""
    import onnx.numpy_helper

    inside = {inner.name: outer for outer, inner in concrete.graph.captures if outer.dtype.name != "resource"}
    for value in [v for v in proto.graph.input if v.name in inside]:
        proto.graph.input.remove(value)
        array = np.asarray(inside[value.name].numpy())
        if value.name not in {tensor.name for tensor in proto.graph.initializer}:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))


@contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Collect what tf2onnx logs: its only word about an operator it could not convert."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setLevel(logging.WARNING)
    loggers = [logging.getLogger("tf2onnx"), logging.getLogger("tensorflow")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield log
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _scope(name: str) -> str:
    """``name`` as TensorFlow accepts it for an operation."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _refused_op(error: BaseException) -> str | None:
    """The operator that a refusal names; a node's name is its operator's, in a scope and with a number."""
    text = str(error)
    match = re.search(r"No gradient defined for operation '[^']*' \(op type: (\w+)\)", text)
    match = match or re.search(r"node with output '(?:[^'/]*/)*([A-Za-z]\w*?)(?:_\d+)?(?::\d+)?'", text)
    match = match or re.search(r"(?:Unsupported op|[Oo]p type)\W+'?(\w+)", text)
    return match[1] if match else None


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (f"{type(error).__name__}: " + (lines[0] if lines else ""))[:400]


FRAMEWORK = TensorFlow()
