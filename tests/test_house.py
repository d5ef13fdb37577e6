"""The rules of the house: who must not know whom, what may be imported when, what the wheel carries.

Rooms stand in layers without circles: import-linter holds that, by the contracts of ``pyproject.toml``, and what is
planted here shows that it does.  What these contracts cannot say without a list of adapters is read here from the
syntax tree, so that an import inside a function counts like one at the top: an engine belongs to its adapter.  What is
really imported is found with decoys: packages of the engines' names, first on the path of every process, that write
down that they were imported, and then refuse.
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
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "pipeline/onnx_triangulate"
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
ENGINES = f"{PACKAGE}/engines/"


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package under ``root``, by the contracts of its ``pyproject.toml``."""
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "pipeline"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its contracts, in which one file at a time may be another."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / PACKAGE, root / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_rooms_stand_in_layers_without_circles() -> None:
    result = contracts(ROOT)
    assert result.returncode == 0, result.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", result.stdout)


BROKEN = {
    "facts/pads.py": ("def f():\n    from onnx_triangulate.diff import matching", "rooms stand in layers"),
    "comparison/interface.py": ("from onnx_triangulate.verification import blame", "rooms stand in layers"),
    "inspection/drawing.py": ("def f():\n    from onnx_triangulate.comparison import run", "rooms stand in layers"),
    "causes/size_made_a_number.py": ("from onnx_triangulate.locate import passes", "rooms stand in layers"),
    "diff/ir.py": ("def f():\n    from onnx_triangulate.diff import matching", "no circles"),
    "report/terminal.py": ("from onnx_triangulate.verification.blame import blame", "rooms stand in layers"),
    "report/lines.py": ("import onnx", "know no ONNX"),
    "records/runs.py": ("def f():\n    import rich", "records know numpy"),
    "engines/frameworks/torch.py": ("from onnx_triangulate.numerics import compare", "frameworks know neither"),
    "engines/runtimes/reference.py": ("from onnx_triangulate.engines.frameworks import adapter", "runtimes know"),
    "locate/kernels.py": ("from onnx_triangulate.engines.runtimes import runtimes", "what judges runs nothing"),
    "attic/old.py": ("", "rooms stand in layers"),
}


@pytest.mark.parametrize("file", BROKEN)
def test_a_broken_contract_is_noticed(copy: Path, file: str) -> None:
    planted, contract = BROKEN[file]
    path = copy / PACKAGE / file
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(f"{before or ''}\n{planted}\n")
    try:
        result = contracts(copy)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert result.returncode == 1
    assert re.search(rf"{contract}.* BROKEN", result.stdout)


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


def owned_by(file: str, owner: str) -> bool:
    """Whether ``file`` is the adapter ``owner`` or one of its helpers."""
    stem = Path(file).stem
    return stem == owner or stem.startswith(f"_{owner}_")


def adapters(root: Path) -> set[str]:
    """The modules that are adapters, by their full names."""
    files = (p for kind in ("frameworks", "runtimes") for p in (root / ENGINES / kind).glob("[!_]*.py"))
    return {f"onnx_triangulate.engines.{p.parent.name}.{p.stem}" for p in files}


def reason(file: str, name: str, others: set[str]) -> str | None:
    """Why ``file`` must not import ``name``, if it must not."""
    top = name.partition(".")[0]
    if file.startswith("models/"):
        return None if top in sys.stdlib_module_names or known_to_cases(name) else "a case knows no engine"
    if file.startswith((f"{ENGINES}frameworks/", f"{ENGINES}runtimes/")):
        if top in OWNER and not owned_by(file, OWNER[top]):
            return "an engine belongs to its adapter"
        own = f"onnx_triangulate.{'.'.join(Path(file).with_suffix('').parts[2:])}"
        if any(name == other or name.startswith(f"{other}.") for other in others - {own}):
            return "an adapter knows no other one"
    elif top in OWNER:
        return "only an adapter knows an engine"
    return None


def known_to_cases(name: str) -> bool:
    """Whether a case file may import ``name``: numpy, the public names, the definitions, what exporters refuse."""
    ours = ("onnx_triangulate.cases.definitions.", "onnx_triangulate.cases.refusals.")
    return name.startswith(("numpy", *ours)) or (name.count(".") == 1 and name.startswith("onnx_triangulate."))


