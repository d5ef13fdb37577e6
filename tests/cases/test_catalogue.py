"""The catalogue refuses what would make a run lie, with one line that says where and what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from onnx_triangulate.cases import catalogue
from onnx_triangulate.cases.catalogue import bundled, find, frameworks, left_out, load
from onnx_triangulate.records.case import Absent, CaseRef, Each
from onnx_triangulate.records.errors import UnusableInput

HEAD = "from onnx_triangulate import Absent, Case, Each, Expected, Gradient, Tensor, UnusableInput\n"
INPUTS = "inputs={'x': Tensor('n', (3,))}"
BUILDERS = "builders={'torch': lambda torch: None}"


def case(name: str = "a", more: str = "", *, inputs: str = INPUTS, builders: str = BUILDERS) -> str:
    return f"Case({name!r}, {inputs}, {builders}, {more})"


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def cases(folder: Path, *texts: str, name: str = "mine.py") -> Path:
    return write(folder, name, f"{HEAD}CASES = ({', '.join(texts)},)\n")


def refusal(target: Path | str) -> str:
    """The one line with which a target is refused."""
    with pytest.raises(UnusableInput) as caught:
        find([str(target)])
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


def names(*targets: Path | str) -> list[str]:
    return [ref.name for ref in find(map(str, targets))]


def test_nothing_named_is_the_whole_bundled_catalogue() -> None:
    everything = find()
    assert len(everything) >= 30
    assert len({ref.name for ref in everything}) == len(everything)
    assert {ref.file.parent for ref in everything} == {bundled().resolve()}
    assert {"conv2d/even_input", "autodiff/chain", "conv_transpose2d/output_20"} <= {ref.name for ref in everything}
    assert everything == find([str(bundled())])


@pytest.mark.parametrize("tags", ["'pooling'", "('two words',)", "(3,)", "['pooling']"])
def test_tags_are_a_tuple_of_words(tmp_path: Path, tags: str) -> None:
    assert "its tags are no tuple of words" in refusal(cases(tmp_path, case("a", f"tags={tags}")))
    assert names(cases(tmp_path, case("a", "tags=('pooling', 'signed-zero')"))) == ["mine/a"]


def test_a_group_a_case_and_either_twice() -> None:
    group = names("conv2d")
    assert "conv2d/even_input" in group
    assert {name.split("/")[0] for name in group} == {"conv2d"}
    assert names("conv2d/even_input") == ["conv2d/even_input"]
    assert names("conv2d/odd_input", "conv2d", "conv2d/odd_input") == [
        "conv2d/odd_input",
        *[name for name in group if name != "conv2d/odd_input"],
    ]


def test_a_file_a_case_of_a_file_and_a_folder(tmp_path: Path) -> None:
    file = cases(tmp_path, case("a"), case("b"))
    cases(tmp_path, case("a"), name="other.py")
    write(tmp_path, "_helper.py", "raise SystemExit")
    write(tmp_path, "notes.txt", "no case")
    assert names(file) == ["mine/a", "mine/b"]
    assert names(f"{file}::b") == ["mine/b"]
    assert names(tmp_path) == ["mine/a", "mine/b", "other/a"]
    assert names(file, "conv2d/even_input") == ["mine/a", "mine/b", "conv2d/even_input"]


def test_a_lone_case_is_as_good_as_a_tuple_of_one(tmp_path: Path) -> None:
    assert names(write(tmp_path, "mine.py", f"{HEAD}CASES = {case()}\n")) == ["mine/a"]


def test_a_reference_loads_its_case_by_either_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases(tmp_path, case("a"), case("b"))
    monkeypatch.chdir(tmp_path)
    (ref,) = find(["mine.py::b"])
    assert ref.file.is_absolute()
    assert (load(ref).name, ref.group) == ("b", "mine")
    with pytest.raises(UnusableInput, match=r"no case 'mine/c'"):
        load(CaseRef(ref.file, "mine/c"))


@pytest.mark.parametrize("target", ["conv2d/even_inputs", "conv2d/evn_input", "conv_2d", "leaky_rely"])
def test_an_unknown_name_brings_the_nearest(target: str) -> None:
    near = {"conv2d/even_inputs": "conv2d/even_input", "conv2d/evn_input": "conv2d/even_input"}
    says = refusal(target)
    assert target in says
    assert f"did you mean {near.get(target, 'conv2d' if target == 'conv_2d' else 'leaky_relu')!r}?" in says
    assert "`triangulate list`" in says


@pytest.mark.parametrize(
    "target", ["qqqqqqqq", "nowhere.py", "./nowhere", "_init_", "conv2d/even_input/x", "conv2d\n\x1b[2J"]
)
def test_a_name_of_nothing(target: str) -> None:
    assert "no such case" in refusal(target)


def test_a_case_that_the_file_does_not_have(tmp_path: Path) -> None:
    assert "no such case" in refusal(f"{cases(tmp_path, case())}::b")


def test_a_private_file_is_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases(tmp_path, case(), name="_helper.py")
    cases(tmp_path, case())
    monkeypatch.setattr(catalogue, "bundled", lambda: tmp_path)
    assert names("mine") == ["mine/a"]
    assert "no such case" in refusal("_helper")


def test_a_folder_without_case_files(tmp_path: Path) -> None:
    write(tmp_path, "_private.py", "")
    write(tmp_path, "notes.txt", "")
    assert "a folder without case files" in refusal(tmp_path)


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    assert "not a Python file" in refusal(write(tmp_path, "notes.txt", "CASES = ()"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CASES = (\n", ":1: syntax error: '(' was never closed"),
        ("x = 1\n  y = 2\n", ":2: syntax error"),
        ("def f(:\n", ":1: syntax error"),
        ("\0", "null bytes"),
        ("", "holds no cases"),
        ("CASES = ()", "holds no cases"),
        ("CASES = []", "holds no cases"),
        ("CASES = None", "holds no cases"),
        ("CASES = {'a': 1}", "holds no cases"),
        ("CASES = 'a'", "holds a value of type str"),
        ("CASES = (1,)", "holds a value of type int"),
        ("import nonexistent_engine", "raises ModuleNotFoundError on loading: No module named 'nonexistent_engine'"),
        ("1 / 0", "raises ZeroDivisionError on loading"),
        ("raise SystemExit(0)", "raises SystemExit on loading"),
        ("raise ValueError('two\\nlines ' + 'x' * 9999)", "raises ValueError on loading: two lines xxx"),
        (f"{HEAD}raise UnusableInput('told so')", "told so"),
        ("def f(): f()\nf()", "raises RecursionError"),
    ],
)
def test_a_file_that_cannot_be_loaded(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, "mine.py", text)
    told = refusal(file)
    assert told.startswith(str(file))
    assert says in told
    assert len(told) < 600


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(b"NOTE = 'caf\xe9'\nCASES = ()\n")
    assert "syntax error" in refusal(file)


def test_two_cases_of_one_name(tmp_path: Path) -> None:
    assert "two cases are named 'a'" in refusal(cases(tmp_path, case("a"), case("b"), case("a")))


def test_two_files_that_give_one_name(tmp_path: Path) -> None:
    first, second = cases(tmp_path / "one", case("a")), cases(tmp_path / "two", case("a"))
    with pytest.raises(UnusableInput, match="two cases are named 'mine/a'") as caught:
        find([str(first), str(second)])
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert names(first, first, tmp_path / "one") == ["mine/a"]


def test_a_users_file_named_like_a_group_of_ours(tmp_path: Path) -> None:
    file = cases(tmp_path, case("even_input"), name="conv2d.py")
    assert names(file) == ["conv2d/even_input"]
    with pytest.raises(UnusableInput, match="two cases are named 'conv2d/even_input'"):
        find([str(file), "conv2d"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (case("a/b"), "one printable word"),
        (case(""), "one printable word"),
        (case(".."), "one printable word"),
        (case(".a"), "one printable word"),
        (case("a b"), "one printable word"),
        (case("a\x1b[2J"), "one printable word"),
        (case("a\u202eb"), "one printable word"),
        ("Case(5, {}, {})", "one printable word"),
        (case(builders="builders={}"), "has no builders"),
        (
            case(builders="builders=[]"),
            "builders= is of type list; expected a mapping, builders={'torch': lambda torch: …}",
        ),
        (case(more="parameters=('w',)"), "parameters= is of type tuple; expected a mapping"),
        (case(more="expect=None"), "expect= is of type NoneType; expected a mapping"),
        (
            case(builders="builders={'caffe': lambda caffe: None}"),
            "builder for 'caffe'; known frameworks: onnx, tensorflow, torch",
        ),
        (case(builders="builders={'torch': None}"), "the builder for torch is of type NoneType"),
        (case(inputs="inputs={}"), "has no inputs"),
        (case(inputs="inputs={'x': (3,)}"), "input 'x' is of type tuple; expected Tensor"),
        (case(inputs="inputs={'x': Absent('why')}"), "input 'x' is of type Absent"),
        (case(more="outputs={'y': 3}"), "output 'y' is of type int"),
        (case(more="parameters={'x': 1}"), "x is both an input and a parameter"),
        (case(more="parameters={'e': Each(tensorflow=1)}"), "parameter 'e' says nothing of torch"),
        (case(more="truth={'tensorflow': abs}"), "differ in tensorflow, torch"),
        (
            case(builders="builders={'torch': abs, 'tensorflow': abs}", more="truth={'torch': abs}"),
            "builders and truths by framework differ in tensorflow",
        ),
        (case(more="expect={('torch',): Expected('export', 'r')}"), "expected a pair of parties"),
        (case(more="expect={'torch|torch>*': Expected('export', 'r')}"), "expected a pair of parties"),
        (case(more="expect={('torch', 'torch>*'): 'export'}"), "expected Expected(blame=one of agree, "),
        (case(more="expect={('torch', 'torch>*'): Expected('exporter', 'r')}"), "expected Expected(blame=one of"),
        (case(more="expect={('torch', 'torch>*'): Expected('agree', 'r')}"), "expected Expected(blame=one of"),
        (case(more="expect={('torch', 'torch>*'): Expected('export', ' ')}"), "gives no reason"),
        (
            case(more="expect={('torch', 'torch>*'): (Expected('export', 'r'), Expected('kernel', ''))}"),
            "gives no reason",
        ),
        (case(more="expect={('torch', 'torch>*'): Expected('export', 'r', when='torch <<2')}"), "is no requirement"),
        (case(more="expect={('torch', 'torch>*'): Expected('export', 'r', when='')}"), "is no requirement"),
        (
            case(more="outputs={'y': Tensor('n')}, gradient=Gradient('y', ('x',), 'dy')"),
            "cotangent 'dy' is not an input",
        ),
        (case(more="gradient=Gradient('y', ('x',), 'x')"), "gradient is of 'y', which is not an output"),
        (case(more="outputs={'y': Tensor('n')}, gradient=Gradient('y', ('w',), 'x')"), "with respect to 'w'"),
        (case(more="outputs={'y': Tensor('n')}, gradient=Gradient('y', ('x',), 'x')"), "needs an output grad_x"),
    ],
)
def test_a_case_that_contradicts_itself(tmp_path: Path, text: str, says: str) -> None:
    file = cases(tmp_path, case("fine"), text)
    told = refusal(file)
    assert says in told
    assert told.startswith(f"{file}: case ")


def test_what_looks_like_those_and_is_fine(tmp_path: Path) -> None:
    more = (
        "outputs={'y': Tensor('n'), 'grad_x': Tensor('n'), 'grad_y': Absent('not a leaf')}, "
        "gradient=Gradient('y', ('x', 'y'), 'x'), parameters={'e': Each(torch=1, tensorflow=2)}, truth={'torch': abs}, "
        "expect={('torch', 'torch>*'): (Expected('export', 'r', when='torch<2.14'), Expected('kernel', 'r'))}"
    )
    (ref,) = find([str(cases(tmp_path, case("größe-2_x.y", more)))])
    loaded = load(ref)
    assert loaded.name == "größe-2_x.y"
    assert isinstance(loaded.parameters["e"], Each)
    assert isinstance(loaded.outputs["grad_y"], Absent)


def test_frameworks_are_the_adapters() -> None:
    assert frameworks() == ("onnx", "tensorflow", "torch")
    assert not any(name.startswith("_") for name in frameworks())


def test_a_users_models_package_is_neither_met_nor_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on sys.path, not in sys.modules, not as the working folder."""
    trap = "raise AssertionError('the user\\'s own models package was imported')"
    for name in ("__init__.py", "conv2d.py", "data.py"):
        write(tmp_path / "models", name, trap)
    write(tmp_path, "conv2d.py", trap)
    (tmp_path / "leaky_relu").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "models"]:
        monkeypatch.delitem(sys.modules, loaded)
    catalogue._loaded.cache_clear()
    assert {ref.file.parent for ref in find()} == {bundled().resolve()}
    assert {ref.file.parent for ref in (*find(["conv2d"]), *find(["leaky_relu"]))} == {bundled().resolve()}
    assert load(find(["conv2d/even_input"])[0]).name == "even_input"
    assert "models" not in sys.modules
    assert "a folder without case files" in refusal("models")  # named, it is the user's


