"""PyTorch: native runs, ``torch.onnx.export(dynamo=True)`` with and without its optimizer, and TorchScript's exporter.

One dynamo export gives both graphs: it is made without the optimizer, kept as ``torch:raw``, then optimized in place
with the exporter's public ``ONNXProgram.optimize`` and kept as ``torch``, which is what people ship.  The operator
registry of the exporter is the same at every call and takes most of its time; it is built once per worker
(:func:`_shared_registry`, the only private name used here).

Gradients: natively by ``backward()``.  For export the forward pass and ``torch.autograd.grad`` are traced together by
``make_fx`` into plain operators, and that graph goes through the same exporters as any other model.  Where torch has no
decomposition of a backward operator into exportable ones, ``engines.frameworks._torch_gradients`` gives one; the
model's notes say so.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import logging
import re
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.cases.inputs import forward_inputs
from onnx_triangulate.cases.layout import order
from onnx_triangulate.engines.frameworks import _model_state, _onnx_file
from onnx_triangulate.engines.frameworks._built_weights import LARGE, given, in_float64
from onnx_triangulate.engines.frameworks._logs import collected
from onnx_triangulate.engines.frameworks._onnx_file import write_arrays
from onnx_triangulate.engines.frameworks._results import (
    BuilderError,
    computes_float64,
    forward_outputs,
    kind_of,
    named,
    raised,
)
from onnx_triangulate.engines.frameworks._stored_values import ValueWriter, write_values
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case
from onnx_triangulate.records.faults import SourceValues
from onnx_triangulate.records.runs import Failure, Jitter, Model, Roundings

REGISTRY_SEEN_IN = "2.13.0"
_CHUNK = 2**22


class Torch:
    name = "torch"
    distributions = ("torch", "onnxscript", "onnx")
    exporters = ("", "raw", "script")
    layouts: Mapping[str, str] = {}

    def warm(self) -> None:
        import torch

        torch.set_num_threads(1)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        import torch._dynamo
        import torch._functorch.aot_autograd
        import torch.export
        import torch.onnx

    def native(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Mapping[str, Any]:
        """Run eagerly; gradients by ``backward()``.  A gradient that torch does not give is ``None``.

        In float64 the model's float32 means float64; what is another program then is refused.
        """
        return self._native(case, values, double=double, seed=seed, jitter=None)

    def instance(self, case: Case, values: Mapping[str, Any], *, seed: int) -> _Instance:
        import torch

        with torch.no_grad():
            tensors = _tensors(values)
            return _Instance(case, _build(case, tensors, double=False, seed=seed))

    def perturbed(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitters: Sequence[Jitter]
    ) -> Iterator[Mapping[str, Any]]:
        """A module without parameters of the case is built once, and its weights are moved where they are."""
        import torch

        if case.parameters or case.gradient is not None:
            for jitter in jitters:
                yield self._native(case, values, double=double, seed=seed, jitter=jitter)
            return
        watch = _watch(case, double)
        with torch.no_grad():
            model = _build(case, {}, double=double, seed=seed)
            own = _held(model)
            still = [_kept(tensor) for tensor in own]
            for jitter in jitters:
                tensors = _tensors(values, double)
                for tensor, value in zip(own, still, strict=True):
                    tensor.data.copy_(value)
                _jitter_([*tensors.values(), *own], jitter, double=double)
                with _rounding(tensors, jitter)(), watch():
                    returned = _call(case, model, tensors)
                yield _arrays(named(case, self.name, returned))

    def roundings(self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int) -> Roundings | None:
        """Counted while the case runs, forward and backward."""
        from onnx_triangulate.engines.frameworks._torch_dispatch import watching
        from onnx_triangulate.engines.frameworks._torch_roundings import Roundings as Counting

        tensors = _tensors(values, double)
        counting = Counting(tensors[name] for name in case.inputs if name in tensors)
        results = self._results(
            case, tensors, double=double, seed=seed, jitter=None, counting=partial(watching, counting.run)
        )
        return Roundings(counting.count(list(results.values())), tuple(counting.unknown))

    def _native(
        self, case: Case, values: Mapping[str, Any], *, double: bool, seed: int, jitter: Jitter | None
    ) -> Mapping[str, Any]:
        tensors = _tensors(values, double)
        if jitter is not None:
            _jitter_(tensors.values(), jitter, double=double)
        return _arrays(self._results(case, tensors, double=double, seed=seed, jitter=jitter))

    def _results(
        self,
        case: Case,
        tensors: Mapping[str, Any],
        *,
        double: bool,
        seed: int,
        jitter: Jitter | None,
        counting: Any = None,
    ) -> dict[str, Any]:
        """What the case gives for its inputs and parameters, as tensors."""
        import torch

        watch = _watch(case, double)
        rounding = counting if counting is not None else _rounding(tensors, jitter)
        if case.gradient is None:
            with torch.no_grad():
                model = _build(case, tensors, double=double, seed=seed)
                if jitter is not None:
                    _jitter_(_held(model), jitter, double=double)
                with rounding(), watch():
                    returned = _call(case, model, tensors)
                return dict(named(case, self.name, returned))
        leaves = {n: tensors[n].requires_grad_() for n in case.gradient.wrt if n in tensors}
        model = _build(case, tensors, double=double, seed=seed)
        with rounding(), watch():
            returned = _call(case, model, tensors)
        results = dict(named(case, self.name, returned))
        sources = {n: leaves[n] if n in leaves else results[n] for n in _gradient_sources(case)}
        for name in case.gradient.wrt:
            sources[name].retain_grad()
        with rounding():
            results[case.gradient.of].backward(tensors[case.gradient.cotangent])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # reading .grad of a value that is not a leaf is what is meant here
            return results | {f"grad_{name}": source.grad for name, source in sources.items()}

    def export(
        self, case: Case, values: Mapping[str, Any], exporters: Sequence[str], folder: Path, *, seed: int
    ) -> Sequence[Model]:
        """Export with each of ``exporters``; ``""`` and ``"raw"`` share one export."""
        models: list[Model] = []
        if {"", "raw"} & set(exporters):
            models += self._dynamo(case, values, folder, seed)
        if "script" in exporters:
            models.append(self._script(case, values, folder, seed))
        return [model for model in models if (model.graph.partition(":")[2]) in exporters]

    def _dynamo(self, case: Case, values: Mapping[str, Any], folder: Path, seed: int) -> list[Model]:

        started = time.perf_counter()
        try:
            found = _exportable(case, values, seed)
        except BuilderError:
            raise
        except Exception as error:  # whatever tracing the gradient raises is the exporter's refusal
            return [_refused(graph, error) for graph in ("torch", "torch:raw")]
        with _quiet() as log, _shared_registry():
            try:
                program = _program(case, found)
            except Exception as error:  # the exporter's own refusal, whatever its type
                return [_refused(graph, error, log.getvalue()) for graph in ("torch", "torch:raw")]
            _keep_program((case.name, seed, str(folder)), program.exported_program)
            log.write(_why_fixed(case, found, program))
            models = [_written("torch:raw", program, folder, case, found, started, log)]
            try:
                program.optimize()
                models.append(_written("torch", program, folder, case, found, started, log))
            except Exception as error:  # the exporter's optimizer refuses: the raw graph stands
                models.append(
                    Model("torch", error=Failure("refused", f"optimize: {_one_line(error)}"), log=log.getvalue())
                )
        return models

    def weights(self, case: Case, values: Mapping[str, Any], folder: Path, *, seed: int) -> Path:
        """Parameters and buffers of a module, and the case's own parameters."""
        import torch

        tensors = _tensors(values)
        model = _build(case, tensors, double=False, seed=seed)
        held = [_array(_widened(tensor)) for tensor in _held(model)]
        if case.parameters and held and _bytes(model) < LARGE:
            with contextlib.suppress(Exception):  # whatever a builder raises that knows float32 only
                double = _build(case, _tensors(values, double=True), double=True, seed=seed)
                held = given(held, [_array(_widened(tensor)) for tensor in _held(double)])
        own = [tensors[name] for name in case.parameters if isinstance(tensors[name], torch.Tensor)]
        return write_arrays([*held, *[_array(_widened(tensor)) for tensor in own]], folder / "torch.weights.npz")

    def passes(self) -> tuple[str, ...]:
        """The passes of the exporter's optimizer, which makes ``torch`` of ``torch:raw``."""
        from onnx_triangulate.engines.frameworks._torch_optimizer import names

        return names()

    def optimized(self, raw: Path, off: Sequence[str], place: Path) -> Path:
        """``torch:raw`` after the optimizer's passes without those in ``off``, written to ``place``."""
        from onnx_triangulate.engines.frameworks._torch_optimizer import optimized

        with _quiet():
            return optimized(raw, off, place)

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
        """Every value of the program that was exported, by the graph's names, in both precisions."""
        import onnx

        from onnx_triangulate.engines.frameworks._torch_values import intermediates, origins, plain

        if model.graph == "torch:script":
            refused = Failure("refused", "TorchScript's exporter keeps no names of values")
            return SourceValues(model.graph, error=refused)
        assert model.file is not None
        proto = onnx.load(model.file, load_external_data=False) if proto is None else proto
        made = {name for node in proto.graph.node for name in node.output if name}
        traced = origins(proto, str(Path(__file__).parent))
        del proto
        key = (case.name, seed, str(folder))
        if key not in _programs:
            with _quiet(), _shared_registry():
                _keep_program(key, _program(case, _exportable(case, values, seed)).exported_program)
        tensors = _tensors(values)
        arguments = tuple(tensors[name] for name in _read_in_order(_programs[key], case))

        def write(kept: ValueWriter, double: bool) -> None:
            def take(name: str, tensor: Any) -> None:
                if name in made:
                    kept.write(name, plain(tensor))

            returned = intermediates(_programs[key], arguments, take, double=double)
            for tensor, name in zip(returned, model.outputs.values(), strict=True):
                if hasattr(tensor, "detach"):
                    kept.write(name, plain(tensor))

        found = write_values(model.graph, folder, doubles, write, _one_line)
        return found if found.error is not None else replace(found, origins=traced)

    def _script(self, case: Case, values: Mapping[str, Any], folder: Path, seed: int) -> Model:
        import torch

        started = time.perf_counter()
        with _quiet() as log:
            try:
                found = _exportable(case, values, seed)
                with torch.no_grad():
                    made = _scripted(case, found, folder)
            except BuilderError:
                raise
            except Exception as refused:  # the exporter's own refusal, whatever its type
                try:  # fused layers, which it does not know, are torch's own choice where there are no gradients
                    found = _exportable(case, values, seed)
                    made = _scripted(case, found, folder)
                except Exception as error:  # then it is not for that
                    return _refused("torch:script", error, log.getvalue())
                note = f"refused under torch.no_grad(), so exported without it: {_one_line(refused)}"
                found = replace(found, notes=(*found.notes, note))
            written = _written("torch:script", made, folder, case, found, started, log)
        frozen = _taken_for_constants(log.getvalue())
        notes = (f"its tracer took for constants: {'; '.join(frozen[:3])}",) if frozen else ()
        return replace(written, traced_constants=frozen, notes=(*written.notes, *notes))


