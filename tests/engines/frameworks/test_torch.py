"""PyTorch's adapter: its contract, and the private names of torch that it leans on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from onnx_triangulate.engines.frameworks import _onnx_file, adapter  # noqa: E402
from onnx_triangulate.engines.frameworks import torch as module  # noqa: E402
from onnx_triangulate.engines.frameworks._results import BuilderError  # noqa: E402
from onnx_triangulate.engines.runtimes import runtimes  # noqa: E402
from onnx_triangulate.records.case import Case, Gradient, Tensor  # noqa: E402
from onnx_triangulate.records.runs import Jitter  # noqa: E402 - torch decides whether there is anything to test

TORCH = adapter("torch")
X = np.array([[-2, 0, 1], [3, -4, 5]], np.float32)
W = np.array([[1, 2, 0], [0, -1, 3]], np.float32)
LINEAR = Case(
    "linear",
    inputs={"x": Tensor("n c", (2, 3))},
    parameters={"w": Tensor("o c", (2, 3))},
    outputs={"y": Tensor("n o", (2, 2))},
    builders={"torch": lambda torch, w: lambda x: torch.relu(x @ w.T)},
)
VALUES = {"x": X, "w": W}
Y = np.maximum(X @ W.T, 0)


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    TORCH.warm()


def answer(model: Any, feeds: dict[str, Any]) -> dict[str, Any]:
    """A model's outputs by the case's names, as the reference evaluator gives them."""
    run = runtimes()["reference"].open(model.file)
    values = run({graph: feeds[name] for name, graph in model.inputs.items()}, list(model.outputs.values()))
    return dict(zip(model.outputs, values, strict=True))


def graph_of(file: Path) -> str:
    """A graph's bytes without what says where it was made."""
    proto = onnx.load(file)
    for node in proto.graph.node:
        del node.metadata_props[:]
    return hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()


@pytest.mark.parametrize(("double", "dtype"), [(False, np.float32), (True, np.float64)])
def test_native_runs_in_either_precision(double: bool, dtype: type) -> None:
    y = TORCH.native(LINEAR, VALUES, double=double, seed=0)["y"]
    assert y.dtype == dtype
    assert y.tolist() == Y.tolist()


def test_every_exporter_gives_a_graph_that_means_the_model(tmp_path: Path) -> None:
    models = TORCH.export(LINEAR, VALUES, TORCH.exporters, tmp_path, seed=0)
    assert {model.graph for model in models} == {"torch", "torch:raw", "torch:script"}
    for model in models:
        assert model.error is None
        assert (dict(model.inputs), dict(model.outputs)) == ({"x": "x"}, {"y": "y"})
        assert answer(model, VALUES)["y"].tolist() == Y.tolist()
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"


@pytest.mark.parametrize("exporters", [("",), ("raw",), ("script",), ("raw", "script")])
def test_only_what_is_asked_for_is_exported(tmp_path: Path, exporters: tuple[str, ...]) -> None:
    models = TORCH.export(LINEAR, VALUES, exporters, tmp_path, seed=0)
    assert sorted(m.graph.partition(":")[2] for m in models) == sorted(exporters)


def test_gradients_natively_and_through_the_exporters(tmp_path: Path) -> None:
    case = Case(
        "chain",
        inputs={"x": Tensor("", values=1.0), "dy": Tensor("", values=1.0)},
        outputs={"y": Tensor(""), "grad_x": Tensor("")},
        builders={"torch": lambda torch: lambda x: ((x + 2) * 3) ** 2},
        gradient=Gradient(of="y", wrt=("x",), cotangent="dy"),
    )
    values = {"x": np.asarray(1, np.float32), "dy": np.asarray(1, np.float32)}
    native = TORCH.native(case, values, double=False, seed=0)
    assert (float(native["y"]), float(native["grad_x"])) == (81, 54)
    for model in TORCH.export(case, values, ("", "script"), tmp_path, seed=0):
        given = answer(model, values)
        assert (float(given["y"]), float(given["grad_x"])) == (81, 54)


