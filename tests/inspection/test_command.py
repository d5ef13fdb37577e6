"""``triangulate inspect``: its words, its files, its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from click.testing import CliRunner

from onnx_triangulate.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
TRAINING = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2,3,4,4] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2,3,4,4] y)
{ [norm] z, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v)
  [act] y = Relu (z) }"""
needs_igraph = pytest.mark.skipif(find_spec("igraph") is None, reason="the layout engine is an extra: picture")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(TRAINING), file)
    return file


def inspect(*words: Any) -> Any:
    ran = CliRunner().invoke(app, ["inspect", *(str(word) for word in words)])
    return SimpleNamespace(status=ran.exit_code, stdout=ran.stdout, stderr=ran.stderr)


def complaint(ran: Any, status: int = 2) -> str:
    assert (ran.status, ran.stdout) == (status, ""), ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("triangulate: ")
    assert line.isprintable()
    return str(line)


def codes(ran: Any) -> list[str]:
    return [remark["code"] for remark in json.loads(ran.stdout)["remarks"]]


def test_remarks_do_not_fail_unless_asked(model: Path) -> None:
    ran = inspect(model)
    assert (ran.status, ran.stderr) == (0, "")
    assert "NUM001 warning" in ran.stdout


@pytest.mark.parametrize(("limit", "status"), [("info", 1), ("warning", 1), ("error", 0)])
def test_fail_on_is_a_limit(model: Path, limit: str, status: int) -> None:
    assert inspect(model, "--fail-on", limit, "--select", "NUM001").status == status
    assert inspect(model, "--fail-on", limit, "--select", "NUM001", "--ignore", "NUM001").status == 0


def test_fail_on_asks_for_a_severity(model: Path) -> None:
    assert "expected info, warning or error" in complaint(inspect(model, "--fail-on", "bad"))


def test_rules_are_selected_and_ignored(model: Path) -> None:
    assert codes(inspect(model, "--json", "-", "--select", "NUM001")) == ["NUM001"]
    assert "NUM001" in codes(inspect(model, "--json", "-"))
    assert "NUM001" not in codes(inspect(model, "--json", "-", "--ignore", "NUM001"))
    assert codes(inspect(model, "--json", "-", "--select", "NUM", "--ignore", "num")) == []
    assert "XYZ" in complaint(inspect(model, "--select", "XYZ"))


def test_json_on_standard_output_is_nothing_but_json(model: Path) -> None:
    document = json.loads(inspect(model, "--json", "-").stdout)
    assert document["schema"] == "triangulate-inspect/1"
    assert document["file"] == str(model)
    assert document["ops"] == {"BatchNormalization": 1, "Relu": 1}


def test_mermaid_on_standard_output_is_nothing_but_mermaid(model: Path) -> None:
    ran = inspect(model, "--mermaid", "-")
    assert ran.status == 0
    assert ran.stdout.startswith("flowchart TD\n")
    assert "BatchNormalization" in ran.stdout
    assert "NUM001" in ran.stdout


def test_around_and_depth_say_what_is_drawn(model: Path) -> None:
    ran = inspect(model, "--mermaid", "-", "--around", "act", "--depth", "0")
    assert "Relu" in ran.stdout
    assert "BatchNormalization" not in ran.stdout
    assert "no node or value of that name" in complaint(inspect(model, "--mermaid", "-", "--around", "nobody"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--around", "act"], "give --svg, --html or --mermaid"),
        (["--json", "-", "--mermaid", "-"], "standard output can be one of"),
        (["--mermaid", "{folder}/missing/g.mmd"], "missing does not exist"),
        (["{folder}/model.onnx", "--mermaid", "-"], "draw one graph"),
    ],
)
def test_words_that_cannot_be_meant(model: Path, words: list[str], says: str) -> None:
    assert says in complaint(inspect(model, *[word.replace("{folder}", str(model.parent)) for word in words]))


def test_a_place_that_cannot_be_written_is_said_before_any_work(model: Path) -> None:
    ran = inspect(model.parent / "missing.onnx", "--mermaid", model.parent / "missing" / "g.mmd")
    assert "missing does not exist" in complaint(ran)