def _scripted(case: Case, found: _Exportable, folder: Path) -> Any:
    """What TorchScript's exporter makes: a graph, or the file of one with its weights beside it."""
    import onnx
    import torch

    buffer: Any = io.BytesIO()
    mode = torch.onnx.TrainingMode
    if _bytes(found.module) >= _onnx_file.MOST:  # it puts every weight into a file of its own, beside the graph
        buffer = folder / "torch.script" / "model.onnx"
        buffer.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        found.module,
        found.args,
        buffer,
        kwargs=found.kwargs or None,
        dynamo=False,
        external_data=isinstance(buffer, Path),
        input_names=list(found.inputs),
        output_names=_output_names(case, found.outputs),
        dynamic_axes={name: axes for name, axes in _dynamic_axes(case).items() if axes},
        training=mode.TRAINING if case.training else mode.EVAL,
        do_constant_folding=not case.training,
    )
    return buffer if isinstance(buffer, Path) else onnx.load_from_string(buffer.getvalue())


class _Instance:
    """A model that is built once and asked more than once."""

    def __init__(self, case: Case, model: Any) -> None:
        self._case, self._model = case, model

    def __call__(self, values: Mapping[str, Any], *, seed: int) -> Mapping[str, Any]:
        import torch

        torch.manual_seed(seed)
        with torch.no_grad():
            tensors = _tensors({name: values[name] for name in self._case.inputs})
            return _arrays(named(self._case, "torch", _call(self._case, self._model, tensors)))

    def state(self) -> Mapping[str, str]:
        """Parameters, buffers, and the attributes that are its own and not every module's."""
        import torch

        if not isinstance(self._model, torch.nn.Module):
            return _model_state.plain("", self._model, _digest)
        found: dict[str, str] = {}
        common = vars(torch.nn.Module())
        for path, module in self._model.named_modules():
            held = {**module._parameters, **module._buffers}  # those that are tied have every name that they have
            held |= {key: value for key, value in vars(module).items() if key not in common}
            for name, value in held.items():
                if not isinstance(value, torch.nn.Module):
                    found |= _model_state.plain(f"{path}.{name}" if path else name, value, _digest)
        return found


