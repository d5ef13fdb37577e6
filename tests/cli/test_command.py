"""The command: what it says to words and files that it cannot use, in one line, and how it leaves."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner

import onnx_triangulate.cli.supervisor
from onnx_triangulate import __version__
from onnx_triangulate.cli.main import app
from onnx_triangulate.records.verdict import Report
from onnx_triangulate.report.documents import as_json

ROOT = Path(__file__).resolve().parents[2]
Triangulate = Callable[..., Any]

GOOD = """
from onnx_triangulate import Case, Tensor
CASES = (Case("good", inputs={"x": Tensor("n", (3,))}, builders={"torch": lambda torch: torch.abs}),)
"""
GRAPH = '<ir_version: 10, opset_import: ["" : 20]> g (float[2] x) => (float[2] y) { y = Abs(x) }'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(GRAPH), file)
    return file


def in_process(*words: Any) -> Any:
    """The command in this process: quicker, where no engine is started."""
    ran = CliRunner().invoke(app, [str(word) for word in words])
    return SimpleNamespace(status=ran.exit_code, stdout=ran.stdout, stderr=ran.stderr)


def complaint(ran: Any, status: int = 2) -> str:
    """The one line on standard error of a command that gave up."""
    assert ran.status == status, ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("triangulate: ")
    assert line.isprintable()
    return str(line)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["conv2d/evn_input"], "did you mean 'conv2d/even_input'?"),
        (["no_such_thing"], "'no_such_thing': no such case, group, case file or folder"),
        (["missing.py"], "'missing.py': no such"),
        (["\x1b[31mred\x1b[0m"], "no such case"),
        (["--require", "torch,jax", "conv2d/odd_input"], "--require jax: no such engine"),
        (["--parties", "torch>nowhere", "conv2d/odd_input"], "--parties torch>nowhere: matches none of"),
        (["--json", "{folder}/missing/report.json", "conv2d/odd_input"], "missing does not exist"),
        (["--json", "{folder}", "conv2d/odd_input"], "it is a folder"),
        (["--json", "/proc/report.json", "conv2d/odd_input"], "cannot write /proc/report.json"),
        (["--out", "{folder}/file", "conv2d/odd_input"], "is a file, expected a folder"),
        (["--out", "{folder}/file/inside", "conv2d/odd_input"], "--out"),
    ],
)
def test_words_that_cannot_be_used(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "file").write_text("")
    line = complaint(in_process("verify", *[word.replace("{folder}", str(tmp_path)) for word in words]))
    assert says in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"], "something was left behind"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CASES = (\n", "case.py:1: syntax error"),
        ("", "holds no cases"),
        ("CASES = ()", "holds no cases"),
        ("CASES = (7,)", "CASES holds a value of type int"),
        ("raise SystemExit('leaving')", "raises SystemExit on loading: leaving"),
        ("raise RuntimeError('one\\ntwo\\x1b[31m')", "raises RuntimeError on loading: one two"),
        ("import no_such_module", "raises ModuleNotFoundError"),
        (GOOD + "CASES *= 2", "two cases are named 'good'"),
        (GOOD.replace('"good"', '"a/b"'), "a case's name is one printable word"),
        (GOOD.replace('"good"', '"\\x1b[2J"'), "a case's name is one printable word"),
        (GOOD.replace('"good"', '".."'), "a case's name is one printable word"),
        (GOOD.replace('"torch":', '"jax":'), "builder for 'jax'"),
        (GOOD.replace('{"torch": lambda torch: torch.abs}', "{}"), "has no builders"),
        (GOOD.replace('{"x": Tensor("n", (3,))}', "{}"), "has no inputs"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "list"])
def test_case_files_that_cannot_be_used(tmp_path: Path, command: str, text: str, says: str) -> None:
    file = tmp_path / "case.py"
    file.write_text(text)
    line = complaint(in_process(command, file))
    assert says in line
    assert str(file) in line


def test_bad_input_through_a_process_of_its_own(triangulate: Triangulate, tmp_path: Path) -> None:
    (tmp_path / "case.py").write_text("CASES = (\n")
    assert "syntax error" in complaint(triangulate("verify", tmp_path / "case.py"))


def test_two_files_of_one_name_are_refused(triangulate: Triangulate, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(GOOD)
    line = complaint(triangulate("verify", tmp_path / "a" / "same.py", tmp_path / "b" / "same.py"))
    assert "two cases are named 'same/good'" in line


def test_a_folder_without_case_files_is_refused(triangulate: Triangulate, tmp_path: Path) -> None:
    assert str(tmp_path) in complaint(triangulate("verify", tmp_path))


@pytest.mark.parametrize("words", [["--seed", "-1"], ["--jobs", "0"], ["--seed", "one"], ["--bogus"]])
def test_options_out_of_range_leave_with_2(triangulate: Triangulate, words: list[str]) -> None:
    ran = triangulate("verify", *words, "conv2d/odd_input")
    assert ran.status == 2
    assert ran.stdout == ""
    assert words[0] in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_memory_limit_without_end_is_no_failure_of_the_tool(triangulate: Triangulate) -> None:
    ran = triangulate("verify", "--memory", "inf", "no_such_thing")
    assert ran.status == 2
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{folder}/missing.onnx"], "no such file"),
        (["{folder}/text.onnx"], "expected an ONNX model"),
        (["{folder}/empty.onnx"], "empty.onnx"),
        (["{folder}"], "expected an ONNX model"),
        (["{folder}/model.onnx", "--json", "{folder}/missing/facts.json"], "missing does not exist"),
        (["{folder}/model.onnx", "--json", "/dev/full"], "No space left on device"),
    ],
)
def test_files_that_cannot_be_inspected(model: Path, words: list[str], says: str) -> None:
    (model.parent / "text.onnx").write_text("hello, this is no graph")
    (model.parent / "empty.onnx").write_bytes(b"")
    line = complaint(in_process("inspect", *[word.replace("{folder}", str(model.parent)) for word in words]))
    assert says in line


def test_inspect_says_what_a_graph_holds(triangulate: Triangulate, model: Path) -> None:
    ran = triangulate("inspect", model)
    assert (ran.status, ran.stderr) == (0, "")
    assert "Abs" in ran.stdout


@pytest.mark.parametrize(
    ("words", "says"), [(["--version"], __version__), (["--help"], "verify"), (["list"], "conv2d")]
)
def test_what_asks_for_nothing_leaves_with_0(triangulate: Triangulate, words: list[str], says: str) -> None:
    ran = triangulate(*words)
    assert (ran.status, ran.stderr) == (0, "")
    assert says in ran.stdout


def test_list_shows_the_cases_of_a_file(triangulate: Triangulate, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(GOOD)
    ran = triangulate("list", tmp_path)
    assert ran.status == 0
    assert ran.stdout.split()[:2] == ["own/good", "torch"]


def test_list_chooses_by_tag_and_by_what_is_declared() -> None:
    def names(*words: str) -> set[str]:
        ran = in_process("list", *words)
        assert ran.status == 0
        return {line.split()[0] for line in ran.stdout.splitlines()}

    assert "conv2d" in names()
    assert "conv2d/even_input" not in names()
    semantic, gradient = names("--tag", "semantics"), names("--tag", "gradient")
    assert "conv2d/even_input" in semantic - gradient
    assert "conv2d/gradient" in gradient - semantic
    assert names("--tag", "gradient,semantics") == gradient & semantic != set()
    agreeing, parting = names("--status", "agree"), names("--status", "diverges")
    assert agreeing & parting == set()
    assert semantic < parting
    assert gradient & agreeing == names("--tag", "gradient", "--status", "agree")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tag", "poling"), "--tag poling: no case has it; there"),
        (("--status", "fine"), "expected agree or div"),
    ],
)
def test_list_refuses_what_no_case_has(words: tuple[str, ...], says: str) -> None:
    ran = in_process("list", *words)
    assert (ran.status, ran.stdout) == (2, "")
    assert says in ran.stderr


@pytest.mark.parametrize("words", [("list",), ("inspect", "MODEL"), ("inspect", "MODEL", "--json", "-")])
def test_standard_output_on_a_full_device_is_said_in_a_line(model: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "onnx_triangulate", *[str(model) if word == "MODEL" else word for word in words]]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "No space left on device" in line


def test_a_reader_who_leaves_is_no_failure_of_the_tool() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "onnx_triangulate", "list"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert ran.returncode == 141
    assert "Traceback" not in ran.stderr


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Callable[[Report], None]:
    """Let ``verify`` find the run already made."""

    def plant(report: Report) -> None:
        monkeypatch.setattr(onnx_triangulate.cli.supervisor, "verify", lambda *args, **kwargs: report)

    return plant


def test_a_report_that_does_not_fit_on_the_device(finished: Callable[[Report], None], planted: Any) -> None:
    finished(planted.report)
    ran = CliRunner().invoke(app, ["verify", "--json", "/dev/full"])
    assert ran.exit_code == 2
    assert ran.stderr.splitlines()[0].startswith("triangulate: cannot write /dev/full: No space left on device")
    assert Path("/dev/full").is_char_device()


def test_a_report_that_cannot_be_finished_leaves_the_old_one(
    finished: Callable[[Report], None], planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.json"
    file.write_text("the old one")
    finished(planted.report)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = CliRunner().invoke(app, ["verify", "--json", str(file)])
    assert ran.exit_code == 2
    assert file.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_json_on_standard_output_is_nothing_but_json(finished: Callable[[Report], None], planted: Any) -> None:
    import json

    finished(planted.report)
    ran = CliRunner().invoke(app, ["verify", "--json", "-"])
    assert json.loads(ran.stdout) == json.loads(json.dumps(as_json(planted.report)))
    assert ran.exit_code == planted.report.exit_status


def test_hostile_names_never_reach_the_terminal_raw(finished: Callable[[Report], None], planted: Any) -> None:
    finished(planted.report)
    ran = CliRunner().invoke(app, ["verify", "--verbose"])
    assert "evil" in ran.stdout, "the hostile name is not shown at all: shows nothing"
    assert "\x1b" not in ran.output
    assert "\u202e" not in ran.output


def test_a_bug_of_the_tool_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Report:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(onnx_triangulate.cli.supervisor, "verify", broken)
    ran = CliRunner().invoke(app, ["verify"])
    assert ran.exit_code == 3
    assert ran.stderr.splitlines()[-1] == "triangulate: the tool itself failed: ZeroDivisionError: planted"


def test_a_missing_engine_leaves_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    ran = CliRunner().invoke(app, ["verify", "conv2d/odd_input", "--require", "torch"])
    assert ran.exit_code == 3
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("triangulate: torch is required")


@pytest.mark.parametrize("run", ["catalogue", "healthy"])
def test_a_run_says_nothing_but_its_progress_on_standard_error_when_that_is_no_terminal(
    request: pytest.FixtureRequest, run: str
) -> None:
    assert request.getfixturevalue(run).stderr == ""


def test_engines_and_builders_do_not_write_on_the_terminal(healthy: Any) -> None:
    assert "noise on standard output" not in healthy.stdout
    assert "Python's own stream" not in healthy.stdout
    logs = "".join(file.read_text(errors="replace") for file in (healthy.out / "logs").iterdir())
    assert "noise on standard output" in logs, "the noise was not made: shows nothing"
    assert "Python's own stream" in logs


def test_the_first_lines_answer_the_question(triangulate: Triangulate) -> None:
    ran = triangulate("verify", "conv2d/even_input")
    assert (ran.status, ran.stderr) == (0, "")
    text = " ".join(" ".join(ran.stdout.splitlines()[:40]).split())
    assert "semantics: tensorflow and torch mean different things" in text
    assert "faithful: tensorflow, tensorflow:nchw, torch, torch:raw, torch:script" in text
    assert "asymmetric-padding, suspected" in text
    assert "tensorflow pads 0 before and 1 after, torch 1 and 1" in text
    assert "y[" in text


@pytest.mark.parametrize("words", [("",), ("--require", ""), ("--parties", "torch>*,"), ("--seed", "4294967296")])
def test_an_empty_or_impossible_word_is_refused(triangulate: Triangulate, words: tuple[str, ...]) -> None:
    ran = triangulate("verify", *words)
    assert ran.status == 2
    assert "Traceback" not in ran.stderr


def test_rule_lists_the_rules_and_says_what_one_means() -> None:
    listed, one, family = in_process("rule"), in_process("rule", "pad001"), in_process("rule", "PAD")
    assert [ran.status for ran in (listed, one, family)] == [0, 0, 0]
    codes = [line.split()[0] for line in listed.stdout.splitlines()]
    assert codes == sorted(codes)
    assert "PAD001" in codes
    assert one.stdout.startswith("PAD001 asymmetric-padding")
    assert {line[:3] for line in family.stdout.splitlines()} == {"PAD"}
    assert "no rule of that code" in complaint(in_process("rule", "XYZ\x1b[31m"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "--onnx", "torch=m.onnx"), "name its case"),
        (("verify", "--inputs", "a.npz"), "name its case"),
        (("verify", "--json", ""), "--json: an empty name"),
        (("inspect", "a.onnx", "--json", " "), "--json: an empty name"),
        (("verify", "--jobs", "0"), "0 is not in the range"),
        (("verify", "--bogus"), "No such option"),
        (("compare", "a.onnx"), "Missing argument"),
        (("bogus",), "No such command"),
    ],
)
def test_a_complaint_is_one_line(words: tuple[str, ...], says: str) -> None:
    assert says in complaint(in_process(*words))


def test_nothing_asked_for_is_answered_by_the_help() -> None:
    ran = in_process()
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.startswith("Usage: ")
    assert "verify" in ran.stdout


@pytest.mark.parametrize(
    ("words", "command"), [(["verify", "--nope"], " verify"), (["compare"], " compare"), (["x"], "")]
)
def test_words_that_are_none_point_to_the_help_of_their_command(words: list[str], command: str) -> None:
    assert complaint(in_process(*words)).endswith(f"{command} --help`")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("verify", "--help"), ("list",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_that_cannot_be_written_has_the_statuses_of_a_report(words: tuple[str, ...], unbuffered: str) -> None:
    command = [sys.executable, "-m", "onnx_triangulate", *words]
    variables = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, env=variables)
    assert (ran.returncode, "No space left on device" in ran.stderr) == (2, True)
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, env=variables)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_is_no_failure_of_those_who_inherit_it(tmp_path: Path, closed: int) -> None:
    (tmp_path / "own.py").write_text(GOOD)
    command = f"{sys.executable} -m onnx_triangulate list {tmp_path} {closed}>&-"
    for _ in range(3):
        assert subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True).returncode == 0
