"""Models as people bring them: what each comes to, at every size, from a given file, fed from a given file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Run
from onnx_triangulate.report.documents import schema
from onnx_triangulate.verification.external_models import external_model

pytestmark = pytest.mark.slow  # the engines run

CASES = Path(__file__).parents[1] / "case_files"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, triangulate: Callable[..., Any]) -> Any:
    return triangulate("verify", CASES / "own.py", out=tmp_path_factory.mktemp("own"))


def exports(case: Any) -> dict[str, tuple[str, str]]:
    """By graph, the size at which its export is blamed and what is said."""
    return {b["party"]: (b["size"], b["says"]) for b in case["blames"] if b["blame"] == "export"}


@pytest.mark.parametrize(
    ("name", "outputs", "sizes"),
    [
        ("reader", {"logits", "hidden_0", "hidden_1_kept"}, ["n=1, t=9", "n=3, t=4"]),
        ("reader_keras", {"logits", "flags_0", "flags_1"}, []),
        ("functional", {"sum", "joined"}, ["n=1", "n=5"]),
        ("counter", {"up", "down_0", "down_1"}, []),
        ("function", {"y"}, []),
        ("honest", {"y"}, ["n=1, h=9", "n=3, h=12"]),
        ("pooled", {"y"}, ["n=1, h=9", "n=3, h=12"]),
    ],
)
def test_a_healthy_model_agrees_at_every_size(own: Any, name: str, outputs: set[str], sizes: list[str]) -> None:
    case = own.case(f"own/{name}")
    assert (case["status"], case["blame"]) == ("expected", ["agree"]), case["blames"]
    assert {edge["size"] for edge in case["edges"]} == {"", *sizes}
    assert all(edge["compared"] for edge in case["edges"])
    assert list(case["sizes"]) == sizes
    for run in case["parties"].values():
        assert run["error"] is None
        assert set(run["outputs"]) == outputs
    for size, parties in case["sizes"].items():
        assert set(parties) == set(case["parties"]), size
    assert len(case["groups"]) == 1
    assert any("float64" in (run["derived"] or "") for run in case["parties"].values())


def test_float64_and_the_weights_of_a_plain_function_are_found(own: Any) -> None:
    """A ``tf.function`` says nothing of its variables; unmoved, they would leave its bound too narrow or none."""
    for name in ("counter", "function"):
        case = own.case(f"own/{name}")
        assert case["parties"]["tensorflow@64"]["error"] is None
        edge = next(e for e in case["edges"] if e["right"] == "tensorflow>reference@64")
        assert edge["outcome"] in ("equal", "rounding")
        assert edge["max_abs"] < 1e-13


def test_a_baked_length_is_blamed_at_the_size_that_shows_it(own: Any) -> None:
    found = exports(own.case("own/counted"))
    assert found["torch:script"][0] == "t=3"
    assert "at t=3: " in found["torch:script"][1]
    for graph in ("torch", "torch:raw"):
        assert found[graph] == (
            "",
            "the graph is not dynamic: input x has t fixed at 5, which the case declares dynamic",
        )
    edges = [
        e
        for e in own.case("own/counted")["edges"]
        if "=" in e["size"] and "script" in e["right"] and e["left"] == "torch"
    ]
    assert {(e["size"], e["outcome"]) for e in edges} == {("t=3", "diverges"), ("t=11", "diverges")}
    here = [e for e in own.case("own/counted")["edges"] if not e["size"]]
    assert all(e["outcome"] in ("equal", "rounding") for e in here), "at the exported size there is nothing to see"


def test_where_no_number_parts_no_node_is_looked_for(own: Any) -> None:
    found = {finding["party"] for finding in own.case("own/counted")["findings"]}
    assert found == {"torch:script"}


def test_a_written_shape_is_blamed_at_another_size(own: Any) -> None:
    assert {graph: size for graph, (size, _) in exports(own.case("own/tied")).items()} == {
        "torch": "n=1",
        "torch:raw": "n=1",
        "torch:script": "n=1",
    }
    found = exports(own.case("own/pooled_wrong"))
    assert {graph: size for graph, (size, _) in found.items()} == {"tensorflow": "t=3", "tensorflow:nchw": "t=3"}


def test_the_report_says_at_which_sizes(own: Any) -> None:
    assert own.status == 1
    assert "also judged at t=3; t=11" in own.stdout
    jsonschema.validate(own.report, schema("triangulate-1"))


# Files of inputs.

LINEAR = """
from onnx_triangulate import Case, Tensor
def net(torch):
    return torch.nn.Linear(3, 2)