def violations(root: Path) -> list[str]:
    """Every import under ``root`` of something that its file must not know: ``FILE:LINE: NAME: reason``."""
    found = []
    others = adapters(root)
    for path in sorted([*root.glob("pipeline/**/*.py"), *root.glob("models/*.py")]):
        file = path.relative_to(root).as_posix()
        for line, name in imports(path.read_text(encoding="utf-8"), ".".join(Path(file).parent.parts[1:])):
            why = reason(file, name, others)
            if why is not None:
                found.append(f"{file}:{line}: {name}: {why}")
    return found


def test_nobody_knows_whom_they_must_not_know() -> None:
    assert len(adapters(ROOT)) >= 4
    assert violations(ROOT) == []


PLANTED = [
    ("models/conv2d.py", "import torch"),
    ("models/conv2d.py", "from onnx_triangulate.facts import pads"),
    ("models/conv2d.py", "import onnx"),
    (f"{PACKAGE}/facts/pads.py", "def f():\n    import onnxruntime"),
    (f"{PACKAGE}/facts/pads.py", "import importlib\nimportlib.import_module('torch')"),
    (f"{PACKAGE}/causes/padding.py", "__import__('onnxruntime')"),
    (f"{PACKAGE}/engines/workers.py", "import torch"),
    (f"{PACKAGE}/verification/verify.py", "if True:\n    from torch.onnx import export"),
    (f"{ENGINES}frameworks/torch.py", "import tensorflow as tf"),
    (f"{ENGINES}frameworks/torch.py", "import onnxruntime"),
    (f"{ENGINES}frameworks/torch.py", "from onnx_triangulate.engines.frameworks.tensorflow import FRAMEWORK"),
    (f"{ENGINES}frameworks/torch.py", "from onnx_triangulate.engines.frameworks import tensorflow"),
    (f"{ENGINES}frameworks/torch.py", "from . import tensorflow"),
    (f"{ENGINES}frameworks/_onnx_file.py", "import torch"),
    (f"{ENGINES}frameworks/jax.py", "import torch"),
    (f"{ENGINES}runtimes/reference.py", "import torch"),
    (f"{ENGINES}runtimes/reference.py", "from onnx_triangulate.engines.runtimes import onnxruntime"),
]
HARMLESS = [
    ("models/conv2d.py", "import numpy as np\nfrom onnx_triangulate import Case\nimport math"),
    ("models/conv2d.py", "from onnx_triangulate.cases.definitions import x"),
    (f"{PACKAGE}/facts/pads.py", "from onnx import ModelProto\nfrom onnx_triangulate.onnxgraph.graph import places"),
    (f"{ENGINES}frameworks/torch.py", "import torch\nimport onnxscript"),
    (f"{ENGINES}frameworks/torch.py", "from onnx_triangulate.engines.frameworks._results import named"),
    (f"{ENGINES}frameworks/_torch_gradients.py", "from torch.fx import symbolic_trace"),
    (f"{ENGINES}frameworks/jax.py", "import jax"),
    (f"{ENGINES}runtimes/onnxruntime.py", "import onnxruntime as ort"),
    (f"{ENGINES}runtimes/openvino.py", "import openvino"),
]


def planted(tmp_path: Path, file: str, source: str) -> Path:
    """A tree in which ``file`` is ``source``, beside the adapters that files may wrongly know."""
    for name in ("frameworks/torch.py", "frameworks/tensorflow.py", "runtimes/onnxruntime.py", "runtimes/reference.py"):
        path = tmp_path / ENGINES / name
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
        path = os.pathsep.join([str(decoys), str(ROOT / "pipeline")])
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
    names = (
        ".".join(p.relative_to(ROOT / "pipeline").with_suffix("").parts)
        for p in sorted(ROOT.glob("pipeline/**/*.py"))
        if p.name != "__main__.py"
    )
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
    result = bare.run("onnx_triangulate", *arguments, without=[*OWNER, "onnx"])
    assert (result.returncode, bare.imported) == (0, []), result.stderr
    assert ("conv2d" if arguments == ["list"] else "Usage") in result.stdout