def test_the_seed_decides_what_a_module_draws_and_nothing_else_does() -> None:
    case = Case("own", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": lambda torch: torch.nn.Linear(3, 4)})
    first, again, other = (TORCH.native(case, {"x": X}, double=False, seed=seed)["y"] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_jitter_moves_every_weight_and_little() -> None:
    case = Case("own", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": lambda torch: torch.nn.Linear(3, 4)})
    still = TORCH.native(case, {"x": X}, double=True, seed=0)["y"]
    _, moved = (m["y"] for m in TORCH.perturbed(case, {"x": X}, double=True, seed=0, jitters=(Jitter(0), Jitter(1))))
    (again,) = (m["y"] for m in TORCH.perturbed(case, {"x": X}, double=True, seed=0, jitters=(Jitter(1),)))
    assert (moved != still).all()
    assert (np.abs(moved - still) < 1e-5).all()
    assert moved.tolist() == again.tolist()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda x: 7, "returned an int"),
        (lambda x: (x, x), "returned 2 values"),
        (lambda x: {"z": x}, r"returned \['z'\]"),
        (3, "expected a model to call"),
    ],
)
def test_a_model_that_breaks_its_promise(tmp_path: Path, model: Any, says: str) -> None:
    case = Case("odd", inputs=LINEAR.inputs, outputs={"y": Tensor("n c")}, builders={"torch": lambda torch: model})
    with pytest.raises(BuilderError, match=says):
        TORCH.native(case, {"x": X}, double=False, seed=0)


def test_a_builder_that_raises_is_the_builders_fault_everywhere(tmp_path: Path) -> None:
    case = Case("odd", inputs=LINEAR.inputs, builders={"torch": lambda torch: torch.no_such_thing})
    with pytest.raises(BuilderError, match="the builder raised AttributeError"):
        TORCH.native(case, {"x": X}, double=False, seed=0)
    with pytest.raises(BuilderError, match="the builder raised AttributeError"):
        TORCH.export(case, {"x": X}, ("",), tmp_path, seed=0)


def test_a_refusal_is_a_value_that_names_the_operator(tmp_path: Path) -> None:
    case = Case("odd", inputs=LINEAR.inputs, builders={"torch": lambda torch: torch.special.bessel_j0})
    models = TORCH.export(case, {"x": X}, TORCH.exporters, tmp_path, seed=0)
    assert [(m.graph, m.error.kind) for m in models if m.error] == [
        ("torch", "refused"),
        ("torch:raw", "refused"),
        ("torch:script", "refused"),
    ]
    assert {m.error.op for m in models if m.error} == {"prims::bessel_j0", "aten::special_bessel_j0"}
    assert all("\n" not in m.error.message for m in models if m.error)


def test_outputs_named_like_inputs_and_inputs_passed_through(tmp_path: Path) -> None:
    case = Case(
        "crossed",
        inputs={"x": LINEAR.inputs["x"], "y": LINEAR.inputs["x"]},
        outputs={"y": Tensor("n c"), "x": Tensor("n c"), "z": Tensor("n c")},
        builders={"torch": lambda torch: lambda x, y: (x, y, x + y)},
    )
    values = {"x": X, "y": X * 2}
    for model in TORCH.export(case, values, TORCH.exporters, tmp_path, seed=0):
        assert model.error is None, (model.graph, model.error)
        onnx.checker.check_model(str(model.file))
        assert {n: v.tolist() for n, v in answer(model, values).items()} == {
            "y": X.tolist(),
            "x": (X * 2).tolist(),
            "z": (X * 3).tolist(),
        }