def test_files_of_one_name_are_modules_of_their_own(tmp_path: Path) -> None:
    first = cases(tmp_path / "one", case("a"))
    second = cases(tmp_path / "two", case("b"))
    assert (names(first), names(second)) == (["mine/a"], ["mine/b"])
    assert "mine" not in sys.modules


def test_the_catalogue_of_a_wheel_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pipeline" / "onnx_triangulate"
    monkeypatch.setattr(catalogue, "__file__", str(package / "cases" / "catalogue.py"))
    assert bundled() == tmp_path / "models"
    (package / "_models").mkdir(parents=True)
    assert bundled() == package / "_models"


NETS = case(builders="builders={'torch': net}")


def test_modules_beside_a_case_file_shadow_nothing(tmp_path: Path) -> None:
    """The standard library's json, protobuf's namespace `google`, this package: all stay what they are."""
    trap = "raise AssertionError('a module beside the case file was imported')"
    for name in ("json.py", "google.py", "numpy.py"):
        write(tmp_path, name, trap)
    write(tmp_path, "net.py", "SAID = 'mine'")
    text = "import json, google.protobuf, numpy, net\nassert net.SAID == 'mine'\n"
    file = write(tmp_path, "mine.py", f"{text}{HEAD}CASES = ({case()},)\n")
    assert names(file) == ["mine/a"]
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("package", [False, True])
def test_a_users_own_module_named_like_the_source_root(tmp_path: Path, package: bool) -> None:
    place = tmp_path / "pipeline" if package else tmp_path
    write(place, "__init__.py" if package else "pipeline.py", "def build(torch):\n    return 'built'\n")
    if package:
        write(place, "nets.py", "from . import build\n")
    builder = "import pipeline.nets; from pipeline import build" if package else "from pipeline import build"
    text = f"def net(torch):\n    {builder}\n    return build(torch)\n"
    file = write(tmp_path, "mine.py", f"{HEAD}{text}CASES = ({NETS},)\n")
    program = (
        "import sys; from onnx_triangulate.cases.catalogue import find, load\n"
        "print(load(find([sys.argv[1]])[0]).builders['torch'](None))"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", program, str(file)], capture_output=True, text=True)
    assert ended.stdout == "built\n", ended.stderr


@pytest.mark.parametrize("line", ["from pipeline.data import Case", "import pipeline.data as data"])
def test_a_case_file_of_an_earlier_version_is_told_what_to_write(tmp_path: Path, line: str) -> None:
    file = write(tmp_path, "old.py", f"{line}\nCASES = ()\n")
    with pytest.raises(UnusableInput, match="write: from onnx_triangulate import Case"):
        find([str(file)])


def test_a_module_of_the_users_own_that_is_missing_is_no_earlier_version(tmp_path: Path) -> None:
    file = write(tmp_path, "mine.py", "import pipelines\nCASES = ()\n")
    with pytest.raises(UnusableInput, match="No module named 'pipelines'"):
        find([str(file)])


def test_modules_of_one_name_beside_two_case_files(tmp_path: Path) -> None:
    refs = []
    for name in ("one", "two"):
        write(tmp_path / name, "net.py", f"SAID = {name!r}\n")
        text = "def net(torch):\n    import net\n    return net.SAID\n"
        file = write(tmp_path / name, f"{name}.py", f"{HEAD}{text}CASES = ({NETS},)\n")
        refs.append(find([str(file)])[0])
    assert [load(ref).builders["torch"](None) for ref in (*refs, *refs)] == ["one", "two", "one", "two"]


def test_a_folder_may_hold_helper_modules(tmp_path: Path) -> None:
    cases(tmp_path, case())
    write(tmp_path, "nets.py", "raise AssertionError('nobody imports it')\n")
    assert names(tmp_path) == ["mine/a"]
    (notice,) = left_out([str(tmp_path)])
    assert "nets.py: no CASES in it" in notice
    write(tmp_path, "other.py", "CASES = ()\n")
    assert "holds no cases" in refusal(tmp_path)