@needs_igraph
def test_pictures_are_written_whole(model: Path) -> None:
    svg, page = model.parent / "g.svg", model.parent / "g.html"
    ran = inspect(model, "--svg", svg, "--html", page)
    assert (ran.status, ran.stderr) == (0, "")
    assert ET.parse(svg).getroot().tag.endswith("svg")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(p.name for p in model.parent.iterdir()) == ["g.html", "g.svg", "model.onnx"]
    assert inspect(model, "--svg", "-").stdout == svg.read_text(encoding="utf-8")


@pytest.mark.parametrize("word", ["--svg", "--html"])
def test_without_the_layout_engine_one_line_and_status_3(
    model: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    ran = inspect(model, word, model.parent / "g")
    assert "needs igraph; pip install 'onnx-triangulate[picture]'" in complaint(ran, 3)
    assert not (model.parent / "g").exists()


HOSTILE = (
    b"<script>alert(1)</script>",
    b"\x1b[31mred\x00\n::error::x\r##[error]y",
    "\u202eevil".encode(),
    b"\xff\xfe\xed\xa0\x80",
    b'"]]>--><!--&#60;',
    b"N" * 1_000_000,
)


@needs_igraph
@pytest.mark.parametrize("evil", HOSTILE, ids=lambda evil: repr(evil[:12]))
def test_names_of_a_file_are_harmless_in_every_format(model: Path, evil: bytes) -> None:
    filler = b"QQQQQQQQ"
    text = TRAINING.replace("norm", "QQQQQQQQ").replace("z", "QQQQQQQQ").replace("x", "QQQQQQQQx")
    file = model.parent / "evil.onnx"
    file.write_bytes(renamed(onnx.parser.parse_model(text), filler, evil))
    places = {kind: model.parent / f"g.{kind}" for kind in ("json", "svg", "html", "mermaid")}
    ran = inspect(file, *(word for kind, place in places.items() for word in (f"--{kind}", place)), "-v")
    assert (ran.status, ran.stderr) == (0, "")
    for kind, output in {
        "terminal": ran.stdout,
        **{k: p.read_text(encoding="utf-8") for k, p in places.items()},
    }.items():
        assert all(c == "\n" or c.isprintable() for c in output), kind
        assert "<script>" not in output or kind in ("terminal", "json"), kind
        assert not any(line.lstrip().startswith("::") for line in output.splitlines()), kind
        assert "##[" not in output, kind
        assert len(output) < 100_000, kind
    assert ET.parse(places["svg"]).getroot() is not None
    json.loads(places["json"].read_text(encoding="ascii"))


def renamed(model: onnx.ModelProto, old: bytes, new: bytes) -> bytes:
    """A model whose names hold bytes that protobuf's setters refuse: its fields are written anew, lengths and all."""
    return _message(model.SerializeToString(), old, new)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def _read(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _message(content: bytes, old: bytes, new: bytes) -> bytes:
    """Every length-delimited field that holds ``old``: replaced where it is a name, entered where it is a message."""
    made, at = bytearray(), 0
    while at < len(content):
        start = at
        tag, at = _read(content, at)
        if tag & 7 == 0:
            _, at = _read(content, at)
        elif tag & 7 == 2:
            length, at = _read(content, at)
            inside = content[at : at + length]
            at += length
            if old in inside:
                whole = inside.strip(b"QxTE") == b""
                fresh = inside.replace(old, new) if whole else _message(inside, old, new)
                made += _varint(tag) + _varint(len(fresh)) + fresh
                continue
        else:
            at += 8 if tag & 7 == 1 else 4
        made += content[start:at]
    return bytes(made)


@pytest.mark.parametrize(("words", "wanted"), [(("--json", "-"), False), (("--mermaid", "-"), False), ((), True)])
def test_what_only_a_terminal_needs_is_not_imported_for_programs(
    model: Path, words: tuple[str, ...], wanted: bool
) -> None:
    program = (
        "import sys, onnx_triangulate.cli.main as m\ntry:\n    m.main()\nfinally:\n"
        "    print('rich.console' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "inspect", str(model), *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stderr.split()[-1] == str(wanted)


@pytest.mark.parametrize(("limit", "status"), [((), 0), (("--fail-on", "warning"), 1), (("--fail-on", "error"), 0)])
def test_a_difference_is_a_warning(limit: tuple[str, ...], status: int, tmp_path: Path) -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    text = f"{head} g (float[N,4] x) => (float[N,4] y) {{ [act] y = Elu <alpha = ALPHA> (x) }}"
    for name, alpha in (("a", "1.0"), ("b", "0.5"), ("c", "1.0")):
        onnx.save(onnx.parser.parse_model(text.replace("ALPHA", alpha)), tmp_path / f"{name}.onnx")
    quiet = ("--select", "NUM001")
    assert inspect(tmp_path / "a.onnx", tmp_path / "b.onnx", *quiet, *limit).status == status
    assert inspect(tmp_path / "a.onnx", tmp_path / "c.onnx", *quiet, *limit).status == 0


def test_a_rule_that_breaks_down_passes_no_gate(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_triangulate.inspection import rules

    def find(view: Any) -> list[Any]:
        raise KeyError("planted")

    broken = rules.Rule("XXX001", "planted", "info", find, (), ())
    monkeypatch.setattr(rules, "chosen", lambda select=(), ignore=(): (broken,))
    ran = inspect(model, "--fail-on", "error")
    assert ran.status == 3
    assert "rule XXX001 failed: KeyError" in ran.stderr


def test_a_node_without_a_counterpart_passes_no_gate(tmp_path: Path) -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y)'
    onnx.save(onnx.parser.parse_model(f"{head} {{ [act] y = Relu (x) }}"), tmp_path / "a.onnx")
    onnx.save(onnx.parser.parse_model(f"{head} {{ [act] a = Relu (x) [more] y = Neg (a) }}"), tmp_path / "b.onnx")
    for pair in (("a", "b"), ("b", "a")):
        files = [tmp_path / f"{name}.onnx" for name in pair]
        assert inspect(*files, "--select", "NUM001", "--fail-on", "warning").status == 1


@pytest.mark.parametrize("option", ["--json", "--mermaid", "--svg", "--html"])
def test_the_model_is_not_written_over(model: Path, option: str) -> None:
    before = model.read_bytes()
    assert "reads" in complaint(inspect(model, option, model))
    assert "twice" in complaint(inspect(model, "--json", "out", "--mermaid", "out"))
    assert model.read_bytes() == before


def test_of_two_files_neither_is_written_over(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(model.read_bytes())
    for command in ("inspect", "compare"):
        ran = CliRunner().invoke(app, [command, str(model), str(other), "--json", str(other)])
        assert (ran.exit_code, "reads" in ran.stderr) == (2, True)
    assert other.read_bytes() == model.read_bytes()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_failure_of_a_gate(model: Path, unbuffered: str) -> None:
    command = f"{sys.executable} -m onnx_triangulate inspect {model} -v | true; exit ${{PIPESTATUS[0]}}"
    variables = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=variables)
    assert (ran.returncode, ran.stderr) in {(141, ""), (0, "")}  # 0 where all of it was read in time


def test_verbose_lists_every_difference_of_two_files(tmp_path: Path) -> None:
    name = "model." + "layers." * 30
    for file, op in (("a", "Exp"), ("b", "Tanh")):
        nodes = [onnx.helper.make_node("Sin", ["x"], ["t"], name=name + "end")]
        nodes += [onnx.helper.make_node(op, ["t"], [f"y{i}"], name=f"{name}{i}.") for i in range(9)]
        outputs = [onnx.helper.make_tensor_value_info(f"y{i}", 1, [2]) for i in range(9)]
        x = onnx.helper.make_tensor_value_info("x", 1, [2])
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], outputs)), tmp_path / f"{file}.onnx")
    both = tmp_path / "a.onnx", tmp_path / "b.onnx"
    short, verbose = ("".join(inspect(*both, *words).stdout.split()) for words in ((), ("-v",)))
    assert f"{name}8." in verbose
    assert f"{name}8." not in short