def test_inspect_imports_no_engine(bare: Bare) -> None:
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[1,2] x) => (float[1,2] y) { y = Relu(x) }'
    model = bare.folder / "relu.onnx"
    model.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    result = bare.run("onnx_triangulate", "inspect", str(model), without=OWNER)
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
    assert {
        "pyproject.toml",
        ".ci/run",
        f"{PACKAGE}/records/runs.py",
        "models/conv2d.py",
        "tests/test_house.py",
    } <= set(files)
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


def defined(file: Path) -> set[str]:
    """The names that a module defines, wherever in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assigned = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    named = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    return {name.id for name in assigned} | {node.name for node in named}


def lost_references(root: Path) -> list[str]:
    """References of docstrings and comments, ``room.module`` or ``room.module.name``, to what is not there."""
    package = root / PACKAGE
    found = []
    for file in sorted(package.rglob("*.py")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for said in re.findall(r"``([a-z]\w*(?:\.[A-Za-z_]\w*)+)``", line):
                place, rest = package, said.split(".")
                if not (package / rest[0]).is_dir():
                    continue
                while rest and (place / rest[0]).is_dir():
                    place /= rest.pop(0)
                module = place / (f"{rest.pop(0)}.py" if rest and (place / f"{rest[0]}.py").exists() else "__init__.py")
                if rest and rest[0] not in defined(module):
                    found.append(f"{file.relative_to(package).as_posix()}:{number}: {said}")
    return found


def test_what_docstrings_refer_to_is_there() -> None:
    assert lost_references(ROOT) == []


@pytest.mark.parametrize("said", ["facts.padding", "facts.pads.nothing", "ops.families.conv"])
def test_a_lost_reference_is_noticed(copy: Path, said: str) -> None:
    path = copy / PACKAGE / "facts/planted.py"
    path.write_text(f'"""See ``{said}`` and ``facts.pads`` and ``tf.function``."""\n')
    try:
        assert lost_references(copy) == [f"facts/planted.py:1: {said}"]
    finally:
        path.unlink()


def wheel_faults(names: Iterable[str], root: Path) -> list[str]:
    """What is wrong with the content of a wheel, beside the repository it was built from."""
    inside = {name for name in names if ".dist-info/" not in name}
    wanted = {
        path.relative_to(root).as_posix().replace("models/", "onnx_triangulate/_models/", 1)
        if path.is_relative_to(root / "models")
        else path.relative_to(root / "pipeline").as_posix()
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
    assert "onnx_triangulate/_models/conv2d.py" in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"onnx_triangulate"}
    assert entry_points.split("\n")[:2] == ["[console_scripts]", "triangulate = onnx_triangulate.cli.main:main"]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["onnx_triangulate/run.py"], "missing: onnx_triangulate/_models/conv2d.py"),
        (
            ["onnx_triangulate/run.py", "onnx_triangulate/_models/conv2d.py", "models/conv2d.py"],
            "extra: models/conv2d.py",
        ),
    ],
)
def test_a_wheel_without_its_catalogue_is_noticed(tmp_path: Path, names: list[str], fault: str) -> None:
    for file in (f"{PACKAGE}/run.py", "models/conv2d.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert wheel_faults(["onnx_triangulate/run.py", *names], tmp_path) == [fault]


def test_an_unpacked_wheel_lists_its_catalogue_beside_a_users_models(bare: Bare, wheel: Path) -> None:
    unpacked = bare.folder / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    own = bare.folder / "own" / "models"
    own.mkdir(parents=True)
    (own / "__init__.py").write_text("raise SystemExit('the models package of the user was imported')")
    program = (
        f"import sys; sys.path[:0] = [{str(own.parent)!r}, {str(unpacked)!r}]\n"
        "from onnx_triangulate.cases import catalogue\n"
        "assert catalogue.__file__.startswith(sys.path[1]), catalogue.__file__\n"
        "print(*(ref.name for ref in catalogue.find()), sep='\\n')"
    )
    result = bare.run(program, without=[*OWNER, "onnx"], program="-c")
    assert "conv2d/even_input" in result.stdout.splitlines(), result.stderr