CASES = (Case("net", inputs={"x": Tensor("n c", (2, 3)), "keep": Tensor("n", (2,), dtype="bool")},
              builders={"torch": lambda torch: Net(torch)}),)
def Net(torch):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(3, 2)
        def forward(self, x, keep):
            return torch.where(keep[:, None], self.inner(x), x[:, :2])
    return Net()
"""


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    (tmp_path / "linear.py").write_text(LINEAR)
    return tmp_path / "linear.py"


def test_inputs_come_from_a_file(linear: Path, triangulate: Callable[..., Any], tmp_path: Path) -> None:
    x = np.array([[0.5, np.nan, 3], [1, 2, -1e30]], np.float32)
    np.savez(tmp_path / "in.npz", x=x, keep=np.array([True, False]))
    ran = triangulate("verify", linear, "--inputs", tmp_path / "in.npz", out=tmp_path / "out")
    case = ran.case("linear/net")
    assert (ran.status, case["blame"]) == (0, ["agree"])
    y = np.load(tmp_path / "out" / case["parties"]["torch"]["outputs"]["y"]["file"])
    assert np.isnan(y[0]).all()
    assert np.array_equal(y[1], x[1, :2])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((2, 3), np.float32)}, "lacks 'keep'"),
        ({"x": np.zeros((2, 3), np.float32), "keep": np.ones(2, bool), "z": np.ones(1)}, "holds 'z'"),
        ({"x": np.zeros((2, 3)), "keep": np.ones(2, bool)}, "x of net is float64, expected float32"),
        ({"x": np.zeros((2, 4), np.float32), "keep": np.ones(2, bool)}, r"shape (2, 4), expected (2, 3)"),
        ({"x": np.zeros(3, np.float32), "keep": np.ones(2, bool)}, "expected the axes 'n c'"),
        ({"x": np.array([{}]), "keep": np.ones(2, bool)}, "not an .npz of plain arrays"),
        (b"", "not an .npz of plain arrays"),
        (b"PK\x03\x04 cut", "not an .npz of plain arrays"),
        (None, "no such file"),
    ],
)
def test_a_file_of_inputs_that_does_not_fit_is_one_line(
    linear: Path, triangulate: Callable[..., Any], tmp_path: Path, arrays: Any, says: str
) -> None:
    file = tmp_path / "in.npz"
    if isinstance(arrays, bytes):
        file.write_bytes(arrays)
    elif arrays is not None:
        np.savez(file, **arrays)
    ran = triangulate("verify", linear, "--inputs", file)
    assert ran.status == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("triangulate: ")
    assert says in line


def test_a_case_names_its_own_file_of_inputs_and_its_sizes_follow(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.arange(12, dtype=np.float32).reshape(4, 3))
    (tmp_path / "named.py").write_text(
        "from onnx_triangulate import Case, Tensor\n"
        "CASES = Case('net', inputs={'x': Tensor('n c', (2, 3))}, outputs={'y': Tensor('n', (2,))},\n"
        "             builders={'torch': lambda torch: lambda x: x.sum(1)}, inputs_file='in.npz',\n"
        "             dynamic={'n': (3, 6)})\n"
    )
    (ref,) = catalogue.find([str(tmp_path / "named.py")])
    case = catalogue.load(ref)
    assert (case.inputs["x"].shape, case.outputs["y"].shape) == ((4, 3), (4,))
    at = inputs.at(case, {"n": 6})
    x = inputs.inputs_of(at, ref.name, 0)["x"]
    assert x[:, 0].tolist() == [0, 3, 6, 9, 0, 3]
    assert inputs.inputs_of(inputs.at(case, {"n": 3}), ref.name, 0)["x"][:, 0].tolist() == [0, 3, 6]


def test_a_case_whose_own_files_are_missing_spares_the_others(tmp_path: Path, triangulate: Callable[..., Any]) -> None:
    (tmp_path / "files.py").write_text(
        "from onnx_triangulate import Case, Tensor\n"
        "X, T = {'x': Tensor('n c', (2, 3))}, {'torch': lambda torch: torch.relu}\n"
        "CASES = (Case('plain', X, T), Case('unfed', X, T, inputs_file='no.npz'),\n"
        "         Case('ungiven', X, T, onnx={'torch': 'no.onnx'}))\n"
    )
    ran = triangulate("verify", tmp_path / "files.py", out=tmp_path / "out")
    assert ran.status == 2
    assert ran.case("files/plain")["status"] == "expected"
    for name, says in (("unfed", "no.npz: no such file"), ("ungiven", "no.onnx: no such file")):
        assert ran.case(f"files/{name}")["status"] == "undecided"
        (line,) = [line for line in ran.stderr.splitlines() if f"files/{name}" in line]
        assert says in line
    assert triangulate("list", tmp_path / "files.py").status == 0


@pytest.mark.parametrize(
    ("dynamic", "says"),
    [
        ({"z": (1, 3)}, "'z' is no axis of its inputs"),
        ({"n": (1,)}, "at least two more sizes"),
        ({"n": "13"}, "at least two more sizes"),
        ({"n": (1, 2)}, "other sizes than the declared"),
        ({"n": (3, 3)}, "each once"),
        ({"n": (0, 3)}, "other sizes"),
        ({"n": (1, 3), "c": (1, 2, 4)}, "different numbers of sizes"),
        ({"o": (1, 4)}, "'o' is no axis of its inputs"),
        ({"c": (1, 4)}, "also an axis of a parameter"),
    ],
)
def test_dynamic_axes_that_make_no_sense(dynamic: Any, says: str) -> None:
    case = Case(
        "net",
        inputs={"x": Tensor("n c", (2, 3))},
        parameters={"w": Tensor("c o", (3, 5))} if says != "different numbers of sizes" else {},
        builders={"torch": lambda torch, w: lambda x: x @ w},
        dynamic=dynamic,
    )
    with pytest.raises(UnusableInput, match=says):
        catalogue._check(case, Path("net.py"))


# Given files.

IMAGE = """
from onnx_triangulate import Case, Tensor
def net(torch):
    torch.manual_seed(1)
    norm = torch.nn.BatchNorm2d(4)
    norm.running_mean.normal_(); norm.running_var.uniform_(0.5, 2)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), norm, torch.nn.ReLU())
