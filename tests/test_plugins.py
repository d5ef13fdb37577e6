"""What a user's own package brings takes part: the modules of examples/, declared as their pyproject.toml does."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from onnx_triangulate.records import plugins
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
Ran = subprocess.CompletedProcess[str]


def installed(folder: Path, points: dict[str, dict[str, str]], name: str = "my-plugins") -> Path:
    """What pip leaves of a package that declares these entry points; its modules are in ``folder``."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in held.items()) for group, held in points.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


def triangulate(folder: Path, *words: str) -> Ran:
    path = os.pathsep.join([str(folder), str(ROOT / "pipeline")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "120"}
    command = [sys.executable, "-m", "onnx_triangulate", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def python(folder: Path, text: str) -> str:
    path = os.pathsep.join([str(folder), str(ROOT / "pipeline")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment).stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for file in EXAMPLES.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    return installed(folder, tomllib.loads((EXAMPLES / "pyproject.toml").read_text())["project"]["entry-points"])


def test_there_is_an_example_of_every_kind_and_none_is_long() -> None:
    declared = tomllib.loads((EXAMPLES / "pyproject.toml").read_text())["project"]["entry-points"]
    assert set(declared) == {f"onnx_triangulate.{kind}" for kind in plugins.KINDS}
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file.name


def test_the_examples_are_a_package_that_can_be_built(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path / "examples", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        assert {file.name for file in EXAMPLES.glob("*.py")} <= set(archive.namelist())


def test_a_users_case_is_listed_and_found(package: Path) -> None:
    assert "my_case" in [line.split()[0] for line in triangulate(package, "list").stdout.splitlines()]
    assert triangulate(package, "list", "my_case/halved").stdout.split() == ["my_case/halved", "numpy,", "torch"]


def test_a_users_rule_is_asked_and_documented(package: Path) -> None:
    assert "slow-division" in triangulate(package, "rule", "USR001").stdout
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) { [d] y = Div(x, x) }'
    made = f"import onnx, onnx.parser; onnx.save(onnx.parser.parse_model({text!r}), {str(package / 'd.onnx')!r})"
    python(package, made)
    shown = json.loads(triangulate(package, "inspect", "d.onnx", "--select", "USR", "--json", "-").stdout)
    assert [(remark["code"], remark["nodes"]) for remark in shown["remarks"]] == [("USR001", ["d"])]


def test_a_users_operator_and_cause_are_known(package: Path) -> None:
    asked = "from onnx_triangulate.ops.registry import operators; print(operators()['my.domain.Halve'].roundings)"
    assert python(package, asked) == "0\n"
    proofs = (
        "from onnx_triangulate.causes import causes; c = causes()['coarse-grid']\n"
        "print([bool(c.suspect(e.evidence(), e.blamed, e.load)) for e in (*c.fires, *c.quiet)])"
    )
    assert python(package, proofs) == "[True, False]\n"


@pytest.mark.slow
def test_a_users_framework_runtime_cause_and_report_take_part_in_a_run(package: Path) -> None:
    """In worker processes, too: the runtime has a digit in its name and a step that no list of this project holds."""
    words = ("--json", "found.json", "--report", "csv=found.csv", "--parties", "torch>reference,torch>emu8")
    ran = triangulate(package, "verify", "my_case/halved", *words)
    assert ran.returncode == 1, ran.stderr
    assert "emulator: the runtime's own step departs in torch>emu8" in ran.stdout
    (case,) = json.loads((package / "found.json").read_text())["cases"]
    assert "numpy" in case["parties"]
    assert [(b["blame"], b["party"]) for b in case["blames"]] == [("emulator", "torch>emu8")]
    assert [f["cause"] for f in case["findings"]] == ["coarse-grid"]
    rows = list(csv.DictReader((package / "found.csv").open()))
    assert [row["outcome"] for row in rows if row["right"] == "torch>emu8" and row["step"] == "emulator"] == [
        "diverges"
    ]


@pytest.mark.parametrize(
    ("points", "files", "words", "says"),
    [
        (
            {"rules": "broken"},
            {"broken.py": "import nowhere"},
            ("rule",),
            "rules plugin mine = broken of faulty 1.0: cannot be imported: ModuleNotFoundError: No module named",
        ),
        (
            {"rules": "empty"},
            {"empty.py": ""},
            ("rule",),
            "rules plugin mine = empty of faulty 1.0: expected RULE to be a Rule or a tuple of them",
        ),
        (
            {"rules": "leaving"},
            {"leaving.py": "class Leave(BaseException): pass\nraise Leave('now')"},
            ("rule",),
            "rules plugin mine = leaving of faulty 1.0: cannot be imported: Leave: now",
        ),
        (
            {"rules": "onnx_triangulate.inspection.rules.dead_nodes"},
            {},
            ("rule",),
            "a second 'STR",
        ),
        ({"cases": "missing"}, {}, ("list",), "cases plugin mine = missing of faulty 1.0: there is no such module"),
        (
            {"cases": "conv2d"},
            {"conv2d.py": ""},
            ("list",),
            "share a name; rename one",
        ),
    ],
)
def test_a_plugin_that_cannot_take_part_is_one_line_that_names_it(
    tmp_path: Path, points: dict[str, str], files: dict[str, str], words: tuple[str, ...], says: str
) -> None:
    installed(tmp_path, {f"onnx_triangulate.{kind}": {"mine": module} for kind, module in points.items()}, "faulty")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ran = triangulate(tmp_path, *words)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_what_a_plugin_prints_is_not_in_a_report(package: Path, tmp_path: Path) -> None:
    installed(tmp_path, {"onnx_triangulate.rules": {"mine": "loud"}})
    (tmp_path / "loud.py").write_text("print('NOISE')\n" + (EXAMPLES / "my_rule.py").read_text())
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) { y = Relu (x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    ran = triangulate(tmp_path, "inspect", "model.onnx", "--json", "-")
    assert json.loads(ran.stdout)["schema"] == "triangulate-inspect/1"
    assert "NOISE" in ran.stderr


def test_a_broken_rule_does_not_stop_the_list(tmp_path: Path) -> None:
    installed(tmp_path, {"onnx_triangulate.rules": {"mine": "broken"}})
    (tmp_path / "broken.py").write_text("import nowhere")
    ran = triangulate(tmp_path, "list")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "conv2d " in ran.stdout


def test_two_of_one_name_name_both_and_none_at_all_raises() -> None:
    def held(name: str, *records: Any) -> Any:
        return type(name, (), {"HELD": records})

    key: Callable[[int], str] = str
    assert plugins.collect("rules", [held("a", 1), held("b", 2)], "HELD", int, key) == {"1": 1, "2": 2}
    with pytest.raises(plugins.BrokenPlugin, match="b: a second '1' among the rules, after a"):
        plugins.collect("rules", [held("a", 1), held("b", 1)], "HELD", int, key)
    with pytest.raises(plugins.BrokenPlugin, match="no rules found"):
        plugins.collect("rules", [], "HELD", int, key)


@pytest.mark.parametrize("name", ["torch>emu8", "torch:raw>ort.all@64", "jax2>trt10.fp16", "numpy", "torch>a-b_c"])
def test_names_of_parties_may_hold_digits(name: str) -> None:
    assert str(Party.parse(name)) == name


@pytest.mark.parametrize("name", ["torch>8", "2torch>x", "torch>", "torch>Emu", "torch>a b"])
def test_what_is_no_party_is_refused(name: str) -> None:
    with pytest.raises(UnusableInput):
        Party.parse(name)