def test_a_large_model_keeps_its_weights_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of protobuf, made small: no message of the whole model is built, and nothing is left behind."""
    monkeypatch.setattr(_onnx_file, "MOST", 1000)
    case = Case("large", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": lambda torch: torch.nn.Linear(3, 700)})
    native = TORCH.native(case, {"x": X}, double=False, seed=0)["y"]
    for _ in range(2):  # a second export must not add to the first one's files
        models = TORCH.export(case, {"x": X}, TORCH.exporters, tmp_path, seed=0)
        assert [model.error for model in models] == [None] * 3
        for model in models:
            proto = onnx.load(model.file, load_external_data=False)
            large = [tensor for tensor in proto.graph.initializer if np.prod(tensor.dims) > 700]
            assert large
            outside = {tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in large}
            assert outside == {model.graph != "torch:script"}  # TorchScript's exporter has its own idea of large
            assert np.abs(answer(model, {"x": X})["y"] - native).max() < 1e-6
            assert sum(f.stat().st_size for f in model.file.parent.glob(f"{model.file.name}*")) < 3 * 4 * 2800
    assert not list(tmp_path.glob(".*"))


def test_a_large_module_is_not_copied_and_never_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to it stays (float64, moved weights), so a builder that gives it again is refused."""
    monkeypatch.setattr(module, "LARGE", 10)
    built = []
    held = torch.nn.Linear(3, 4)

    def build(torch: Any) -> Any:
        built.append(1)
        return torch.nn.Linear(3, 4)

    case = Case("own", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": build})
    same = Case("same", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": lambda torch: held})
    TORCH.native(case, {"x": X}, double=True, seed=0)
    TORCH.native(case, {"x": X}, double=True, seed=0)
    assert len(built) == 2
    TORCH.native(same, {"x": X}, double=True, seed=0)
    with pytest.raises(BuilderError, match="one large module twice"):
        TORCH.native(same, {"x": X}, double=True, seed=0)


def test_a_module_that_a_builder_keeps_is_left_as_it_was() -> None:
    held = torch.nn.Linear(3, 4)
    before = held.weight.detach().clone()
    case = Case("same", inputs={"x": LINEAR.inputs["x"]}, builders={"torch": lambda torch: held})
    list(TORCH.perturbed(case, {"x": X}, double=True, seed=0, jitters=(Jitter(0), Jitter(1))))
    assert held.weight.dtype == torch.float32
    assert torch.equal(held.weight, before)


# The private registry.


def exported(folder: Path) -> dict[str, Path]:
    return {m.graph: m.file for m in TORCH.export(LINEAR, VALUES, ("", "raw"), folder, seed=0) if m.file}


def test_the_private_registry_is_still_where_it_was_seen() -> None:
    """If this fails, torch has moved it: exports are still right, and slower; see ``REGISTRY_SEEN_IN``."""
    from torch.onnx._internal.exporter import _decomp, _registration

    assert isinstance(_registration.ONNXRegistry.__dict__["from_torchlib"], classmethod)
    assert callable(_decomp.create_onnx_friendly_decomposition_table)


def test_the_registry_is_built_once_per_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.onnx._internal.exporter import _registration

    original = _registration.ONNXRegistry.__dict__["from_torchlib"]
    built = []

    def counted(cls: Any, *args: Any, **kwargs: Any) -> Any:
        built.append(kwargs)
        return original.__func__(cls, *args, **kwargs)

    monkeypatch.setattr(_registration.ONNXRegistry, "from_torchlib", classmethod(counted))
    monkeypatch.setattr(module, "_registries", {})
    for name in ("one", "two", "three"):
        assert exported(tmp_path / name)
    assert len(built) == 1


def test_a_shared_registry_exports_what_the_public_call_exports(tmp_path: Path) -> None:
    shared = exported(tmp_path / "shared")
    again = exported(tmp_path / "again")
    arguments = (torch.from_numpy(X),)
    model = LINEAR.builders["torch"](torch, torch.from_numpy(W))

    class Plain(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return model(x)

    plain = {}
    for graph, optimize in (("torch", True), ("torch:raw", False)):
        program = torch.onnx.export(
            Plain().eval(),
            arguments,
            dynamo=True,
            optimize=optimize,
            verbose=False,
            input_names=["x"],
            output_names=["y"],
        )
        plain[graph] = _onnx_file.write(program.model_proto, tmp_path / f"plain.{graph.replace(':', '.')}.onnx")
    for graph in ("torch", "torch:raw"):
        assert graph_of(shared[graph]) == graph_of(again[graph])
        mine, theirs = onnx.load(shared[graph]), onnx.load(plain[graph])
        assert [(o.domain, o.version) for o in mine.opset_import] == [
            (o.domain, o.version) for o in theirs.opset_import
        ]
        assert [(n.op_type, n.domain) for n in mine.graph.node] == [(n.op_type, n.domain) for n in theirs.graph.node]
        assert mine.ir_version == theirs.ir_version
        assert mine.opset_import[0].version == 20


def test_with_and_without_the_shared_registry_the_graphs_are_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    exported(tmp_path / "first")
    shared = {graph: graph_of(file) for graph, file in exported(tmp_path / "shared").items()}
    monkeypatch.setattr(module, "_shared_registry", nullcontext)
    assert {graph: graph_of(file) for graph, file in exported(tmp_path / "plain").items()} == shared


def test_without_the_private_name_exports_are_as_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.onnx._internal.exporter import _registration

    shared = {graph: graph_of(file) for graph, file in exported(tmp_path / "shared").items()}

    class Moved:
        """The registry's new home: the same, under another name in its module."""

    real = _registration.ONNXRegistry
    entered = []

    def build(*args: Any, **kwargs: Any) -> Any:
        entered.append(kwargs)
        return real.__dict__["from_torchlib"].__func__(real, *args, **kwargs)

    Moved.from_torchlib = staticmethod(build)  # type: ignore[attr-defined]
    del build
    monkeypatch.setattr(_registration, "ONNXRegistry", type("Renamed", (Moved,), {}))
    assert {graph: graph_of(file) for graph, file in exported(tmp_path / "moved").items()} == shared
    assert len(entered) == 1, "the fallback did not take the public way"


def test_the_private_name_is_put_back_even_after_a_refusal() -> None:
    from torch.onnx._internal.exporter import _decomp, _registration

    before = _registration.ONNXRegistry.__dict__["from_torchlib"], _decomp.create_onnx_friendly_decomposition_table
    with pytest.raises(ZeroDivisionError), module._shared_registry():
        raise ZeroDivisionError
    after = _registration.ONNXRegistry.__dict__["from_torchlib"], _decomp.create_onnx_friendly_decomposition_table
    assert before == after


def recurrent(kind: str, **dynamic: tuple[int, int]) -> Case:
    """A recurrent layer over sequences of four."""

    def build(torch: Any) -> Any:
        class Sequence(torch.nn.Module):  # type: ignore[misc]  # torch is Any
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(torch.nn, kind)(3, 2, batch_first=True)

            def forward(self, x: Any) -> Any:
                return self.layer(x)[0]

        return Sequence()

    return Case(kind, {"x": Tensor("n t c", (2, 4, 3))}, {"torch": build}, {"y": Tensor("n t h")}, dynamic=dynamic)


def open_axes(kind: str, folder: Path) -> list[str]:
    """The named axes that the export of a dynamic recurrent layer has, after one with fixed sizes."""
    values = {"x": np.ones((2, 4, 3), np.float32)}
    assert TORCH.export(recurrent(kind), values, ("raw",), folder / "fixed", seed=0)[0].file is not None
    (made,) = TORCH.export(recurrent(kind, n=(1, 3), t=(2, 6)), values, ("raw",), folder / "open", seed=0)
    if made.file is None:
        return []
    return [dim.dim_param for dim in onnx.load(made.file).graph.input[0].type.tensor_type.shape.dim if dim.dim_param]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_an_export_does_not_depend_on_those_before_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(open_axes(kind, tmp_path / "forgotten")) == 2
    monkeypatch.setattr(module, "_as_in_a_new_process", lambda: None)
    assert len(open_axes(kind, tmp_path / "remembered")) < 2, "torch no longer remembers: the function can go"


OPTIMIZED = """<ir_version: 8, opset_import: ["" : 18]> g (float[1,1,3,3] x) => (float[1,2,3,3] y)
<float[2,1,1,1] w = {2.0, 3.0}, float[2] s = {1.0, 2.0}, float[2] t = {0.5, 1.0}, float[2] one = {1.0, 1.0}>
{ u = Add (s, t) c = Conv (x, w) y = BatchNormalization (c, u, t, t, one) }"""


def test_the_exporters_passes_one_by_one(tmp_path: Path) -> None:
    import onnx.parser

    from onnx_triangulate.engines.frameworks import adapter
    from onnx_triangulate.engines.protocols import OptimizingFramework

    engine = adapter("torch")
    assert isinstance(engine, OptimizingFramework)
    names = engine.passes()
    assert len(names) == len(set(names))
    raw = tmp_path / "raw.onnx"
    onnx.save(onnx.parser.parse_model(OPTIMIZED), raw)

    def operators(off: Any) -> list[str]:
        return [n.op_type for n in onnx.load(engine.optimized(raw, off, tmp_path / "made.onnx")).graph.node]

    assert operators(names) == ["Add", "Conv", "BatchNormalization"]
    assert operators(()) == ["Conv"]
    rule = "onnxscript.rewriter.rules.common.fuse_batchnorm_into_conv_rule"
    assert operators([rule]) == ["Conv", "BatchNormalization"]
    folding = "onnxscript.optimizer.fold_constants"
    assert operators([rule, folding]) == ["Add", "Conv", "BatchNormalization"]


def test_without_the_private_list_of_rules_they_are_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx.parser

    from onnx_triangulate.engines.frameworks import _torch_optimizer

    whole = _torch_optimizer.names()
    monkeypatch.setattr(_torch_optimizer, "_CHOICE", "_NO_SUCH_RULES")
    names = _torch_optimizer.names()
    assert _torch_optimizer.REWRITING in names
    assert len(names) < len(whole)
    raw = tmp_path / "raw.onnx"
    onnx.save(onnx.parser.parse_model(OPTIMIZED), raw)
    made = _torch_optimizer.optimized(raw, (), tmp_path / "made.onnx")
    assert [n.op_type for n in onnx.load(made).graph.node] == ["Conv"]
    made = _torch_optimizer.optimized(raw, [_torch_optimizer.REWRITING], tmp_path / "made.onnx")
    assert [n.op_type for n in onnx.load(made).graph.node] == ["Conv", "BatchNormalization"]


def _normalized(x: Any, mean: Any, variance: Any, training: bool) -> Any:
    return torch.nn.functional.batch_norm(x, mean, variance, training=training)


@pytest.mark.parametrize(
    ("write", "rounds"),
    [
        (lambda x, held: _normalized(x, held, held + 1, training=True), True),
        (lambda x, held: _normalized(x, held * 0, held, training=True), True),
        (lambda x, held: torch.ops.aten._native_batch_norm_legit(x, None, None, held, held + 1, True, 0.1, 1e-5), True),
        (lambda x, held: _normalized(x, held, held + 1, training=False), False),
        (lambda x, held: torch.ops.aten._native_batch_norm_legit(x, None, None, held, held, False, 0.1, 1e-5), False),
        (lambda x, held: torch._foreach_mul_([held], [x.sum(0)]), True),
        (lambda x, held: torch.exp(x[0], out=held), True),
        (lambda x, held: held.copy_(x[0]), False),
    ],
)
def test_what_an_operator_writes_into_its_arguments_rounds_too(write: Any, rounds: bool) -> None:
    from onnx_triangulate.engines.frameworks import _torch_roundings as own
    from onnx_triangulate.engines.frameworks._torch_dispatch import watching

    def made(jitter: Jitter | None) -> tuple[Any, int]:
        x = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        held = torch.full((3,), 0.3, dtype=torch.float64)
        counted = own.Roundings([x, held], jitter)
        with torch.no_grad(), watching(counted.run):
            write(x, held)
        return held, counted.count(held)

    still, count = made(None)
    moved, _ = made(Jitter(0, what="roundings"))
    assert (count > 0) == rounds
    assert bool((still != moved).all()) == rounds
    assert torch.allclose(still, moved, rtol=1e-5)


@pytest.mark.parametrize(("number", "why"), [(True, "generated guard"), (False, "")])
def test_why_a_dynamic_axis_came_out_fixed_is_kept(tmp_path: Path, number: bool, why: str) -> None:
    def half(torch: Any) -> Any:
        class Half(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x[:, : int(x.shape[1] / 2) if number else x.shape[1] // 2] * 2

        return Half()

    x = Tensor("n t", (2, 9), integers=False)
    case = Case("half", inputs={"x": x}, builders={"torch": half}, dynamic={"t": (4, 12)})
    (model,) = TORCH.export(case, {"x": np.ones((2, 9), np.float32)}, ("raw",), tmp_path, seed=0)
    assert model.error is None
    assert why in model.log
    assert bool(why) == ("generated guard" in model.log)


def module_of(forward: Any) -> Case:
    """A module with a buffer, and with a table in float32 that torch does not know of."""

    def build(torch: Any) -> Any:
        class Module(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("buffer", torch.linspace(0, 1, 3))
                self.table = torch.arange(3).float() / 7

            def forward(self, x: Any) -> Any:
                return forward(self, x)

        return Module()

    return Case("c", inputs={"x": Tensor("n c", (2, 3))}, builders={"torch": build})


def written_into(own: Any, x: Any) -> Any:
    made = torch.zeros(2, 3, dtype=torch.float32)
    made[:, 1:] = x[:, 1:].cumsum(-1, dtype=torch.float32)
    made += own.buffer.float() * 2  # a new tensor: nobody else has it
    return made.masked_fill_(made > 2, 0.3)


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(lambda own, x: x.float().type_as(x).to(x.dtype) / 3, id="casts"),
        pytest.param(lambda own, x: x * torch.tensor([0.1] * 3, dtype=torch.float32) / 3, id="a tensor of float32"),
        pytest.param(lambda own, x: x * torch.full((3,), 0.3, dtype=torch.float32) / 3, id="a factory of float32"),
        pytest.param(lambda own, x: torch.outer(torch.arange(2).float(), own.buffer).cos() + x / 3, id="positions"),
        pytest.param(
            lambda own, x: torch.matmul(x, torch.outer(own.table[None][0], own.buffer)) / 3, id="an attribute"
        ),
        pytest.param(lambda own, x: torch.softmax(x / 3, -1, dtype=torch.float32), id="a type of a result"),
        pytest.param(lambda own, x: x / 3 + torch.from_numpy(np.full(3, 0.7, np.float32)), id="of numpy"),
        pytest.param(lambda own, x: (x * torch.polar(torch.ones(3).float(), own.buffer)).real / 3, id="complex"),
        pytest.param(written_into, id="written into"),
    ],
)
def test_in_float64_what_is_named_float32_is_float64(forward: Any) -> None:
    case = module_of(forward)
    (single,) = TORCH.native(case, {"x": X}, double=False, seed=0).values()
    (double,) = TORCH.native(case, {"x": X}, double=True, seed=0).values()
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.abs(double - single).max() < 1e-5
    assert (double != double.astype(np.float32)).any(), "computed in float64, and not widened at the end"


def table_written(own: Any, x: Any) -> Any:
    own.table[:2].add_(1.0)
    return x * own.table


def cast_written(own: Any, x: Any) -> Any:
    h = x * 2
    h.float().add_(1.0)  # in float32 this is h itself
    return h


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        pytest.param(cast_written, "add_.*writes", id="a cast that is none"),
        pytest.param(table_written, "add_.*writes", id="a part of a table"),
        pytest.param(lambda own, x: x.half().float(), "float16", id="half"),
        pytest.param(lambda own, x: x.view(torch.int32).float(), "bits", id="bits"),
    ],
)
def test_another_program_in_float64_is_refused(forward: Any, says: str) -> None:
    case = module_of(forward)
    assert TORCH.native(case, {"x": X}, double=False, seed=0)
    with pytest.raises(RuntimeError, match=says):
        TORCH.native(case, {"x": X}, double=True, seed=0)


def test_a_model_of_float64_means_its_float32() -> None:
    case = Case(
        "c", inputs={"x": Tensor("n c", (2, 3), "float64")}, builders={"torch": lambda torch: lambda x: x.float()}
    )
    assert TORCH.native(case, {"x": X.astype(np.float64)}, double=False, seed=0)
    with pytest.raises(RuntimeError, match="float32"):
        TORCH.native(case, {"x": X.astype(np.float64)}, double=True, seed=0)


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(lambda own, x: torch.nn.functional.rms_norm(x * 1e-3, (3,)), id="rms_norm"),
        pytest.param(lambda own, x: torch.nn.RMSNorm(3)(x * 1e-3), id="RMSNorm"),
        pytest.param(lambda own, x: x / torch.finfo(x.dtype).eps, id="eps"),
        pytest.param(lambda own, x: x.masked_fill(x > 1, torch.finfo().max), id="of the default type"),
        pytest.param(lambda own, x: torch.nan_to_num(x / x.relu()), id="nan_to_num"),
        pytest.param(lambda own, x: torch.nan_to_num(x / x.relu(), 3.0, neginf=-2.0), id="nan_to_num, given"),
    ],
)
def test_in_float64_a_type_says_of_itself_what_float32_says(forward: Any) -> None:
    case = module_of(forward)
    (single,) = TORCH.native(case, {"x": X}, double=False, seed=0).values()
    (double,) = TORCH.native(case, {"x": X}, double=True, seed=0).values()
    assert double.dtype == np.float64
    np.testing.assert_allclose(double, single, rtol=1e-5)
    assert torch.finfo(torch.float64).eps == np.finfo(np.float64).eps, "for the run alone"