def keras(tf):
    return tf.keras.Sequential([tf.keras.layers.Conv2D(4, 3), tf.keras.layers.ReLU()])
X = {"low": -1, "high": 1, "integers": False}
CASES = (
    Case("net", inputs={"x": Tensor("n c h w", (2, 3, 6, 5), **X)}, outputs={"y": Tensor("n c h w")},
         builders={"torch": net}),
    Case("keras", inputs={"x": Tensor("n c h w", (2, 3, 6, 5), **X)}, outputs={"y": Tensor("n c h w")},
         builders={"tensorflow": keras}),
    Case("square", inputs={"x": Tensor("n c h w", (1, 6, 6, 6), **X)}, outputs={"y": Tensor("n c h w")},
         builders={"tensorflow": keras}),
)
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, triangulate: Callable[..., Any]) -> Path:
    """A case file and, in ``out``, fresh exports of its cases to take for somebody's own."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "image.py").write_text(IMAGE)
    ran = triangulate("verify", folder / "image.py", "--parties", "*>ort.off", out=folder / "out")
    assert ran.status == 0, ran.stdout
    return folder


def edited(given: Path, file: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    proto = onnx.load(given / "out" / "image" / "net" / "torch.onnx")
    edit(proto)
    file.parent.mkdir(exist_ok=True)
    onnx.save(proto, file)
    return file


def wrong_weight(proto: onnx.ModelProto) -> None:
    for tensor in proto.graph.initializer:
        if len(tensor.dims) == 4:
            values = numpy_helper.to_array(tensor) * np.float32(1.0001)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))


def another_model(proto: onnx.ModelProto) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["a"], ["b"], keepdims=1)],
        "other",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, list("nchw"))],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, list("nchw"))],
    )
    proto.CopyFrom(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def unknown_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[-1].op_type = "Frobnicate"


def unknown_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 999


def missing_data(proto: onnx.ModelProto) -> None:
    _external(proto, "gone.data")


def outside_data(proto: onnx.ModelProto) -> None:
    _external(proto, "../outside.data")


def _external(proto: onnx.ModelProto, location: str) -> None:
    for tensor in proto.graph.initializer:
        if len(tensor.dims) == 4:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", "0"), ("length", str(4 * 4 * 27))):
                tensor.external_data.add(key=key, value=value)


EDITS = {
    "wrong_weight": wrong_weight,
    "another_model": another_model,
    "unknown_operator": unknown_operator,
    "unknown_opset": unknown_opset,
    "missing_data": missing_data,
    "outside_data": outside_data,
}
PLAIN = {
    "as_torch": ("net", "torch", "net/torch.onnx"),
    "as_file": ("net", ":file", "net/torch.onnx"),
    "own_order": ("keras", "tensorflow", "keras/tensorflow.onnx"),
    "nchw_by_shape": ("keras", "tensorflow:file", "keras/tensorflow.nchw.onnx"),
    "either_order": ("square", "tensorflow:file", "square/tensorflow.nchw.onnx"),
    "said_nchw": ("square", "tensorflow:nchw", "square/tensorflow.nchw.onnx"),
    "said_own": ("square", "tensorflow", "square/tensorflow.nchw.onnx"),
}


# Files that are the model's, or not, where none of the case's own inputs shows it: the model's inputs and what it gives
# for one, what both graphs take and hold, the right one's nodes and the wrong one's.


def numbers(changed: int | None = None) -> str:
    """The numbers below 100 in ONNX text, one of them another."""
    return "{" + ", ".join(str(v + (v == changed)) for v in range(100)) + "}"


FLOATS = "(float[2,3] x) => (float[2,3] y)"
HIDDEN = {
    "limit": (
        "x, lambda x: x.clamp(-1e4, 1e4) * 2",
        f"{FLOATS} <float low = {{-10000}}, float high = {{10000}}, float two = {{2}}>",
        "c = Clip (x, low, high) y = Mul (c, two)",
        "y = Mul (x, two)",
    ),
    "threshold": (
        "x, lambda x: (x > 0.5).float()",
        f"{FLOATS} <float half = {{0.5}}>",
        "g = Greater (x, half) y = Cast <to = 1> (g)",
        "g = GreaterOrEqual (x, half) y = Cast <to = 1> (g)",
    ),
    "not_a_number": (
        "x, lambda x: torch.where(torch.isnan(x), 0.0, x) * 2",
        f"{FLOATS} <float none = {{0}}, float two = {{2}}>",
        "n = IsNaN (x) w = Where (n, none, x) y = Mul (w, two)",
        "y = Mul (x, two)",
    ),
    "special_id": (
        "i, lambda i: torch.where(i == 49, -1, i)",
        "(int64[2,3] i) => (int64[2,3] y) <int64 id = {49}, int64 none = {-1}>",
        "e = Equal (i, id) y = Where (e, none, i)",
        "y = Identity (i)",
    ),
    "row": (
        "i, lambda i: table(torch, i)",
        f"(int64[2,3] i) => (float[2,3,2] y) <float[50,2] right = {numbers()}, float[50,2] wrong = {numbers(74)}>",
        "y = Gather (right, i)",
        "y = Gather (wrong, i)",
    ),
    "unshown": (
        "x, lambda x: torch.relu(torch.sigmoid(x) - 2) * torch.tensor([1.0, 2, 3]) + x",
        f"{FLOATS} <float two = {{2}}, float[3] right = {{1, 2, 3}}, float[3] wrong = {{4, 5, 6}}>",
        "s = Sigmoid (x) d = Sub (s, two) r = Relu (d) m = Mul (r, right) y = Add (m, x)",
        "s = Sigmoid (x) d = Sub (s, two) r = Relu (d) m = Mul (r, wrong) y = Add (m, x)",
    ),
}
TABLE = """
def table(torch, i):
    return torch.nn.functional.embedding(i, torch.arange(100, dtype=torch.float32).reshape(50, 2))
