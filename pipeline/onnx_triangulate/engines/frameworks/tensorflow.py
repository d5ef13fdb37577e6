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

import inspect
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.cases.inputs import forward_inputs
from onnx_triangulate.cases.layout import order
from onnx_triangulate.engines.frameworks import _model_state
from onnx_triangulate.engines.frameworks._built_weights import computed, given, in_float64
from onnx_triangulate.engines.frameworks._logs import collected
from onnx_triangulate.engines.frameworks._onnx_file import border, write, write_arrays
from onnx_triangulate.engines.frameworks._results import (
    BuilderError,
    computes_float64,
    forward_outputs,
    kind_of,
    named,
    raised,
)
from onnx_triangulate.engines.frameworks._stored_values import ValueWriter, write_values
from onnx_triangulate.engines.frameworks._tensorflow_roundings import RoundingTrace, moving
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.records.faults import Origin, SourceValues
from onnx_triangulate.records.runs import Failure, Jitter, Model, Roundings

_NCHW = {"n h w c": "n c h w"}


@dataclass(frozen=True)
class _Program:
    """A case's model, built in one precision, and what it is fed: inputs, parameters and other values by name."""

    case: Case
    model: Any
    tensors: Mapping[str, Any]

    @staticmethod
    def build(
        case: Case, values: Mapping[str, Any], *, double: bool = False, seed: int, move: Move | None = None
    ) -> _Program:
        tensors = _tensors(case, values, double, move)
        return _Program(case, _build(case, values, tensors, double=double, seed=seed), tensors)

    @property
    def variables(self) -> Sequence[Any]:
        """The variables of the model, or those that a plain function captures."""
        own = tuple(getattr(self.model, "variables", ()))
        return own or self.captured(self.function()[0].get_concrete_function())

    def captured(self, traced: Any) -> Sequence[Any]:
        """The variables of a traced function that are no parameters of the case, by name: it has them in no order."""
        own = {id(value) for value in self.tensors.values()}
        captured = [variable for variable in traced.variables if id(variable) not in own]
        return sorted(captured, key=lambda variable: (variable.name, tuple(variable.shape)))

    def results(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the model gives for ``tensors``, and the gradients that are asked for, by name."""
        if self.case.gradient is None:
            return named(self.case, "tensorflow", _call(self.case, self.model, tensors))
        return _with_gradients(self.case, self.model, tensors)

    def write_weights(self, variables: Sequence[Any], values: Mapping[str, Any], seed: int, folder: Path) -> Path:
        """Variables of the model, but those that its builder computed, and the case's own parameters, in one file."""
        held = [np.asarray(variable) for variable in variables]
        held = given(held, _in_double(self.case, values, seed) if held else [])
        own = [self.tensors[name] for name in self.case.parameters]
        held += [np.asarray(value) for value in own if hasattr(value, "numpy")]
        return write_arrays(held, folder / "tensorflow.weights.npz")

    def refuse_narrow(self) -> None:
        """Raise where the model, built in float64, has a step in a narrower float type."""
        import tensorflow as tf

        from onnx_triangulate.engines.frameworks._tensorflow_values import all_nodes

        narrow = [kind.as_datatype_enum for kind in (tf.float32, tf.float16, tf.bfloat16)]
        definition = _traced_through(self.function()[0]).graph.as_graph_def()
        for node in all_nodes(definition):
            if any(attribute.type in narrow for attribute in node.attr.values()):
                raise TypeError(f"{node.op} computes in a narrower type than float64")

    def function(self, *, open_axes: bool = False, moved: RoundingTrace | None = None) -> tuple[Any, list[str]]:
        """The case as a ``tf.function`` of its inputs in order, and the names of its outputs once it was traced.

        ``open_axes`` leaves the sizes of the case's dynamic axes open, as an export must.  With ``moved`` the function
        takes two arguments more, in front: how far each result is moved, and a seed.
        """
        import tensorflow as tf

        names: list[str] = []

        def positional(*inputs: Any) -> list[Any]:
            results = self.results({**self.tensors, **dict(zip(self.case.inputs, inputs, strict=True))})
            kept = {name: value for name, value in results.items() if value is not None}
            names[:] = kept
            return [tf.identity(value, name=_scope(f"out_{name}")) for name, value in kept.items()]

        def moving_first(ways: Any, seed: Any, *inputs: Any) -> list[Any]:
            assert moved is not None
            with moving(moved, ways, seed, inputs):
                results = positional(*inputs)
            moved.longest = moved.count(results)
            return [*results, *moved.counters()]

        signature = [self._spec(name, tensor, open_axes) for name, tensor in self.case.inputs.items()]
        if moved is None:
            return tf.function(positional, input_signature=signature), names
        kind = tf.float64 if moved.double else tf.float32
        both = [tf.TensorSpec([None], kind, name="ways"), tf.TensorSpec([], tf.int32, name="seed")]
        return tf.function(moving_first, input_signature=[*both, *signature]), names

    def _spec(self, name: str, tensor: Tensor, open_axes: bool) -> Any:
        import tensorflow as tf

        held = self.tensors[name]
        shape = list(held.shape)
        if open_axes:
            sizes = zip(order(tensor, "tensorflow", TensorFlow.layouts).split(), shape, strict=True)
            shape = [None if axis in self.case.dynamic else size for axis, size in sizes]
        return tf.TensorSpec(shape, held.dtype, name=name)


@dataclass(frozen=True)
class _Trace:
    """A program traced with what it rounds: a function of how far each result is moved, a seed and the inputs; the
    names of its outputs, and the tensors that it is fed."""

    traced: RoundingTrace
    function: Callable[..., Any]
    names: Sequence[str]
    tensors: Mapping[str, Any]


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

    def native(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Mapping[str, Any]:
        """Run eagerly; gradients by a ``GradientTape``.  A gradient that TensorFlow does not give is ``None``.

        A model that cannot be built in float64, or computes in a narrower type all the same, is frozen, as tf2onnx
        freezes it, and its graph turned to float64.
        """
        return next(self._runs(case, values, double=double, seed=seed, jitters=(None,)))

    def instance(self, case: Case, values: Mapping[str, Any], *, seed: int) -> _Instance:
        return _Instance(_Program.build(case, values, seed=seed))

    def perturbed(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter]
    ) -> Iterator[Mapping[str, Any]]:
        """A model without parameters of the case is built once, and its variables are moved where they are."""
        if any(jitter.what != "inputs" for jitter in jitters):
            _, run = self._moving(case, values, double=double, seed=seed)
            yield from map(run, jitters)
        elif case.parameters:
            for jitter in jitters:
                yield from self._runs(case, values, double=double, seed=seed, jitters=(jitter,))
        else:
            yield from self._runs(case, values, double=double, seed=seed, jitters=jitters)

    def roundings(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Roundings | None:
        """Counted while the case is traced."""
        traced, _ = self._moving(case, values, double=double, seed=seed)
        return Roundings(traced.longest, tuple(traced.unknown))

    def _moving(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int
    ) -> tuple[RoundingTrace, Callable[[Jitter], dict[str, Any]]]:
        """The case traced with what it rounds ready to be moved, and a function that runs it under a jitter.

        The last one is kept: whoever counts roundings moves them next.  Raises ``NotImplementedError`` where that
        cannot be had.
        """
        for asked, fed, precise, drawn, kept, again in _traced:
            if asked is case and fed is values and (precise, drawn) == (double, seed):
                return kept, again
        try:
            trace = self._trace(case, values, double=double, seed=seed)
        except BuilderError:
            raise
        except Exception as error:
            raise NotImplementedError(f"the roundings of this cannot be moved: {_one_line(error)}") from error
        traced, names = trace.traced, trace.names
        kind = np.float64 if double else np.float32

        def run(jitter: Jitter | None) -> dict[str, Any]:
            import tensorflow as tf

            step = 0.0 if jitter is None else jitter.step
            step = step if double or not step else float(np.finfo(np.float32).eps)
            ways = tf.constant(traced.ways(jitter, step).astype(kind))
            seed = 0 if jitter is None else jitter.seed
            fed = [trace.tensors[name] for name in case.inputs]
            made = trace.function(ways, tf.constant(seed, tf.int32), *fed)
            results = dict(zip(names, made, strict=False))
            if jitter is None:
                traced.passes([int(counter) for counter in made[len(names) :]])
            return _arrays(_with_absent(case, results))

        if traced.loops:
            run(None)
        _traced[:] = [(case, values, double, seed, traced, run)]
        return traced, run

    def _trace(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> _Trace:
        """The case traced in one precision or, where its model is not float64 inside, frozen and turned to it."""
        try:
            return self._trace_as_built(case, values, double=double, seed=seed)
        except BuilderError:
            raise
        except Exception:
            if not double or computes_float64(case):
                raise
        return self._trace_frozen(case, values, seed)

    def _trace_as_built(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> _Trace:
        traced = RoundingTrace(double=double)
        program = _Program.build(case, values, double=double, seed=seed)
        if double and not computes_float64(case):
            program.refuse_narrow()
        function, names = program.function(moved=traced)
        called = _traced_through(function)
        if traced.unseen:  # what the builder makes anew has not been traced yet
            program = replace(program, model=_build(case, values, program.tensors, double=double, seed=seed))
            function, names = program.function(moved=traced)
            called = _traced_through(function)
        return _Trace(traced, called, names, program.tensors)

    def _trace_frozen(self, case: Case, values: Mapping[str, Any], seed: int) -> _Trace:
        from onnx_triangulate.engines.frameworks._tensorflow_float64 import double as frozen_in_double

        traced = RoundingTrace(exact=False)  # all that float32 holds is what it is, and float64 holds more
        function, names = _Program.build(case, values, seed=seed).function(moved=traced)
        frozen = frozen_in_double(_traced_through(function))
        return _Trace(traced, lambda *fed: frozen(fed, None), names, _tensors(case, values, True, None))

    def _runs(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter | None]
    ) -> Iterator[Mapping[str, Any]]:
        """One answer for each of ``jitters``; None is without one."""
        if not double or computes_float64(case):
            yield from self._eager(case, values, double=double, seed=seed, jitters=jitters)
            return
        try:
            runs = self._eager(case, values, double=True, seed=seed, jitters=jitters)
            first = next(runs)
        except BuilderError:
            raise
        except Exception as refusal:  # variables of its own in float32, most often
            yield from self._frozen_in_double(case, values, seed, jitters, refusal)
            return
        yield first
        yield from runs

    def _eager(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter | None]
    ) -> Iterator[Mapping[str, Any]]:
        program = None
        for jitter in jitters:
            move = _mover(jitter)
            if program is None:
                program = _Program.build(case, values, double=double, seed=seed, move=move)
                own = program.variables if move is not None else ()
                still = [np.asarray(variable) for variable in own]
                if double and not computes_float64(case):
                    program.refuse_narrow()
            else:
                program = replace(program, tensors=_tensors(case, values, double, move))
            try:
                if move is not None:
                    for variable, value in zip(own, still, strict=True):
                        variable.assign(move(value) if value.dtype in (np.float32, np.float64) else value)
                answer = _arrays(program.results(program.tensors))
            finally:
                for variable, value in zip(own, still, strict=True):  # the builder may give the same model again
                    variable.assign(value)
            yield answer

    def export(
        self, case: Case, values: Mapping[str, Any], exporters: Sequence[str], folder: Path, *, seed: int
    ) -> Sequence[Model]:
        """Convert with each of ``exporters``."""
        return [self._convert(case, values, exporter, folder, seed) for exporter in exporters]

    def weights(self, case: Case, values: Mapping[str, Any], folder: Path, *, seed: int) -> Path:
        """The variables of a model, or those that a plain function captures, and the case's own parameters."""
        program = _Program.build(case, values, seed=seed)
        return program.write_weights(program.variables, values, seed, folder)

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
        """Every tensor of the frozen graph that was converted, by the ONNX graph's names, in both precisions."""
        import onnx

        from onnx_triangulate.engines.frameworks._tensorflow_values import freeze, intermediates, matched

        assert model.file is not None
        proto = onnx.load(model.file, load_external_data=False) if proto is None else proto
        key = (case.name, seed, str(folder), *(np.shape(values[name]) for name in case.inputs))
        if key not in _kept:  # traced and frozen once for both precisions and every graph
            function, _ = _Program.build(case, values, seed=seed).function(open_axes=True)
            _kept.clear()
            try:
                _kept[key] = freeze(function.get_concrete_function())
            except Exception as error:  # whatever freezing raises
                return SourceValues(model.graph, error=Failure("refused", _one_line(error)))
        frozen = _kept[key]
        wanted = matched(proto, frozen.outputs, list(model.outputs.values()), frozen.definition)

        def write_in(kept: ValueWriter, double: bool) -> None:
            tensors = _tensors(case, values, double=double, move=None)
            intermediates(frozen, [tensors[name] for name in case.inputs], wanted, kept.write, double=double)

        found = write_values(model.graph, folder, doubles, write_in, _one_line)
        if found.error is not None:
            return found
        ops = {node.name: node.op for node in frozen.definition.node}
        makers = {name: wanted[name].rpartition(":")[0] for name in found.names}
        return replace(
            found, origins={n: Origin(maker, op=ops.get(maker, "")) for n, maker in makers.items()}, permuted=True
        )

    def _frozen_in_double(
        self,
        case: Case,
        values: Mapping[str, Any],
        seed: int,
        jitters: Sequence[Jitter | None],
        refusal: Exception,
    ) -> Iterator[Mapping[str, Any]]:
        """The frozen graph in float64; what the builder's own float64 run raised, where that cannot be had either."""
        from onnx_triangulate.engines.frameworks._tensorflow_float64 import double

        try:
            program = _Program.build(case, values, seed=seed)
            function, names = program.function()
            own = [np.asarray(variable) for variable in program.variables]
            run = double(function.get_concrete_function(), computed(own, _in_double(case, values, seed)))
        except BuilderError:
            raise
        except Exception:
            raise refusal from None
        for jitter in jitters:
            move = _mover(jitter)
            try:
                wide = _tensors(case, values, double=True, move=move)
                arguments = [wide[name] for name in case.inputs]
                moved = run(arguments, move)
            except Exception:
                raise refusal from None
            yield _arrays(_with_absent(case, dict(zip(names, moved, strict=True))))

    def _convert(self, case: Case, values: Mapping[str, Any], exporter: str, folder: Path, seed: int) -> Model:
        import tf2onnx

        graph = f"tensorflow:{exporter}" if exporter else "tensorflow"
        started = time.perf_counter()
        with collected("tf2onnx", "tensorflow") as log:
            try:
                program = _Program.build(case, values, seed=seed)
                function, names = program.function(open_axes=True)
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
        variables = getattr(program.model, "variables", ()) or program.captured(concrete)
        weights = program.write_weights(variables, values, seed, folder)
        file = write(proto, folder / f"{graph.replace(':', '.')}.onnx")
        inputs, outputs, problem = border(proto, list(case.inputs), names)
        return Model(
            graph,
            file=file,
            error=Failure("refused", f"{graph}: {problem}") if problem else None,
            inputs=inputs,
            outputs=outputs,
            axes=axes,
            weights=weights,
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


class _Instance:
    """A model that is built once and asked more than once."""

    def __init__(self, program: _Program) -> None:
        self._program, self._model = program, program.model

    def __call__(self, values: Mapping[str, Any], *, seed: int) -> Mapping[str, Any]:
        import tensorflow as tf

        tf.keras.utils.set_random_seed(seed)
        case, program = self._program.case, self._program
        fed = _tensors(case, {name: values[name] for name in case.inputs}, double=False, move=None)
        return _arrays(program.results({**program.tensors, **fed}))

    def state(self) -> Mapping[str, str]:
        """Variables by their path, those of what a function has closed over too, and plain Python values."""
        import tensorflow as tf

        found: dict[str, str] = {}
        closed = _model_state.closed_over(self._model)
        for path, holder in [("", self._model), *closed.items()]:
            for variable in getattr(holder, "variables", ()):
                name = getattr(variable, "path", "") or variable.name
                found |= _model_state.plain(f"{path}.{name}" if path else name, variable, _digest)
            if isinstance(holder, (tf.Module, tf.keras.layers.Layer)):
                own = {key: value for key, value in vars(holder).items() if not key.startswith("_")}
                for key, value in own.items():
                    if isinstance(value, (int, float, str, list, tuple, dict, np.ndarray, tf.Tensor)):
                        found |= _model_state.plain(f"{path}.{key}" if path else key, value, _digest)
            elif path:
                found |= _model_state.plain(path, holder, _digest)
        return found


def _digest(value: Any) -> bytes | None:
    import tensorflow as tf

    if isinstance(value, (tf.Module, tf.keras.layers.Layer, tf.types.experimental.PolymorphicFunction)):
        return b""  # its variables are looked at by name
    if not hasattr(value, "numpy"):
        return None
    try:
        return _model_state.array_digest(np.asarray(value.numpy()))
    except Exception:  # a value without numbers of its own
        return repr(value).encode()


# The last case that was traced with what it rounds: what it was asked for, and the answer.
_traced: list[tuple[Case, Mapping[str, Any], bool, int, RoundingTrace, Callable[[Jitter], dict[str, Any]]]] = []
_kept: dict[tuple[Any, ...], Any] = {}  # the last case whose values were asked for, frozen


def _tensors(case: Case, values: Mapping[str, Any], double: bool, move: Move | None) -> dict[str, Any]:
    """Inputs as constants, parameters as variables that the exporter freezes, other values as they are."""
    import tensorflow as tf

    tensors: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            tensors[name] = value
            continue
        if double and value.dtype == np.float32:
            value = value.astype(np.float64)
        if move is not None and np.issubdtype(value.dtype, np.floating):
            value = move(value)
        tensors[name] = (
            tf.Variable(value, trainable=False, name=name) if name in case.parameters else tf.constant(value)
        )
    return tensors


Move = Callable[[Array], Array]


def _mover(jitter: Jitter | None) -> Move | None:
    """Moves an array by the jitter's step if it is float64, else by its own type's eps."""
    if jitter is None:
        return None
    random = np.random.default_rng(jitter.seed)
    ways = [-1.0, 0.0] if jitter.inward else [-1.0, 1.0]

    def move(value: Array) -> Array:
        step = jitter.step if value.dtype == np.float64 else float(np.finfo(value.dtype).eps)
        return np.asarray(value * (1 + random.choice(ways, value.shape) * step), dtype=value.dtype)

    return move


def _build(case: Case, values: Mapping[str, Any], tensors: Mapping[str, Any], *, double: bool, seed: int) -> Any:
    """The case's model; in float64 it is built a second time and given the first one's weights."""
    if not double or computes_float64(case):
        return _built(case, tensors, seed, "float64" if computes_float64(case) else "float32")
    model = _built(case, _tensors(case, values, double=False, move=None), seed, "float32")
    if not getattr(model, "variables", ()):
        return _built(case, tensors, seed, "float32")
    twice = _built(case, tensors, seed, "float64")
    for there, here in zip(twice.variables, model.variables, strict=True):
        there.assign(in_float64(np.asarray(here), np.asarray(there)))
    return twice


def _in_double(case: Case, values: Mapping[str, Any], seed: int) -> list[Array]:
    """The variables of a case's model as its builder makes them of parameters in float64; none where it cannot."""
    if not case.parameters or computes_float64(case):
        return []
    try:
        tensors = _tensors(case, values, double=True, move=None)
        program = _Program(case, _built(case, tensors, seed, "float64"), tensors)
        return [np.asarray(each) for each in program.variables]
    except Exception:  # whatever the builder raises that knows float32 only
        return []


def _built(case: Case, tensors: Mapping[str, Any], seed: int, floatx: str) -> Any:
    """The builder's model, called once where it makes its variables at the first call."""
    import tensorflow as tf

    before = tf.keras.config.dtype_policy()
    tf.keras.backend.clear_session(free_memory=False)  # Keras numbers its layers on and on, too
    tf.keras.config.set_dtype_policy(floatx)  # floatx alone does not reach a policy that has been asked for once
    tf.keras.utils.set_random_seed(seed)
    try:
        try:
            model = case.builders["tensorflow"](tf, **{name: tensors[name] for name in case.parameters})
        except Exception as error:
            raise raised("tensorflow", error, _one_line(error)) from error
        if not callable(model):
            raise BuilderError(f"tensorflow: the builder returned {kind_of(model)}, expected a model to call")
        if isinstance(model, tf.keras.layers.Layer):
            if not model.built:
                _call(case, model, tensors)
        elif isinstance(model, tf.Module) and not model.variables and not case.parameters:
            _call(case, model, tensors)
    finally:
        tf.keras.config.set_dtype_policy(before)
    return model


def _call(case: Case, model: Any, tensors: Mapping[str, Any]) -> Any:
    """The forward model on its inputs: in their order, by name, or as the one structure that a Keras model takes."""
    import tensorflow as tf

    fed = {name: tensors[name] for name in forward_inputs(case)}
    if not isinstance(model, tf.keras.layers.Layer):
        return model(**fed) if case.by_name else model(*fed.values())
    mode = {"training": case.training}
    takes = inspect.signature(model.call).parameters
    required = [p for p in takes.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if case.by_name:
        apart = all(name in takes for name in fed) or not required
        return model(**fed, **mode) if apart else model(fed, **mode)
    together = isinstance(model, tf.keras.Model) and len(fed) > 1 and len(required) == 1
    together = together and required[0].kind is not inspect.Parameter.VAR_POSITIONAL
    return model(list(fed.values()), **mode) if together else model(*fed.values(), **mode)


def _with_gradients(case: Case, model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Forward results and the gradients that are asked for; what the case declares absent nobody asks."""
    import tensorflow as tf

    assert case.gradient is not None
    given = [name for name in case.gradient.wrt if name in tensors]
    with tf.GradientTape() as tape:
        for name in given:
            tape.watch(tensors[name])
        results = named(case, "tensorflow", _call(case, model, tensors))
    sources = [tensors[name] if name in given else results[name] for name in case.gradient.wrt]
    gradients = tape.gradient(results[case.gradient.of], sources, output_gradients=tensors[case.gradient.cotangent])
    dense = [
        tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients
    ]  # one tensor, not three
    asked = {f"grad_{name}": value for name, value in zip(case.gradient.wrt, dense, strict=True)}
    declared = {name: None for name in case.outputs if name.startswith("grad_")}
    return {name: results[name] for name in forward_outputs(case)} | declared | asked


def _with_absent(case: Case, results: Mapping[str, Any]) -> dict[str, Any]:
    """With the gradients that a case speaks of and that do not exist."""
    declared = [name for name in case.outputs if name.startswith("grad_")]
    return {**results, **{name: None for name in declared if name not in results}}


def _traced_through(function: Any) -> Any:
    """The concrete function of a ``tf.function``, traced with what it calls in it, so that all operators are seen.

    A function that TensorFlow has traced before is called and not traced again.  Where it has to be, for the sake of
    control flow that AutoGraph alone can put into a graph, it stays a call.
    """
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        return function.get_concrete_function()
    except Exception:  # whatever a program raises that is traced without AutoGraph
        tf.config.run_functions_eagerly(before)
        return function.get_concrete_function()
    finally:
        tf.config.run_functions_eagerly(before)


def _arrays(results: Mapping[str, Any]) -> dict[str, Array | None]:
    return {name: None if value is None else _array(value) for name, value in results.items()}


def _array(value: Any) -> Array:
    import tensorflow as tf

    if isinstance(value, tf.IndexedSlices):
        value = tf.convert_to_tensor(value)
    if not isinstance(value, (tf.Tensor, tf.Variable)) and not hasattr(value, "numpy"):
        raise BuilderError(f"tensorflow: the model returned {kind_of(value)}, expected a tensor")
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
    if lines and lines[0].endswith("in user code:"):  # TensorFlow's trace of a traced function; the reason comes last
        return lines[-1][:400]
    return (f"{type(error).__name__}: " + (lines[0] if lines else ""))[:400]


FRAMEWORK = TensorFlow()
