"""Permutations are read as changes of layout where they are, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.facts.transposes import transposes
from onnx_triangulate.records.graphs import Transpose

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def read(text: str) -> list[tuple[str, tuple[int, ...], str]]:
    return [(t.node, t.perm, t.kind) for t in transposes(parse(text))]


def dims(count: int) -> str:
    return ",".join(str(d) for d in (2, 3, 5, 7, 8)[:count])


@pytest.mark.parametrize(
    ("perm", "kind"),
    [
        ((0, 3, 1, 2), "NHWC->NCHW"),
        ((0, 2, 3, 1), "NCHW->NHWC"),
        ((0, 4, 1, 2, 3), "NDHWC->NCDHW"),
        ((0, 2, 3, 4, 1), "NCDHW->NDHWC"),
        ((2, 3, 1, 0), "OIHW->HWIO"),
        ((2, 3, 4, 1, 0), "OIDHW->DHWIO"),
        ((3, 2, 0, 1), "other"),
        ((1, 0), "matrix"),
        ((0, 1, 2, 3), "identity"),
        ((0, 2, 1), "batch of matrices"),
        ((0, 2, 1, 3), "other"),
        ((0, 3, 2, 1), "other"),
        ((0, 0, 1, 2), "invalid"),
        ((0, 1, 3), "invalid"),
    ],
)
def test_kinds(perm: tuple[int, ...], kind: str) -> None:
    text = f"g (float[{dims(len(perm))}] x) => (float[A] y) {{ [t] y = Transpose <perm = {list(perm)}> (x) }}"
    assert read(text) == [("t", perm, kind)]


@pytest.mark.parametrize(
    ("op", "perm", "kind"),
    [
        ("Conv", (3, 2, 0, 1), "HWIO->OIHW"),
        ("ConvTranspose", (3, 2, 0, 1), "HWOI->IOHW"),
        ("Conv", (2, 1, 0), "WIO->OIW"),
        ("Conv", (4, 3, 0, 1, 2), "DHWIO->OIDHW"),
    ],
)
def test_weights(op: str, perm: tuple[int, ...], kind: str) -> None:
    text = (
        f"g (float[{dims(len(perm))}] x, float[{dims(len(perm))}] w) => (float[A] y) "
        f"{{ t = Transpose <perm = {list(perm)}> (w) y = {op} (x, t) }}"
    )
    assert read(text) == [("Transpose_0", perm, kind)]


def test_a_weight_permutation_on_the_data_of_a_convolution_is_no_weight() -> None:
    text = """g (float[2,3,5,7] x, float[2,5,3,3] w) => (float[A] y) {
        t = Transpose <perm = [3, 2, 0, 1]> (x)
        y = Conv (t, w)
    }"""
    assert transposes(parse(text))[0].kind == "HWCN->NCHW"


def test_three_axes_are_told_by_the_convolution_they_lead_to_or_come_from() -> None:
    text = """g (float[2,7,3] x, float[3,3,3] w) => (float[A] y) {
        [into] t = Transpose <perm = [0, 2, 1]> (x)
        r = Relu (t)
        c = Conv (r, w)
        s = Sigmoid (c)
        [back] y = Transpose <perm = [0, 2, 1]> (s)
    }"""
    assert [(t.node, t.kind) for t in transposes(parse(text))] == [("into", "NWC->NCW"), ("back", "NCW->NWC")]


def test_perm_left_out_reverses_the_axes() -> None:
    text = "g (float[2,3] x) => (float[3,2] y) { y = Transpose (x) }"
    assert read(text) == [("Transpose_0", (1, 0), "matrix")]
    inferred = "g (float[2,3,5] x) => (float[A] y) <int64[4] s = {2,3,5,1}> { r = Reshape (x, s) y = Transpose (r) }"
    assert transposes(parse(inferred))[0].perm == (3, 2, 1, 0)


def test_perm_left_out_and_no_rank_is_unknown() -> None:
    text = "g (float[2,3,5] x) => (float[A] y) { r = Nonsense (x) [t] y = Transpose (r) }"
    assert read(text) == [("t", (), "unknown")]


ATTENTION = """g (float[2,5,12] x) => (y) <int64[4] apart = {0,0,3,4}, int64[3] together = {0,0,-1}, float s = {0.5}> {
    a = Reshape (x, apart) [q] q = Transpose <perm = [0, 2, 1, 3]> (a)
    b = Reshape (x, apart) b2 = Mul (b, s) [k] k = Transpose <perm = [0, 2, 3, 1]> (b2)
    c = Reshape (x, apart) [v] v = Transpose <perm = [0, 2, 1, 3]> (c)
    m = MatMul (q, k) p = Softmax (m) o = MatMul (p, v)
    [out] t = Transpose <perm = [0, 2, 1, 3]> (o) """


@pytest.mark.parametrize(("last", "kind"), [("Reshape (t, together)", "attention"), ("Relu (t)", "other")])
def test_the_heads_of_an_attention_are_no_layout(last: str, kind: str) -> None:
    found = {node: seen for node, _, seen in read(ATTENTION + f"y = {last} }}")}
    assert found == {"q": "attention", "k": "attention", "v": "attention", "out": kind}


def test_all_in_one_tensor_and_keys_turned_by_themselves() -> None:
    text = """g (float[2,5,36] x) => (y) <int64[5] s = {0,0,3,3,4}, int64 a = {0}, int64 b = {1}, int64 c = {2}> {
        r = Reshape (x, s) [three] t = Transpose <perm = [2, 0, 3, 1, 4]> (r)
        q = Gather (t, a) k = Gather (t, b) v = Gather (t, c)
        [turned] u = Transpose <perm = [0, 1, 3, 2]> (k) m = MatMul (q, u) p = Softmax (m) y = MatMul (p, v) }"""
    assert [(node, kind) for node, _, kind in read(text)] == [("three", "attention"), ("turned", "batch of matrices")]


def test_a_permutation_within_a_convolutional_net_is_read_by_its_layouts() -> None:
    shuffle = """g (float[2,6,7,8] x, float[6,6,1,1] w) => (y) <int64[5] s = {2,2,3,7,8}, int64[4] back = {2,6,7,8}> {
        c = Conv (x, w) r = Reshape (c, s) [t] t = Transpose <perm = [0, 2, 1, 3, 4]> (r)
        u = Reshape (t, back) y = Conv (u, w) }"""
    assert read(shuffle)[0][2] == "other"
    head = """g (float[2,3,7,8] x, float[6,3,1,1] w) => (y) <int64[3] s = {2,-1,3}> {
        c = Conv (x, w) [t] t = Transpose <perm = [0, 2, 3, 1]> (c) [r] y = Reshape (t, s) }"""
    (found,) = transposes(parse(head))
    assert (found.kind, found.needed_by, found.cancels_with) == ("NCHW->NHWC", ("r",), ())


def test_weights_that_could_be_stored_transposed() -> None:
    text = """g (float[2,3,7,8] x, float[5,3,1,1] k) => (y) <float[1,1,3,2] w = {1,2,3,4,5,6}> {
        [w] t = Transpose <perm = [3, 2, 0, 1]> (w) c = Conv (x, t)
        [d] u = Transpose <perm = [0, 3, 1, 2]> (c) y = Relu (u) }"""
    found = {t.node: t for t in transposes(parse(text))}
    assert (found["w"].kind, found["w"].on_constant, found["w"].bytes) == ("HWIO->OIHW", True, 24)
    assert found["w"].needed_by == ("Conv_1",)
    assert not found["d"].on_constant
    assert found["d"].bytes == 2 * 2 * 7 * 8 * 4


@pytest.mark.parametrize(
    ("kind", "size"),
    [("float", 84), ("double", 168), ("float16", 42), ("bool", 21), ("int4", 11), ("bfloat16", 42), ("string", None)],
)
def test_bytes(kind: str, size: int | None) -> None:
    assert transposes(parse(f"g ({kind}[3,7] x) => (y) {{ y = Transpose (x) }}"))[0].bytes == size


@pytest.mark.parametrize("shape", ["N,7", "0,7"])
def test_bytes_of_what_is_not_known_or_nothing(shape: str) -> None:
    assert transposes(parse(f"g (float[{shape}] x) => (y) {{ y = Transpose (x) }}"))[0].bytes == (
        0 if shape == "0,7" else None
    )


TO, BACK = "Transpose <perm = [0, 3, 1, 2]>", "Transpose <perm = [0, 2, 3, 1]>"


@pytest.mark.parametrize(
    ("body", "cancels", "vanishes"),
    [
        (f"[a] t = {TO} (x) [b] y = {BACK} (t)", {"a": ("b",), "b": ("a",)}, "ab"),
        (f"[a] t = {TO} (x) r = Relu (t) [b] y = {BACK} (r)", {"a": ("b",), "b": ("a",)}, "ab"),
        (f"[a] t = {TO} (x) r = Add (t, k) [b] y = {BACK} (r)", {"a": ("b",), "b": ("a",)}, "ab"),
        (f"[a] t = {TO} (x) [b] y = {TO} (t)", {}, ""),
        # of three in a row two
        (f"[a] t = {TO} (x) [b] u = {BACK} (t) [c] y = {TO} (u)", {"a": ("b",), "b": ("a",)}, "ab"),
        (f"[a] t = {TO} (x) r = Relu (t) [b] y = {BACK} (r) z = MatMul (r, r)", {"a": ("b",), "b": ("a",)}, ""),
        # something else flows in, or the order of axes matters in between
        (f"[a] t = {TO} (x) r = Add (t, x) [b] y = {BACK} (r)", {}, ""),
        (f"[a] t = {TO} (x) r = MatMul (t, t) [b] y = {BACK} (r)", {}, ""),
        (f"[a] t = {TO} (x) r = LayerNormalization (t, k) [b] y = {BACK} (r)", {}, ""),
        (f"[a] t = {TO} (x) r = ReduceMax <keepdims = 0> (t, one) [b] y = Transpose (r)", {}, ""),
        # two of them into one, and one into two
        (
            f"[a] t = {TO} (x) [b] u = {TO} (x) s = Add (t, u) [c] y = {BACK} (s)",
            {"a": ("c",), "b": ("c",), "c": ("a", "b")},
            "abc",
        ),
        (
            f"[a] t = {TO} (x) [b] y = {BACK} (t) s = Relu (t) [c] z = {BACK} (s)",
            {"a": ("b", "c"), "b": ("a",), "c": ("a",)},
            "abc",
        ),
        (f"[a] t = {TO} (x) [b] y = {BACK} (t) z = Relu (t)", {"a": ("b",), "b": ("a",)}, ""),
    ],
)
def test_what_cancels(body: str, cancels: dict[str, tuple[str, ...]], vanishes: str) -> None:
    outputs = "(y, z)" if " z = " in body else "(y)"
    text = f"g (float[2,7,7,7] x) => {outputs} <float[7] k = {{1,2,3,4,5,6,7}}, int64[1] one = {{1}}> {{ {body} }}"
    found = transposes(parse(text))
    assert {t.node: t.cancels_with for t in found if t.cancels_with} == cancels
    assert "".join(t.node for t in found if t.removable) == vanishes


def test_how_far_it_could_be_moved() -> None:
    text = f"""g (float[2,7,8,3] x, float[2,3,7,8] p) => (y, z) {{
        r = Relu (x) [in] t = {TO} (r) c = GlobalMaxPool (t) [out] u = {BACK} (c) [sig] y = Sigmoid (u)
        m = MaxPool <kernel_shape = [2,2]> (p) [stuck] v = {BACK} (m) q = Sigmoid (v)
        [cut] w = MatMul (q, q) z = Relu (w) }}"""
    found = {t.node: t for t in transposes(parse(text))}
    assert (found["in"].through, found["in"].movable_to) == (("Relu_0",), ("x",))
    assert (found["out"].through, found["out"].movable_to) == (("sig",), ("y",))
    assert (found["stuck"].through, found["stuck"].movable_to, found["stuck"].needed_by) == ((), (), ("cut",))


AXIS = {"Concat": 1, "Hardmax": -1, "Split": 0}


def rewritten(
    model: onnx.ModelProto, nodes: Sequence[str], perm: tuple[int, ...], drop: Sequence[str]
) -> onnx.ModelProto:
    """The model with Transposes left out and what stands between them made to work on the axes as they were."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    tensors = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}

    def replace(node: onnx.NodeProto, slot: int, value: NDArray[Any]) -> None:
        name = f"{node.name}_{slot}"
        made.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        node.input[slot] = name

    for node in made.graph.node:
        if node.name in drop:
            node.op_type = "Identity"
            del node.attribute[:]
        elif node.name in nodes:
            if node.op_type in AXIS:
                held = {a.name: a for a in node.attribute}
                axis = held["axis"].i if "axis" in held else AXIS[node.op_type]
                rest = [a for a in node.attribute if a.name != "axis"]
                del node.attribute[:]
                node.attribute.extend([*rest, helper.make_attribute("axis", perm[axis])])
            elif node.op_type == "Pad":
                old = tensors[node.input[1]].reshape(2, -1)
                new = np.empty_like(old)
                new[:, list(perm)] = old
                replace(node, 1, new.reshape(-1))
            elif node.op_type == "ReduceSum":
                replace(node, 1, np.array([perm[a] for a in tensors[node.input[1]]], np.int64))
            elif node.op_type == "Slice":
                replace(node, 3, np.array([perm[a] for a in tensors[node.input[3]]], np.int64))
            else:
                for slot, name in enumerate(node.input):
                    if name in tensors and tensors[name].size > 1:
                        whole = tensors[name].reshape((1,) * (len(perm) - tensors[name].ndim) + tensors[name].shape)
                        replace(node, slot, whole.transpose(np.argsort(perm)))
    return made


def random_graph(seed: int) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """Transposes there and back with operators in between that do not care."""
    random = np.random.default_rng(seed)
    shape = (2, 3, 5, 7)
    x = random.integers(-9, 10, shape).astype(np.float32)
    there = [(0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3), (1, 0, 2, 3)][int(random.integers(4))]
    back = tuple(int(p) for p in np.argsort(there))
    nodes, tensors, held = [], [], {"x": x}
    turned = {"x": 0}

    def constant(value: NDArray[Any]) -> str:
        tensors.append(numpy_helper.from_array(value, f"k{len(tensors)}"))
        return f"k{len(tensors) - 1}"

    for step in range(10):
        name = str(random.choice(list(held)))
        value = held[name]
        new, axis = f"v{step}", int(random.integers(4))
        choice = str(random.choice("T T T Relu Add Both Concat Hardmax Pad ReduceSum Slice MatMul".split()))
        inputs, attributes, op = [name], {}, choice
        if choice == "T":
            perm = back if turned[name] > 0 else there
            inputs, op, attributes = [name], "Transpose", {"perm": perm}
            turned[new] = turned[name] + (1 if perm == there else -1)
        elif choice == "Add":
            inputs.append(constant(random.integers(-5, 6, value.shape[axis:]).astype(np.float32)))
        elif choice == "Both":
            op, inputs = "Sub", [name, *[n for n in held if held[n].shape == value.shape][-1:]]
        elif choice == "Concat":
            inputs, attributes = [name, name], {"axis": axis}
        elif choice == "Hardmax":
            attributes = {"axis": axis}
        elif choice == "Pad":
            inputs.append(constant(random.integers(0, 2, 8)))
        elif choice == "ReduceSum":
            inputs.append(constant(np.array([axis], np.int64)))
        elif choice == "Slice":
            inputs += [constant(np.array([v], np.int64)) for v in (0, max(1, value.shape[axis] - 1), axis)]
        elif choice == "MatMul" and random.random() < 0.5:
            inputs.append(constant(np.eye(value.shape[-1], dtype=np.float32)))
        else:
            op = "Relu"
        nodes.append(helper.make_node(op, inputs, [new], name=f"n{step}", **attributes))
        turned.setdefault(new, turned[name])
        model = built(nodes, tensors, [new])
        held[new] = ReferenceEvaluator(model).run(None, {"x": x})[0]
    leaves = [n for n in held if n != "x" and not any(n in node.input for node in nodes)]
    return built(nodes, tensors, leaves), x


def built(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], outputs: list[str]) -> onnx.ModelProto:
    border = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 5, 7])]
    made = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    graph = helper.make_graph(nodes, "g", border, made, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def groups(found: Sequence[Transpose]) -> list[list[Transpose]]:
    """Those that vanish, together with those they cancel with."""
    by_name = {t.node: t for t in found}
    made: list[list[Transpose]] = []
    seen: set[str] = set()
    for start in found:
        if not start.removable or start.node in seen:
            continue
        waiting, own = [start.node], []
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                own.append(by_name[name])
                waiting += by_name[name].cancels_with
        made.append(own)
    return made


def test_what_is_said_to_vanish_can_be_taken_out_and_what_moves_can_be_moved() -> None:
    vanished = moved = 0
    for seed in range(400):
        model, x = random_graph(seed)
        expected = ReferenceEvaluator(model).run(None, {"x": x})
        found = transposes(model)
        for group in groups(found):
            first = min(group, key=lambda t: int(t.node[1:]))
            through = sorted({n for t in group for n in t.through})
            other = rewritten(model, through, first.perm, [t.node for t in group])
            same(ReferenceEvaluator(other).run(None, {"x": x}), expected, seed)
            vanished += len(group)
        for step in found:
            if step.movable_to == ("x",) and step.through:
                back = tuple(int(p) for p in np.argsort(step.perm))
                other = rewritten(model, step.through, back, [step.node])
                same(ReferenceEvaluator(at_the_input(other, step)).run(None, {"x": x}), expected, seed)
                moved += 1
            elif step.movable_to and "x" not in step.movable_to:
                other = rewritten(model, step.through, step.perm, [step.node])
                ran = ReferenceEvaluator(other).run(None, {"x": x})
                names = [o.name for o in model.graph.output]
                ran = [v.transpose(step.perm) if n in step.movable_to else v for n, v in zip(names, ran, strict=True)]
                same(ran, expected, seed)
                moved += 1
    assert vanished > 100
    assert moved > 100


def at_the_input(model: onnx.ModelProto, step: Transpose) -> onnx.ModelProto:
    """The nodes of ``step.through`` that read the input read it transposed."""
    for node in model.graph.node:
        if node.name in step.through:
            for slot, name in enumerate(node.input):
                if name == "x":
                    node.input[slot] = "x_moved"
    model.graph.node.insert(0, helper.make_node("Transpose", ["x"], ["x_moved"], perm=step.perm))
    return model


def same(left: Sequence[NDArray[Any]], right: Sequence[NDArray[Any]], seed: int) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.shape == b.shape, seed
        np.testing.assert_array_equal(a, b, err_msg=str(seed))


def test_what_does_not_cancel_cannot_be_taken_out() -> None:
    """The check above finds out a claim that is wrong."""
    text = f"g (float[2,7,7,7] x) => (y) {{ [n0] t = {TO} (x) [n1] y = {TO} (t) }}"
    model = parse(text)
    x = np.arange(2 * 343, dtype=np.float32).reshape(2, 7, 7, 7)
    with pytest.raises(AssertionError):
        same(
            ReferenceEvaluator(rewritten(model, (), (0, 3, 1, 2), ["n0", "n1"])).run(None, {"x": x}),
            ReferenceEvaluator(model).run(None, {"x": x}),
            0,
        )


@pytest.mark.parametrize(("dims", "moved"), [(("2", "3"), 24), (("1099511627776",) * 400, None)])
def test_what_no_memory_holds_is_not_moved(dims: tuple[str, ...], moved: int | None) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[{",".join(dims)}] x) => (y) {{ y = Transpose (x) }}'
    (step,) = transposes(onnx.parser.parse_model(text))
    assert step.bytes == moved