TAKEN = {"x": Tensor("n c", (2, 3), low=-2, high=2, integers=False),
         "i": Tensor("n c", (2, 3), "int64", low=0, high=30)}
"""


def hidden(folder: Path) -> str:
    """Writes the files of HIDDEN; their cases as Python, each beside its healthy twin."""
    cases = ""
    for name, (model, border, right, wrong) in HIDDEN.items():
        taken, _, builder = model.partition(", ")
        for which, nodes in (("right", right), ("wrong", wrong)):
            proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g {border} {{ {nodes} }}')
            read = {n for node in proto.graph.node for n in node.input}
            kept = [tensor for tensor in proto.graph.initializer if tensor.name in read]
            del proto.graph.initializer[:]
            proto.graph.initializer.extend(kept)
            onnx.save(proto, folder / f"{name}_{which}.onnx")
            cases += (
                f"CASES += (Case({name + '_' + which!r}, inputs={{{taken!r}: TAKEN[{taken!r}]}},\n"
                f"    builders={{'torch': lambda torch: {builder}}}, onnx={{'torch': '{name}_{which}.onnx'}}),)\n"
            )
    return TABLE + cases


@pytest.fixture(scope="module")
def judged(given: Path, triangulate: Callable[..., Any]) -> Any:
    """Every given file in one run: each is a case's own, ``onnx={…}``."""
    (given / "outside.data").write_bytes(bytes(4 * 4 * 27))
    files = {name: ("net", "torch", f"in/{name}.onnx") for name in EDITS}
    for name, edit in EDITS.items():
        edited(given, given / "in" / f"{name}.onnx", edit)
    files |= {name: (case, party, f"out/image/{file}") for name, (case, party, file) in PLAIN.items()}
    (given / "judged.py").write_text(
        IMAGE
        + f"\nimport dataclasses\nBY = {{case.name: case for case in CASES}}\nFILES = {files!r}\n"
        + "CASES = tuple(dataclasses.replace(BY[case], name=name, onnx={party: file})\n"
        + "              for name, (case, party, file) in FILES.items())\n"
        + hidden(given)
    )
    return triangulate("verify", given / "judged.py", "--verbose", out=given / "judged")