def _digest(value: Any) -> bytes | None:
    import torch

    if isinstance(value, torch.nn.Module):
        whole = _model_state.plain("", [*value.parameters(), *value.buffers()], _digest)
        return repr(sorted(whole.items())).encode()
    if not isinstance(value, torch.Tensor):
        return None
    try:
        return _model_state.array_digest(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    except Exception:  # a layout without bytes of its own
        return repr(value).encode()


def _tensors(values: Mapping[str, Any], double: bool = False) -> dict[str, Any]:
    return {name: _tensor(value, double) for name, value in values.items()}


def _arrays(results: Mapping[str, Any]) -> dict[str, Array | None]:
    return {name: None if value is None else _array(value) for name, value in results.items()}


def _held(model: Any) -> list[Any]:
    """The parameters and buffers of a module; none of a plain function."""
    import torch

    return [*model.parameters(), *model.buffers()] if isinstance(model, torch.nn.Module) else []


def _tensor(value: Any, double: bool) -> Any:
    import torch

    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(value.copy())
    return tensor.double() if double and tensor.dtype == torch.float32 else tensor  # as the graph in float64 is fed


def _clone(value: Any) -> Any:
    return value.clone() if hasattr(value, "clone") else value


def _widened(tensor: Any) -> Any:
    import torch

    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _array(value: Any) -> Array:
    import torch

    if not isinstance(value, torch.Tensor):
        raise BuilderError(f"torch: the model returned {kind_of(value)}, expected a tensor")
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:  # numpy has none; onnx brings the package that has
        import ml_dtypes

        return np.array(value.contiguous().view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.array(value.numpy())


def _call(case: Case, model: Any, tensors: Mapping[str, Any]) -> Any:
    """The forward model on its inputs, in their order or by name."""
    fed = {name: tensors[name] for name in forward_inputs(case)}
    return model(**fed) if case.by_name else model(*fed.values())


def _read_in_order(program: Any, case: Case) -> list[str]:
    """The case's inputs in the order in which an exported program takes them."""
    _args, kwargs = program.example_inputs or ((), {})
    return list(kwargs) if kwargs else list(case.inputs)


def _kept(tensor: Any) -> Any:
    """A copy of a tensor's values, in float32 where that loses nothing: half the memory of a large model's weights.

    Whether it does is asked part by part, or asking would take more than it saves.
    """
    import torch

    if tensor.dtype != torch.float64 or not tensor.is_contiguous() or not tensor.dim():
        return tensor.data.clone()
    single = tensor.data.float()
    parts = zip(single.view(-1).split(_CHUNK), tensor.data.view(-1).split(_CHUNK), strict=True)
    return single if all(torch.equal(short.double(), whole) for short, whole in parts) else tensor.data.clone()


def _jitter_(tensors: Any, jitter: Jitter, *, double: bool) -> None:
    """Move every float tensor in place: by the jitter's step in float64, else by its type's eps."""
    import torch

    if jitter.what != "inputs":
        return
    generator = torch.Generator().manual_seed(jitter.seed)
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            continue
        step = jitter.step if double and tensor.dtype == torch.float64 else torch.finfo(tensor.dtype).eps
        whole = tensor.data.view(-1) if tensor.is_contiguous() else tensor.data
        for part in whole.split(_CHUNK) if whole.dim() else (whole,):
            signs = torch.randint(0, 2, part.shape, generator=generator, dtype=torch.int8)
            part.mul_(signs.to(part.dtype).mul_(step if jitter.inward else 2 * step).add_(1 - step))


def _rounding(tensors: Mapping[str, Any], jitter: Jitter | None) -> Callable[[], Any]:
    """Makes contexts in which what the program rounds is moved, where the jitter says so.

    They go around the watch for float64: what they compute themselves nobody watches.
    """
    if jitter is None or jitter.what == "inputs":
        return contextlib.nullcontext
    from onnx_triangulate.engines.frameworks._torch_dispatch import watching
    from onnx_triangulate.engines.frameworks._torch_roundings import Roundings as Moving

    return partial(watching, Moving(tensors.values(), jitter).run)


def _watch(case: Case, double: bool) -> Callable[[], Any]:
    from onnx_triangulate.engines.frameworks._torch_float64 import to_float64

    return partial(to_float64, single=not computes_float64(case)) if double else contextlib.nullcontext


def _build(case: Case, tensors: Mapping[str, Any], *, double: bool, seed: int) -> Any:
    import torch

    model = _built(case, tensors, seed)
    if isinstance(model, torch.nn.Module):
        if double or computes_float64(case):
            for tensor in _held(model):
                tensor.data = tensor.data.double() if tensor.dtype == torch.float32 else tensor.data
        if double and not computes_float64(case) and case.parameters and 0 < _bytes(model) < LARGE:
            _settle_(_held(model), _held(_built(case, _narrowed(tensors), seed)))
        model.train(case.training)
    return model


def _built(case: Case, tensors: Mapping[str, Any], seed: int) -> Any:
    """The builder's model for these parameters, a module of one's own."""
    import torch

    torch.manual_seed(seed)
    try:
        model = case.builders["torch"](torch, **{name: tensors[name] for name in case.parameters})
    except Exception as error:
        raise raised("torch", error, _one_line(error)) from error
    if not callable(model):
        raise BuilderError(f"torch: the builder returned {kind_of(model)}, expected a model to call")
    return _own(model) if isinstance(model, torch.nn.Module) else model


def _settle_(doubles: Sequence[Any], singles: Sequence[Any]) -> None:
    """Give the weights of a module that was built in float64 the values that count there (``_built_weights``)."""
    import torch

    if [each.shape for each in doubles] != [each.shape for each in singles]:  # another model in float64
        return
    for double, single in zip(doubles, singles, strict=True):
        if double.is_floating_point():
            value = in_float64(_array(_widened(single)), _array(_widened(double)))
            double.data = torch.from_numpy(value).to(double.dtype)


def _narrowed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors in float64 as they are in float32, and all else as it is."""
    import torch

    wide = {name for name, value in tensors.items() if isinstance(value, torch.Tensor) and value.dtype == torch.float64}
    return {name: value.detach().float() if name in wide else value for name, value in tensors.items()}


_large: weakref.WeakSet[Any] = weakref.WeakSet()


def _bytes(module: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def _own(module: Any) -> Any:
    """A module that what is done to it here does not leave: a builder may give the same one again.

    A large one is not copied; a builder that gives it twice is told to build it.
    """
    if _bytes(module) < LARGE:
        return copy.deepcopy(module)
    if module in _large:
        raise BuilderError("torch: the builder returned one large module twice; build it anew in the builder")
    _large.add(module)
    return module


def _gradient_sources(case: Case) -> list[str]:
    """Everything whose gradient the case speaks of, be it to say that there is none."""
    assert case.gradient is not None
    declared = [name.removeprefix("grad_") for name in case.outputs if name.startswith("grad_")]
    return list(dict.fromkeys([*case.gradient.wrt, *declared]))


@dataclass(frozen=True)
class _Exportable:
    """What is handed to an exporter, and the names of its inputs and outputs in the order that the graph has them."""

    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def _exportable(case: Case, values: Mapping[str, Any], seed: int) -> _Exportable:
    """What is handed to an exporter: the case's module, or its forward and backward pass traced together."""
    tensors = _tensors(values)
    arguments = tuple(tensors[name] for name in case.inputs)
    return (_exportable_model if case.gradient is None else _exportable_gradient)(case, tensors, arguments, seed)


def _exportable_model(case: Case, tensors: dict[str, Any], arguments: tuple[Any, ...], seed: int) -> _Exportable:
    """The case's module itself, called as its user calls it.

    A function is no module and is wrapped in one; so is a module whose results no exporter takes (a dataclass), or
    which gives one of its inputs back, for then the exporter has two values of one name.
    """
    import torch

    model = _build(case, tensors, double=False, seed=seed)
    with torch.no_grad():
        module = isinstance(model, torch.nn.Module)  # a large one is not built twice, if running leaves no trace
        again = not module or case.training or _bytes(model) < LARGE
        fed = {n: _clone(t) for n, t in tensors.items()}
        probed = _call(case, _build(case, tensors, double=False, seed=seed) if again else model, fed)
        probe = {name: value for name, value in named(case, "torch", probed).items() if value is not None}
    names = list(probe)
    ordered = _ordered(probe, probed) if module else None
    if ordered is not None and not any(value is given for value in probe.values() for given in fed.values()):
        if not case.by_name:
            return _Exportable(model, arguments, {}, tuple(case.inputs), ordered)
        inputs = _by_signature(model, list(case.inputs))
        return _Exportable(model, (), {n: tensors[n] for n in inputs}, inputs, ordered)

    def forward(model: Any, *inputs: Any) -> tuple[Any, ...]:
        results = named(case, "torch", _call(case, model, dict(zip(case.inputs, inputs, strict=True))))
        return _copied([results[name] for name in names], inputs)

    notes = ("wrapped in a module that returns a tuple of new tensors, which torch's exporters take",) * module
    return _Exportable(_module(model, forward, case), arguments, {}, tuple(case.inputs), tuple(names), notes)


def _exportable_gradient(case: Case, tensors: dict[str, Any], arguments: tuple[Any, ...], seed: int) -> _Exportable:
    import torch

    from onnx_triangulate.engines.frameworks._torch_gradients import trace

    gradient = case.gradient
    assert gradient is not None
    names = [*forward_outputs(case), *[f"grad_{name}" for name in gradient.wrt]]

    def both(*inputs: Any) -> tuple[Any, ...]:
        given = tensors | dict(zip(case.inputs, inputs, strict=True))
        given |= {name: given[name].detach().requires_grad_() for name in gradient.wrt if name in given}
        results = named(case, "torch", _call(case, _build(case, given, double=False, seed=seed), given))
        sources = [given[name] if name in given else results[name] for name in gradient.wrt]
        gradients = torch.autograd.grad(results[gradient.of], sources, given[gradient.cotangent])
        return _copied([*[results[name] for name in forward_outputs(case)], *gradients], inputs)

    traced, ours = trace(both, arguments)
    notes = (f"gradient traced with make_fx; decomposed by this project: {', '.join(ours)}",) if ours else ()
    return _Exportable(traced, arguments, {}, tuple(case.inputs), tuple(names), notes)


def _ordered(probe: Mapping[str, Any], returned: Any) -> tuple[str, ...] | None:
    """The names of a model's results in the order in which an exporter lays them out; None where it takes none."""
    import torch

    waiting, ordered = dict(probe), []
    for leaf in torch.utils._pytree.tree_leaves(returned):
        if leaf is None:
            continue
        name = next((name for name, value in waiting.items() if value is leaf), None)
        if name is None:
            return None
        del waiting[name]
        ordered.append(name)
    return tuple(ordered) if not waiting else None


def _by_signature(model: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The inputs that a module is called with by name, in the order in which its forward has them."""
    places = list(_parameters(model))
    return tuple(sorted(names, key=lambda name: places.index(name) if name in places else len(places)))


def _parameters(model: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a module's forward by name; none where Python cannot tell them."""
    try:
        return inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}


def _program(case: Case, found: _Exportable) -> Any:
    import torch

    _as_in_a_new_process()
    with torch.no_grad():
        program = torch.onnx.export(
            found.module,
            found.args,
            kwargs=found.kwargs or None,
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=list(found.inputs),
            output_names=_output_names(case, found.outputs),
            dynamic_shapes=_dynamic_shapes(case, found),
        )
    assert program is not None
    return program


def _as_in_a_new_process() -> None:
    """Make torch forget which implementation of an operator it took before.

    ``torch.onnx.export`` with dynamic axes puts loops in the place of LSTM and GRU while it traces, and torch remembers
    the implementation that it found first: after any export of an LSTM with fixed sizes, one with a dynamic length is
    refused or fixed, and the other way about, until the process ends (``register_lstm_while_loop_decomposition``).  A
    verdict may not depend on the cases that ran before.  Private to torch, seen in :data:`REGISTRY_SEEN_IN`; where the
    name has moved, nothing is forgotten.
    """
    try:
        from torch._ops import get_cached_ops
    except ImportError:
        return
    for op in list(get_cached_ops()):
        getattr(op, "_dispatch_cache", {}).clear()


def _why_fixed(case: Case, found: _Exportable, program: Any) -> str:
    """Why torch.export needs an axis fixed that is declared dynamic, in its own words; nothing where none is.

    torch.onnx falls back to fixed sizes without a word (seen in torch 2.13).
    """
    import torch

    axes = _dynamic_axes(case)
    shapes = dict(zip(found.inputs, (tuple(value.shape or ()) for value in program.model.graph.inputs), strict=False))
    if not any(isinstance(shapes[n][i], int) for n in shapes for i in axes.get(n, ()) if i < len(shapes[n])):
        return ""
    try:
        with torch.no_grad():
            torch.export.export(found.module, found.args, found.kwargs, dynamic_shapes=_dynamic_shapes(case, found))
    except Exception as error:  # the constraints that are violated
        return str(error)
    return ""


def _dynamic_axes(case: Case) -> dict[str, dict[int, str]]:
    """By input, the places of its dynamic axes in torch's order, with their names."""
    return {
        name: {i: axis for i, axis in enumerate(order(tensor, "torch", {}).split()) if axis in case.dynamic}
        for name, tensor in case.inputs.items()
    }


def _dynamic_shapes(case: Case, found: _Exportable) -> Any:
    """The dynamic axes as torch.export takes them: laid out as the parameters of the module's forward.

    What its ``*args`` takes up is one tuple, what its ``**kwargs`` takes up one mapping.  The axes are named, so that
    an export which needs one of them fixed is refused and says so.
    """
    import torch

    if not case.dynamic:
        return None
    dims = {axis: torch.export.Dim(axis) for axis in case.dynamic}
    axes = _dynamic_axes(case)
    specs = {name: {place: dims[axis] for place, axis in axes[name].items()} or None for name in found.inputs}
    kinds = {name: parameter.kind for name, parameter in _parameters(found.module).items()}
    if not found.kwargs:
        laid = tuple(specs.values())
        before = next((i for i, kind in enumerate(kinds.values()) if kind is inspect.Parameter.VAR_POSITIONAL), None)
        return laid if before is None or before >= len(laid) else (*laid[:before], laid[before:])
    own = {name: spec for name, spec in specs.items() if name in kinds}
    rest = {name: spec for name, spec in specs.items() if name not in kinds}
    taking = next((name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_KEYWORD), None)
    return {**own, taking: rest} if taking is not None and rest else specs


def _copied(results: Sequence[Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The results, a copy of each that is one of the inputs: the exporter gives the two one name, the output's."""
    given = {id(value) for value in inputs}
    return tuple(value.clone() if id(value) in given else value for value in results)


def _module(model: Any, call: Callable[..., Any], case: Case) -> Any:
    import torch

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return call(self.model, *inputs)

    return Exported().train(case.training)


def _output_names(case: Case, names: Sequence[str]) -> list[str]:
    """The names of the graph's outputs: the case's own, unless an input has that name already.

    The exporters write two values of one name without a word; no runtime accepts that.
    """
    taken = set(case.inputs)
    chosen = []
    for name in names:
        while name in taken:
            name += "_out"
        taken.add(name)
        chosen.append(name)
    return chosen


def _written(
    graph: str,
    made: Any,
    folder: Path,
    case: Case,
    found: _Exportable,
    started: float,
    log: io.StringIO,
) -> Model:
    """Write the graph and say how its border maps to the case, by position and strictly.

    ``made`` is an ``ONNXProgram``, a ``ModelProto``, or a file that is written already; a model too large for one
    protobuf is never made one.
    """
    import onnx

    file = folder / f"{graph.replace(':', '.')}.onnx"
    if isinstance(made, Path):
        file, proto = made, onnx.load(made, load_external_data=False)
    elif isinstance(made, onnx.ModelProto):
        proto = made
        _onnx_file.write(proto, file)
    elif (
        sum(tensor.nbytes for v in made.model.graph.initializers.values() if (tensor := v.const_value) is not None)
        < _onnx_file.MOST
    ):
        proto = made.model_proto
        _onnx_file.write(proto, file)
    else:
        _onnx_file.write_beside(partial(made.save, external_data=True), file)
        proto = onnx.load(file, load_external_data=False)
    written = Model(graph, file, log=log.getvalue(), notes=found.notes)
    inputs, outputs, problem = _onnx_file.border(proto, list(case.inputs), found.outputs)
    if problem:
        return replace(written, error=Failure("refused", f"{graph}: {problem}"))
    return replace(written, inputs=inputs, outputs=outputs, seconds=time.perf_counter() - started)


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Collect what the exporters log and warn; it belongs to the model's record, not on anybody's terminal."""
    with collected("torch.onnx") as log, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield log
        for warning in caught:
            if not issubclass(warning.category, (DeprecationWarning, FutureWarning)):
                place = f" ({warning.filename}:{warning.lineno})" if warning.category.__name__ == _TRACER else ""
                log.write(f"{warning.category.__name__}: {warning.message}{place}\n")


_TRACER = "TracerWarning"


def _taken_for_constants(log: str) -> tuple[str, ...]:
    """Where TorchScript's tracer warned that what a tensor held has become a constant of the trace.

    torch itself ignores these of its own modules, which ask such things of sizes.
    """
    import torch

    own = str(Path(torch.__file__).parent)
    found = re.findall(rf"^{_TRACER}: (.*?)(?: might cause|[.\n]).* \((.*):(\d+)\)$", log, re.MULTILINE)
    said = [f"{what}, {Path(file).name}:{line}" for what, file, line in found if not file.startswith(own)]
    return tuple(dict.fromkeys(said))


# The programs of the last exports, for whoever asks for their values next: an export takes longer than all of them.
_programs: dict[tuple[str, int, str], Any] = {}
_PROGRAMS_KEPT = 2**28  # bytes of weights; the last one is kept whatever its size


def _keep_program(key: tuple[str, int, str], program: Any) -> None:
    def size(held: Any) -> int:
        return sum(t.numel() * t.element_size() for t in held.state_dict.values() if hasattr(t, "numel"))

    _programs.pop(key, None)
    _programs[key] = program
    while len(_programs) > 16 or (len(_programs) > 1 and sum(map(size, _programs.values())) > _PROGRAMS_KEPT):
        del _programs[next(iter(_programs))]


_registries: dict[int, Any] = {}
_decompositions: dict[frozenset[Any], dict[Any, Any]] = {}


@contextlib.contextmanager
def _shared_registry() -> Iterator[None]:
    """Let the exporter use again the tables that it builds at every call, the same ones each time.

    These are its operator registry (``ONNXRegistry.from_torchlib``, by opset) and, of 2,000 operators, which ones are
    to be decomposed for that registry.  Both are private to torch, seen in :data:`REGISTRY_SEEN_IN`.  The public call
    passes the opset itself, so what is exported is what people ship.  Where a private name has moved, exports are as
    right and slower.
    """
    try:
        from torch.onnx._internal.exporter import _decomp, _registration

        registry = _registration.ONNXRegistry
        original = registry.__dict__["from_torchlib"]
        build = original.__func__
        decide = _decomp.create_onnx_friendly_decomposition_table
    except (ImportError, AttributeError, KeyError):
        yield
        return

    def from_torchlib(cls: Any, opset_version: int | None = None) -> Any:
        key = -1 if opset_version is None else opset_version
        if key not in _registries:
            _registries[key] = build(cls) if opset_version is None else build(cls, opset_version=opset_version)
        return _registries[key]

    def decompositions(onnx_registered_ops: Any) -> dict[Any, Any]:
        key = frozenset(onnx_registered_ops)
        if key not in _decompositions:
            _decompositions[key] = decide(onnx_registered_ops)
        return dict(_decompositions[key])  # the exporter takes entries out of the one it is given

    registry.from_torchlib = classmethod(from_torchlib)
    _decomp.create_onnx_friendly_decomposition_table = decompositions
    try:
        yield
    finally:
        registry.from_torchlib = original
        _decomp.create_onnx_friendly_decomposition_table = decide


def _refused(graph: str, error: Exception, log: str = "") -> Model:
    """An export that the exporter refused."""
    return Model(graph, error=Failure("refused", _one_line(error), op=_refused_op(error)), log=log)


def _refused_op(error: BaseException) -> str | None:
    """What an exporter's refusal is about: an operator that its text names (``aten.foo.default``, ``'aten::foo'``), the
    TorchScript symbolic function it arose in, or the innermost module of torch.nn whose forward was being traced."""
    module = None
    seen: BaseException | None = error
    while seen is not None:
        if named := re.search(r"\b(aten|prims)(?:\.|::)(\w+)", str(seen)):
            return f"{named[1]}::{named[2]}"
        for frame, _line in traceback.walk_tb(seen.__traceback__):
            if "symbolic_opset" in frame.f_code.co_filename:
                return f"aten::{frame.f_code.co_name}"
            kind = type(frame.f_locals.get("self"))
            if frame.f_code.co_name == "forward" and kind.__module__.startswith("torch.nn.modules."):
                module = kind.__name__
        seen = seen.__cause__ or seen.__context__
    return module


def _one_line(error: BaseException) -> str:
    """The innermost cause in one line: torch wraps the reason in several pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (f"{type(error).__name__}: " + (lines[0] if lines else ""))[:400]


FRAMEWORK = Torch()