def _branching(made: Any) -> Any:
    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return made(x)

    return lambda _: Branching()


_CONTROL_FLOW = {
    "cond": lambda x: torch.cond(x.sum() > -100, lambda v: (v * 0.3).exp(), lambda v: v - 1, (x,)),
    "nested": lambda x: torch.cond(
        x.sum() > -100,
        lambda v: torch.cond(v.sum() > -100, lambda w: (w * 0.3).exp(), lambda w: w - 1, (v,)),
        lambda v: v - 1,
        (x,),
    ),
    "while_loop": lambda x: torch.while_loop(
        lambda i, v: i < 3, lambda i, v: (i + 1, (v * 0.3).exp()), (torch.tensor(0), x)
    )[1],
}


@pytest.mark.parametrize("name", _CONTROL_FLOW)
def test_control_flow_is_seen_inside_and_exported_as_if_nobody_had_looked(name: str, tmp_path: Path) -> None:
    case = Case(
        name,
        inputs={"x": Tensor("n c", (2, 3))},
        outputs={"y": Tensor("n c", (2, 3))},
        builders={"torch": _branching(_CONTROL_FLOW[name])},
    )
    values = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    counted = TORCH.roundings(case, values, double=True, seed=0)
    assert counted is not None
    assert counted.count >= 2
    assert not counted.unknown
    still, moved = TORCH.perturbed(
        case, values, double=True, seed=0, jitters=[Jitter(0, 0.0, "roundings"), Jitter(0, 1e-5, "roundings")]
    )
    native = TORCH.native(case, values, double=True, seed=0)
    assert (still["y"] == native["y"]).all()
    assert (moved["y"] != native["y"]).all()
    assert np.allclose(moved["y"], native["y"], rtol=1e-3)
    models = TORCH.export(case, values, ("", "raw"), tmp_path, seed=0)
    assert [model.error for model in models] == [None, None]