def test_a_given_file_stands_in_place_of_the_exports(given: Path, judged: Any) -> None:
    for name, graph in (("as_torch", "torch"), ("as_file", "torch:file")):
        case = judged.case(f"judged/{name}")
        assert (case["status"], case["blame"], list(case["graphs"])) == ("expected", ["agree"], [graph])
        assert case["graphs"][graph]["file"] == str((given / "out/image/net/torch.onnx").resolve())
        assert {f"{graph}>ort.all", f"{graph}>reference@64", "torch@64"} <= set(case["parties"])
    assert "the given file torch.onnx" in judged.stdout


def test_a_given_file_that_means_something_else_is_blamed(judged: Any) -> None:
    """A weight off by 1e-4, and a file that has nothing to do with the model: nothing maps, that is no agreement."""
    for name in ("wrong_weight", "another_model"):
        case = judged.case(f"judged/{name}")
        assert (case["status"], case["blame"]) == ("unexpected", ["export"]), name
        assert {b["party"] for b in case["blames"]} == {"torch"}
    notes = judged.case("judged/another_model")["graphs"]["torch"]["exported"]
    assert "inputs matched by position: x is a" in notes
    assert judged.status == 2, "cases that cannot be used are among them"


@pytest.mark.parametrize("name", HIDDEN)
def test_a_given_file_that_no_input_of_the_case_shows_is_found(judged: Any, name: str) -> None:
    right, wrong = (judged.case(f"judged/{name}_{which}") for which in ("right", "wrong"))
    assert (right["status"], right["blame"]) == ("expected", ["agree"]), right["blames"]
    if name == "unshown":
        assert (wrong["status"], wrong["blames"]) == ("undecided", [])
        assert any("not shown by any input: wrong of the file" in (e["problem"] or "") for e in wrong["edges"])
        return
    assert (wrong["status"], wrong["blame"]) == ("unexpected", ["export"])
    assert {b["party"] for b in wrong["blames"]} == {"torch"}
    assert all(b["size"].startswith("further inputs (") for b in wrong["blames"])


def test_the_order_of_axes_is_read_from_the_shape_or_asked_for(judged: Any) -> None:
    for name, graph, axes in (
        ("own_order", "tensorflow", "n h w c"),
        ("nchw_by_shape", "tensorflow:file", "n c h w"),
        ("said_nchw", "tensorflow:nchw", "n c h w"),
    ):
        case = judged.case(f"judged/{name}")
        assert (case["status"], case["blame"]) == ("expected", ["agree"]), name
        assert f"input x has the axes {axes}" in case["graphs"][graph]["exported"]
    assert "'n h w c' as well as 'n c h w'" in judged.case("judged/either_order")["problems"][0]
    assert judged.case("judged/either_order")["status"] != "expected"
    assert judged.case("judged/said_own")["status"] == "unexpected", "NCHW taken for TensorFlow's order must not pass"


