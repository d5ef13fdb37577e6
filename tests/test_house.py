"""The rules of the house: who must not know whom, what may be imported when, what the wheel carries.

The table below is the design as it can be checked.  It is read from the syntax tree, so that an import inside a
function counts like one at the top; ruff's TID251 says the same in the editor, by file and without the finer table.
What is really imported is found with decoys: packages of the engines' names, first on the path of every process, that
write down that they were imported, and then refuse.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 1000

# Each engine belongs to one adapter, frameworks/NAME.py or runtimes/NAME.py with its _NAME_*.py helpers.  A new engine
# needs no entry here: its adapter may import anything that is not another's.
OWNER = {
    "keras": "tensorflow",
    "onnxruntime": "onnxruntime",
    "onnxscript": "torch",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "torch": "torch",
}
ONNX = ("onnx", "google")  # onnx raises protobuf's own exceptions
ANYTHING = ("*",)


@dataclass(frozen=True)
class Rule:
    """What the files matching ``files`` may import; ``reason`` is what a reader is told.

    ``outside`` are the third-party packages allowed, ``inside`` the modules of ``pipeline`` (with all below them),
    ``never`` those refused although ``inside`` has them.
    """

    files: str
    outside: tuple[str, ...]
    inside: tuple[str, ...]
    never: tuple[str, ...] = ()
    reason: str = ""


ENGINES = ("frameworks", "runtimes", "tasks", "workers")
# The first rule that matches a file holds for it.
RULES = (
    Rule("models/*", ("numpy",), ("data", "numerics.definitions"), reason="a case knows its definition, no engine"),
    Rule("pipeline/data.py", ("numpy", "ml_dtypes"), (), reason="records know nobody but numpy and its further types"),
    Rule("pipeline/onnx_triangulate/records/inspection.py", (), ("data",), reason="records know nobody"),
    Rule("pipeline/onnx_triangulate/cases/layout.py", ("numpy",), ("data",), reason="layout is data"),
    Rule(
        "pipeline/onnx_triangulate/records/npz.py", ("numpy",), ("data",), reason="arrays in files, whatever they are"
    ),
    Rule(
        "pipeline/onnx_triangulate/cases/inputs.py",
        ("numpy",),
        ("archives", "data", "layout"),
        reason="inputs come from the case alone",
    ),
    Rule(
        "pipeline/onnx_triangulate/cases/catalogue.py",
        ("numpy",),
        ("data", "expectations", "inputs"),
        reason="`list` takes no time",
    ),
    Rule(
        "pipeline/onnx_triangulate/cases/definitions.py",
        ("numpy",),
        ("data",),
        reason="cases import it, so it is plain numpy",
    ),
    Rule(
        "pipeline/numerics/*", ("numpy", *ONNX), ("data", "graph", "layout", "numerics"), reason="judges, runs nothing"
    ),
    Rule("pipeline/onnx_triangulate/onnxgraph/sandbox.py", (), ("data",), reason="a forked child, whatever it does"),
    Rule(
        "pipeline/graph/*",
        ("numpy", *ONNX),
        ("aside", "counts", "data", "graph", "inspection", "numerics"),
        reason="reads, runs nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/causes/*",
        ("numpy", *ONNX),
        ("causes", "data", "graph", "numerics"),
        reason="proposes, runs nothing",
    ),
    Rule("pipeline/onnx_triangulate/records/graph_comparison.py", (), ("data",), reason="records know nobody"),
    Rule(
        "pipeline/onnx_triangulate/report/*",
        ("igraph", "numpy", "rich"),
        ("comparison", "data", "inspection", "report"),
        reason="decides nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/engines/frameworks/*",
        ANYTHING,
        ("catalogue", "counts", "data", "frameworks", "inputs", "layout"),
        reason="an adapter knows neither another one nor the comparer",
    ),
    Rule(
        "pipeline/onnx_triangulate/engines/runtimes/*",
        ANYTHING,
        ("data", "numerics.evaluator", "runtimes"),
        reason="an adapter knows neither another one nor the comparer",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/export_nodes.py",
        ("numpy", *ONNX),
        ("data", "graph", "numerics"),
        reason="judges nodes, runs nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/self_check.py",
        ("numpy", *ONNX),
        ("data", "kernels", "localize"),
        reason="checks the localization, runs nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/kernels.py",
        ("numpy", *ONNX),
        ("data", "graph", "localize", "numerics"),
        reason="judges nodes, runs nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/node_tasks.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "reads, runs and judges in a worker, reports nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/engines/workers.py",
        ("numpy", "psutil"),
        ("data",),
        reason="processes, whatever runs in them",
    ),
    Rule(
        "pipeline/onnx_triangulate/verification/tasks.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "computes evidence, judges nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/verification/perturbed_runs.py",
        ("numpy",),
        ("data", "frameworks", "tasks"),
        reason="runs a framework in its worker, judges nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/verification/external_models.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "reads a border in a worker",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/graph_pairs.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "reads, runs and judges in a worker, reports nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/sweep.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "runs and looks in a worker, reports nothing",
    ),
    Rule(
        "pipeline/onnx_triangulate/locate/pass_tasks.py",
        ("numpy", *ONNX),
        ANYTHING,
        ("report", "triangulate"),
        "runs and looks in a worker, judges nothing",
    ),
    Rule("pipeline/onnx_triangulate/locate/passes.py", (), (), reason="a search, whatever is searched"),
    Rule(
        "pipeline/onnx_triangulate/verification/triangulate.py",
        ("numpy", "packaging"),
        ANYTHING,
        (*ENGINES, "report"),
        "judges what others ran",
    ),
    Rule(
        "pipeline/*",
        ("click", "numpy", "packaging", "psutil", "rich"),
        ANYTHING,
        reason="no engine and no ONNX outside of adapters, graph, numerics, causes and tasks",
    ),
)


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module imports, wherever in the file, relative and by name included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            argument = node.args[0]
            if called in {"__import__", "import_module", "importlib.import_module"} and isinstance(
                argument, ast.Constant
            ):
                yield node.lineno, str(argument.value)


def below(name: str, parents: Iterable[str]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def owned_by(file: str, owner: str) -> bool:
    """Whether ``file`` is the adapter ``owner`` or one of its helpers."""
    stem = Path(file).stem
    return stem == owner or stem.startswith(f"_{owner}_")


def violations(root: Path) -> list[str]:
    """Every import under ``root`` that the table forbids: ``FILE:LINE: NAME: reason``."""
    found = []
    for path in sorted([*root.glob("pipeline/**/*.py"), *root.glob("models/*.py")]):
        file = path.relative_to(root).as_posix()
        rule = next(rule for rule in RULES if fnmatch(file, rule.files))
        adapters = root / Path(file).parent if rule.outside == ANYTHING else None
        package = ".".join(Path(file).parent.parts)
        for line, name in imports(path.read_text(encoding="utf-8"), package):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or name == "pipeline.__version__":
                continue
            if top == "pipeline":
                inner = name.partition(".")[2]
                allowed = rule.inside == ANYTHING or below(inner, rule.inside)
                if adapters is not None and inner.startswith(("frameworks.", "runtimes.")):
                    other = inner.split(".")[1]
                    public = not other.startswith("_") and (adapters / f"{other}.py").is_file()
                    allowed = allowed and not (public and other != Path(file).stem)
                allowed = allowed and not below(inner, rule.never)
            else:
                allowed = rule.outside == ANYTHING or top in rule.outside
                if adapters is not None and top in OWNER:
                    allowed = owned_by(file, OWNER[top])
            if not allowed:
                found.append(f"{file}:{line}: {name}: {rule.reason}")
    return found


def test_nobody_knows_whom_they_must_not_know() -> None:
    assert violations(ROOT) == []


def test_the_table_is_about_files_that_exist() -> None:
    files = {p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("models/*.py")]}
    assert len(files) > 20
    assert [rule.files for rule in RULES if not any(fnmatch(file, rule.files) for file in files)] == []


PLANTED = [
    ("models/conv2d.py", "import torch"),
    ("models/conv2d.py", "from pipeline.graph import pads"),
    ("models/conv2d.py", "import onnx"),
    ("pipeline/data.py", "from pipeline import layout"),
    ("pipeline/data.py", "from . import layout"),
    ("pipeline/onnx_triangulate/facts/pads.py", "def f():\n    import onnxruntime"),
    ("pipeline/onnx_triangulate/facts/pads.py", "from ..runtimes import reference"),
    ("pipeline/onnx_triangulate/facts/pads.py", "import importlib\nimportlib.import_module('torch')"),
    ("pipeline/onnx_triangulate/ops/bounds.py", "from onnx_triangulate.engines.workers import Pool"),
    ("pipeline/onnx_triangulate/cases/definitions.py", "import onnx"),
    (
        "pipeline/onnx_triangulate/causes/padding.py",
        "from onnx_triangulate.engines.runtimes.onnxruntime import RUNTIMES",
    ),
    ("pipeline/onnx_triangulate/causes/padding.py", "__import__('onnxruntime')"),
    ("pipeline/onnx_triangulate/report/terminal.py", "from onnx_triangulate.verification.triangulate import blame"),
    ("pipeline/onnx_triangulate/report/terminal.py", "import onnx_triangulate.facts.pads"),
    ("pipeline/onnx_triangulate/engines/frameworks/torch.py", "import tensorflow as tf"),
    ("pipeline/onnx_triangulate/engines/frameworks/torch.py", "import onnxruntime"),
    (
        "pipeline/onnx_triangulate/engines/frameworks/torch.py",
        "from onnx_triangulate.engines.frameworks.tensorflow import FRAMEWORK",
    ),
    (
        "pipeline/onnx_triangulate/engines/frameworks/torch.py",
        "from onnx_triangulate.engines.frameworks import tensorflow",
    ),
    ("pipeline/onnx_triangulate/engines/frameworks/_onnx_file.py", "import torch"),
    ("pipeline/onnx_triangulate/engines/frameworks/jax.py", "import torch"),
    ("pipeline/onnx_triangulate/engines/frameworks/torch.py", "from pipeline.numerics import compare"),
    ("pipeline/onnx_triangulate/engines/runtimes/reference.py", "import torch"),
    ("pipeline/onnx_triangulate/engines/runtimes/reference.py", "import onnxruntime"),
    (
        "pipeline/onnx_triangulate/engines/runtimes/reference.py",
        "from onnx_triangulate.engines.runtimes import onnxruntime",
    ),
    (
        "pipeline/onnx_triangulate/engines/runtimes/reference.py",
        "from onnx_triangulate.engines.frameworks import adapter",
    ),
    ("pipeline/onnx_triangulate/locate/export_nodes.py", "import onnxruntime"),
    ("pipeline/onnx_triangulate/locate/export_nodes.py", "from onnx_triangulate.engines.runtimes import runtimes"),
    ("pipeline/onnx_triangulate/engines/workers.py", "import torch"),
    ("pipeline/onnx_triangulate/engines/workers.py", "from onnx_triangulate.engines.frameworks import adapter"),
    ("pipeline/onnx_triangulate/verification/tasks.py", "from onnx_triangulate.report import terminal"),
    ("pipeline/onnx_triangulate/verification/tasks.py", "import torch"),
    ("pipeline/onnx_triangulate/verification/triangulate.py", "from onnx_triangulate.engines.workers import Pool"),
    ("pipeline/onnx_triangulate/cli/main.py", "import onnx"),
    ("pipeline/onnx_triangulate/verification/run.py", "if True:\n    from torch.onnx import export"),
]
HARMLESS = [
    (
        "models/conv2d.py",
        "import numpy as np\nfrom onnx_triangulate import Case\nfrom onnx_triangulate.cases.definitions import x",
    ),
    (
        "pipeline/onnx_triangulate/facts/pads.py",
        "from onnx import ModelProto\nfrom onnx_triangulate.onnxgraph.nodes import places\nimport math",
    ),
    ("pipeline/onnx_triangulate/facts/pads.py", "from .walk import places"),
    (
        "pipeline/onnx_triangulate/engines/frameworks/torch.py",
        "import torch\nimport onnxscript\nfrom onnx_triangulate.engines.frameworks._structure import named",
    ),
    ("pipeline/onnx_triangulate/engines/frameworks/_torch_gradients.py", "from torch.fx import symbolic_trace"),
    ("pipeline/onnx_triangulate/engines/frameworks/jax.py", "import jax"),
    (
        "pipeline/onnx_triangulate/engines/runtimes/onnxruntime.py",
        "import onnxruntime as ort\nfrom onnx_triangulate.engines.runtimes import runtimes",
    ),
    ("pipeline/onnx_triangulate/engines/runtimes/openvino.py", "import openvino"),
    (
        "pipeline/onnx_triangulate/cli/main.py",
        "import click\nfrom pipeline import __version__\nfrom onnx_triangulate.report import formats",
    ),
]


def planted(tmp_path: Path, file: str, source: str) -> Path:
    """A tree in which ``file`` is ``source``, beside the adapters that files may wrongly know."""
    for name in ("frameworks/torch.py", "frameworks/tensorflow.py", "runtimes/onnxruntime.py", "runtimes/reference.py"):
        path = tmp_path / "pipeline" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(source)
    return tmp_path


@pytest.mark.parametrize(("file", "source"), PLANTED)
def test_a_planted_import_is_caught(tmp_path: Path, file: str, source: str) -> None:
    (found,) = violations(planted(tmp_path, file, source))
    assert found.startswith(f"{file}:{source.count(chr(10)) + 1}: ")


@pytest.mark.parametrize(("file", "source"), HARMLESS)
def test_a_harmless_import_is_not(tmp_path: Path, file: str, source: str) -> None:
    assert violations(planted(tmp_path, file, source)) == []


@dataclass(frozen=True)
class Bare:
    """Processes in which some packages are decoys."""

    folder: Path

    def run(self, *arguments: str, without: Iterable[str], program: str = "-m") -> subprocess.CompletedProcess[str]:
        """Run Python in an empty folder, its packages ``without`` replaced by decoys, also in its child processes."""
        decoys = self.folder / "decoys"
        shutil.rmtree(decoys, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        for name in without:
            (decoys / name).mkdir(parents=True)
            (decoys / name / "__init__.py").write_text(
                f"with open({str(self.log)!r}, 'a') as log:\n    log.write({name!r} + ' ')\n"
                f"raise ModuleNotFoundError('decoy', name={name!r})\n"
            )
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        path = os.pathsep.join([str(decoys), str(ROOT)])
        return subprocess.run(
            [sys.executable, program, *arguments],
            cwd=elsewhere,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def log(self) -> Path:
        return self.folder / "imported"

    @property
    def imported(self) -> list[str]:
        """The decoys that somebody imported, in order."""
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def modules() -> list[str]:
    """Every module of the package."""
    names = (".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sorted(ROOT.glob("pipeline/**/*.py")))
    return [name.removesuffix(".__init__") for name in names if "._models" not in name]


IMPORT_ALL = (
    "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\nprint(len(sys.argv) - 1)"
)


def test_every_module_can_be_imported_without_any_engine(bare: Bare) -> None:
    names = modules()
    assert {
        "onnx_triangulate.engines.frameworks.torch",
        "onnx_triangulate.engines.runtimes.onnxruntime",
        "onnx_triangulate.cli.main",
    } <= set(names)
    result = bare.run(IMPORT_ALL, *names, without=OWNER, program="-c")
    assert (result.stdout, bare.imported) == (f"{len(names)}\n", []), result.stderr


@pytest.mark.parametrize(
    "source", ["import torch", "try:\n    import torch\nexcept ImportError:\n    pass", "import torch.nn"]
)
def test_an_import_of_an_engine_is_noticed(bare: Bare, source: str) -> None:
    bare.run(source, without=OWNER, program="-c")
    assert bare.imported == ["torch"]


def test_an_import_in_a_child_process_is_noticed(bare: Bare) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import onnx'])"
    bare.run(child, without=["onnx"], program="-c")
    assert bare.imported == ["onnx"]


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["inspect", "--help"], ["list"]])
def test_help_and_list_import_neither_an_engine_nor_onnx(bare: Bare, arguments: list[str]) -> None:
    result = bare.run("pipeline", *arguments, without=[*OWNER, "onnx"])
    assert (result.returncode, bare.imported) == (0, []), result.stderr
    assert ("even_input" if arguments == ["list"] else "Usage") in result.stdout


def test_inspect_imports_no_engine(bare: Bare) -> None:
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[1,2] x) => (float[1,2] y) { y = Relu(x) }'
    model = bare.folder / "relu.onnx"
    model.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    result = bare.run("pipeline", "inspect", str(model), without=OWNER)
    assert (result.returncode, bare.imported) == (0, []), result.stderr
    assert "Relu" in result.stdout


def texts(root: Path) -> dict[str, str]:
    """Every text file of the repository by name; what is built or installed in the checkout is not part of it."""
    folders = ("pipeline", "models", "scripts", "tests", ".ci")
    files = [p for folder in folders for p in sorted((root / folder).rglob("*")) if "__pycache__" not in p.parts]
    files += [p for p in sorted(root.iterdir()) if p.name not in {".venv.lock", ".git"}]
    found = {}
    for path in files:
        if path.is_file():
            try:
                found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return found


def too_long(files: dict[str, str]) -> list[str]:
    """Files of more than :data:`MAX_LINES` lines."""
    return [name for name, text in files.items() if len(text.splitlines()) > MAX_LINES]


def test_no_file_is_too_long() -> None:
    files = texts(ROOT)
    assert {"pyproject.toml", ".ci/run", "pipeline/data.py", "models/conv2d.py", "tests/test_house.py"} <= set(files)
    assert too_long(files) == []


def test_a_file_that_is_too_long_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "long.py").write_text("x = 1\n" * (MAX_LINES + 1))
    (tmp_path / "short.py").write_text("x = 1\n" * MAX_LINES)
    assert too_long(texts(tmp_path)) == ["models/long.py"]


FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.~*/:-])/(?:home|mnt|opt|root|srv|tmp|Users|work)/\w"),
    "a folder beside the checkout": re.compile(r"\.\./\w+/|\.\.\\"),
    "an index of one place": re.compile(r"(?i)index[-_]url[= ]https?://(?!download\.pytorch\.org/|example\.)"),
    "a file as a URL": re.compile(r"\bfile:///?\w"),
    "a secret in a URL": re.compile(r"//[^/\s\"'@]+:[^/\s\"'@]+@"),
}


def foreign(root: Path) -> list[str]:
    """Names in the repository that mean something in one place only: ``FILE:LINE: what``."""
    documents = {p.name for p in root.glob("*.md")}
    found = []
    for name, text in texts(root).items():
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{name}:{number}: {what}" for what, pattern in FOREIGN.items() if pattern.search(line)]
            for document in re.findall(r"\b[A-Z][A-Z_]+\.md\b", line):
                if document not in documents:
                    found.append(f"{name}:{number}: a document that is not here")
    return found


def test_nothing_names_a_place_that_readers_do_not_have() -> None:
    assert foreign(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = '/{}/somebody/file'".format("home"),
        "cd /{}/main".format("work"),
        "see ..{}notes/file".format("/"),
        "--extra-index-url https:{}mirror.internal/simple".format("//"),
        "find-links = file:{}wheels".format("///"),
        "https://user:word{}host/".format("@"),
        "as {}.md says".format("PLANS"),
    ],
)
def test_a_foreign_name_is_noticed(tmp_path: Path, line: str) -> None:
    (tmp_path / "README.md").write_text(f"see README.md\n{line}\n")
    (found,) = foreign(tmp_path)
    assert found.startswith("README.md:2: ")


def wheel_faults(names: Iterable[str], root: Path) -> list[str]:
    """What is wrong with the content of a wheel, beside the repository it was built from."""
    inside = {name for name in names if ".dist-info/" not in name}
    wanted = {
        path.relative_to(root).as_posix().replace("models/", "pipeline/_models/", 1)
        if path.is_relative_to(root / "models")
        else path.relative_to(root).as_posix()
        for folder in ("pipeline", "models")
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "_models" not in path.parts
    }
    return [f"missing: {name}" for name in sorted(wanted - inside)] + [f"extra: {n}" for n in sorted(inside - wanted)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from this checkout, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_is_the_package_with_the_catalogue_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert wheel_faults(names, ROOT) == []
    assert "pipeline/_models/conv2d.py" in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"pipeline"}
    assert entry_points.split("\n")[:2] == ["[console_scripts]", "triangulate = onnx_triangulate.cli.main:main"]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["pipeline/data.py"], "missing: pipeline/_models/conv2d.py"),
        (["pipeline/data.py", "pipeline/_models/conv2d.py", "models/conv2d.py"], "extra: models/conv2d.py"),
    ],
)
def test_a_wheel_without_its_catalogue_is_noticed(tmp_path: Path, names: list[str], fault: str) -> None:
    for file in ("pipeline/data.py", "models/conv2d.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    assert wheel_faults(names, tmp_path) == [fault]


def test_an_unpacked_wheel_lists_its_catalogue_beside_a_users_models(bare: Bare, wheel: Path) -> None:
    unpacked = bare.folder / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    own = bare.folder / "own" / "models"
    own.mkdir(parents=True)
    (own / "__init__.py").write_text("raise SystemExit('the models package of the user was imported')")
    program = (
        f"import sys; sys.path[:0] = [{str(own.parent)!r}, {str(unpacked)!r}]\n"
        "from pipeline import catalogue\n"
        "assert catalogue.__file__.startswith(sys.path[1]), catalogue.__file__\n"
        "print(*(ref.name for ref in catalogue.find()), sep='\\n')"
    )
    result = bare.run(program, without=[*OWNER, "onnx"], program="-c")
    assert "conv2d/even_input" in result.stdout.splitlines(), result.stderr