def test_a_narrow_step_in_a_branch_is_no_float64_run() -> None:
    def branching(to: Any) -> Case:
        def narrow(x: Any) -> Any:
            return torch.cond(x.sum() > -100, lambda v: v.to(to) + 1, lambda v: v.to(to) - 1, (x,)).float()

        return Case(
            "narrow",
            inputs={"x": Tensor("n c", (2, 3))},
            outputs={"y": Tensor("n c", (2, 3))},
            builders={"torch": _branching(narrow)},
        )

    values = {"x": np.ones((2, 3), np.float32)}
    with pytest.raises(RuntimeError, match="not float64 inside"):
        TORCH.native(branching(torch.float16), values, double=True, seed=0)
    TORCH.native(branching(torch.float16), values, double=False, seed=0)  # and nothing of it is remembered
    assert TORCH.native(branching(torch.float32), values, double=True, seed=0)["y"].dtype == np.float64


def test_autocast_leaves_float64_as_it_is() -> None:
    def mixed(torch: Any) -> Any:
        def forward(x: Any, enabled: bool) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                return (x @ torch.ones(3, 2)).float() / 3

        return forward

    def case(enabled: bool) -> Case:
        build = {"torch": lambda torch: lambda x: mixed(torch)(x, enabled)}
        return Case("mixed", inputs={"x": Tensor("n c", (2, 3))}, builders=build)

    with pytest.raises(RuntimeError, match="not float64 inside"):
        TORCH.native(case(True), {"x": X}, double=True, seed=0)
    TORCH.native(case(True), {"x": X}, double=False, seed=0)
    (wide,) = TORCH.native(case(False), {"x": X}, double=True, seed=0).values()
    assert wide.dtype == np.float64