@pytest.mark.parametrize("name", ["unknown_operator", "missing_data", "outside_data"])
def test_a_given_file_that_nothing_accepts_is_a_failed_export(judged: Any, name: str) -> None:
    case = judged.case(f"judged/{name}")
    assert (case["status"], case["blame"]) == ("unexpected", ["export-failed"])
    if name == "unknown_operator":
        assert case["blames"][0]["op"] == "Frobnicate"


def wrong_name(proto: onnx.ModelProto) -> None:
    extra = proto.graph.input.add()
    extra.CopyFrom(proto.graph.input[0])
    extra.name = "mask"


def wrong_shape(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 60


def wrong_type(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def no_outputs(proto: onnx.ModelProto) -> None:
    del proto.graph.output[:]


def more_outputs(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(helper.make_tensor_value_info(proto.graph.node[0].output[0], TensorProto.FLOAT, None))


def test_an_opset_of_the_future_is_what_each_runtime_makes_of_it(judged: Any) -> None:
    """The reference evaluator takes any number; ONNX Runtime refuses, and is not counted as agreeing."""
    case = judged.case("judged/unknown_opset")
    assert (case["status"], case["blame"]) == ("unexpected", ["unsupported"])
    assert {b["party"] for b in case["blames"]} == {"torch>ort.off", "torch>ort.all"}


UNUSABLE = [
    (wrong_name, "wants inputs 'mask'"),
    (wrong_shape, "input x is float32[2, 3, 60, 5], the case feeds float32[2, 3, 6, 5]"),
    (wrong_type, "input x is float64"),
    (no_outputs, "no outputs"),
    (b"", "empty"),
    (b"hello", "not a protobuf"),
    (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ("cut", "breaks off"),
    (more_outputs, "the model of net gives y"),
]


def plant(given: Path, file: Path, what: Any) -> Path:
    if what == "cut":
        file.write_bytes((given / "out" / "image" / "net" / "torch.onnx").read_bytes()[:-100])
    elif isinstance(what, bytes):
        file.write_bytes(what)
    else:
        edited(given, file, what)
    return file


@pytest.mark.parametrize(("what", "says"), UNUSABLE)
def test_a_given_file_that_cannot_be_one_of_this_case(given: Path, tmp_path: Path, what: Any, says: str) -> None:
    (ref, *_) = catalogue.find([str(given / "image.py")])
    y = ArrayFile(tmp_path / "y.npy", (2, 4, 4, 3), "float32", "n c h w")
    model = external_model(
        ref, "torch", plant(given, tmp_path / "given.onnx", what), Run(Party("torch"), {"y": y}), None, 0
    )
    assert model.error is not None
    assert (model.error.kind, model.file) == ("builder", None)
    assert says in model.error.message
    assert "\n" not in model.error.message


def test_an_unusable_file_is_one_line_and_status_2(
    given: Path, triangulate: Callable[..., Any], tmp_path: Path
) -> None:
    for file, says in ((plant(given, tmp_path / "given.onnx", "cut"), "breaks off"), (tmp_path / "no", "no such file")):
        ran = triangulate("verify", f"{given / 'image.py'}::net", "--onnx", f"torch={file}")
        assert ran.status == 2
        (line,) = ran.stderr.splitlines()
        assert says in line


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("torch", "expected PARTY=FILE"),
        ("jax=FILE", "is no export of this case"),
        ("tensorflow=FILE", "is no export of this case"),
        ("torch>ort.all=FILE", "is no export of this case"),
        ("torch@64=FILE", "is no export of this case"),
    ],
)
def test_words_that_name_no_given_file(given: Path, triangulate: Callable[..., Any], word: str, says: str) -> None:
    file = given / "out" / "image" / "net" / "torch.onnx"
    ran = triangulate("verify", f"{given / 'image.py'}::net", "--onnx", word.replace("FILE", str(file)))
    assert ran.status == 2
    assert says in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