@pytest.mark.parametrize(("decimals", "count"), [(0, 0), (3, 2), (-2, 2)])
def test_rounding_to_decimals_multiplies_and_divides(decimals: int, count: int) -> None:
    build = {"torch": lambda torch: lambda x: torch.round(x, decimals=decimals)}
    case = Case("round", inputs={"x": Tensor("n c", (2, 3))}, builders=build)
    counted = TORCH.roundings(case, {"x": X}, double=True, seed=0)
    assert counted is not None
    assert counted.count == count


class _All(torch.nn.Module):
    def forward(self, *xs: Any) -> Any:
        return xs[0] * 2 + xs[1] - xs[2]


class _Rest(torch.nn.Module):
    def forward(self, first: Any, *rest: Any) -> Any:
        return first * 2 + rest[0] - rest[1]


class _Each(torch.nn.Module):
    def forward(self, first: Any, second: Any, third: Any, *none: Any) -> Any:
        return first * 2 + second - third


@pytest.mark.parametrize("kind", [_All, _Rest, _Each])
def test_dynamic_axes_are_laid_out_as_a_modules_own_signature(kind: Any, tmp_path: Path) -> None:
    given = {name: Tensor("n c", (2, 3)) for name in "abc"}
    case = Case("star", inputs=given, builders={"torch": lambda _: kind()}, dynamic={"n": (1, 4)})
    values = {name: X + place for place, name in enumerate("abc")}
    (model,) = TORCH.export(case, values, ("raw",), tmp_path, seed=0)
    assert model.error is None
    taller = {name: np.concatenate([value, value]) for name, value in values.items()}
    assert (answer(model, taller)["y"] == taller["a"] * 2 + taller["b"] - taller["c"]).all()


def test_what_a_mapping_of_keywords_takes_up_is_one_mapping() -> None:
    """Torch 2.13 itself refuses dynamic axes in one, an assertion of its own; the layout is the one it asks for."""

    class Keywords(torch.nn.Module):
        def forward(self, a: Any, **others: Any) -> Any:
            return a + others["b"]

    case = Case("keywords", inputs={n: Tensor("n", (2,)) for n in "ab"}, builders={}, dynamic={"n": (1, 4)})
    fed = dict.fromkeys("ab", torch.ones(2))
    found = module._Exportable(Keywords(), (), fed, ("a", "b"), ("y",))
    shapes = module._dynamic_shapes(case, found)
    assert list(shapes) == ["a", "others"]
    assert list(shapes["others"]) == ["b"]
