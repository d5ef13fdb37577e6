"""The set-up that the scripts share, with a fake pip: what is installed when, and what each failure says.

The fake makes the files that ``venv`` and ``pip`` would make and writes down what it was asked, so that a test plants
one fault (an interruption, a failure, a file gone) and looks at what the next start does.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import _environment
from scripts._environment import FAILED, INTERRUPTED, Stamp, Venv, ensure, is_ready, run_logged, start, this_python

SCRIPTS = Path(_environment.__file__).parent
BASE = frozenset({"torch", "tensorflow"})
DEV = BASE | {"dev"}
CHOICE = _environment._uv  # as it is; the tests below replace it


class FakeInstaller:
    """Stands in for the processes ``python -m venv`` and ``pip install``."""

    def __init__(self, venv: Venv) -> None:
        self.venv = venv
        self.commands: list[str] = []
        self.installers: list[str] = []
        self.states: list[bool] = []  # whether the stamp called the environment unfinished while a command ran
        self.fails: dict[str, str] = {}  # command -> what it says before it exits with status 1
        self.interrupts: set[str] = set()

    def __call__(self, command: Sequence[str], log: Path, lock: int) -> int:
        kind = "uv" if command[1] == "pip" else command[command.index("-m") + 1]
        self.commands.append(kind if kind == "venv" else command[-1])
        self.installers += [kind] * (kind != "venv")
        stamp = Stamp.read(self.venv.stamp)
        self.states.append(stamp is not None and stamp.fingerprint == "")
        if kind in self.interrupts:
            raise KeyboardInterrupt
        with log.open("a", encoding="utf-8") as out:
            out.write(self.fails.get(kind, "fine\n"))
        if kind in self.fails:
            return 1
        if kind == "venv":
            self.venv.python.parent.mkdir(parents=True)
            self.venv.python.touch()
            (self.venv.folder / "pyvenv.cfg").touch()
        return 0

    def extras(self) -> list[frozenset[str]]:
        """The extras of each call of pip so far."""
        return [frozenset(c.partition("[")[2].rstrip("]").split(",")) for c in self.commands if c != "venv"]


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    root = tmp_path / "check out"  # a space, as folders have
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "constraints.txt").write_text("torch==2.13.0\n")
    return Venv(root)


@pytest.fixture(autouse=True)
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installers are pip but where a test says otherwise."""
    monkeypatch.setattr(_environment, "_uv", lambda venv: None)


@pytest.fixture
def fake(venv: Venv) -> FakeInstaller:
    return FakeInstaller(venv)


def quiet(line: str) -> None:
    """Says nothing."""


def started(venv: Venv, fake: FakeInstaller, extras: frozenset[str] = BASE) -> tuple[int, list[list[str]]]:
    """The exit status of a start, and the commands handed over to."""
    commands: list[list[str]] = []

    def then(command: Sequence[str]) -> int:
        commands.append(list(command))
        return 7

    arguments = ["conv2d", "--json", "-"]
    status = start("prog", sorted(extras), ["triangulate", "verify"], arguments, root=venv.root, run=fake, then=then)
    return status, commands


def test_first_start_installs_then_hands_over(
    venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]
) -> None:
    status, commands = started(venv, fake)
    assert status == 7
    assert [c[-4:] for c in commands] == [["verify", "conv2d", "--json", "-"]]
    assert commands[0][0].startswith(str(venv.folder))
    assert fake.commands == ["venv", f"{venv.root}[tensorflow,torch]"]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"prog: setting up .venv (first run, a minute or more; what pip says is in {venv.log}) …\n"


def test_second_start_installs_nothing_and_says_nothing(
    venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]
) -> None:
    started(venv, fake)
    before = list(fake.commands)
    capsys.readouterr()
    assert started(venv, fake)[0] == 7
    assert fake.commands == before
    assert capsys.readouterr().err == ""


def test_a_ready_environment_needs_no_writable_checkout(venv: Venv, fake: FakeInstaller) -> None:
    started(venv, fake)
    venv.lock.unlink()
    venv.lock.mkdir()  # opening it for writing fails for everybody, root included
    assert started(venv, fake)[0] == 7


def test_the_stamp_is_unfinished_while_anything_is_installed(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    ensure(venv, DEV, quiet, fake)
    assert fake.states == [True, True, True]
    stamp = Stamp.read(venv.stamp)
    assert stamp is not None
    assert stamp.fingerprint


@pytest.mark.parametrize("step", ["venv", "pip"])
@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_an_unfinished_installation_is_made_anew(venv: Venv, fake: FakeInstaller, step: str, how: str) -> None:
    if how == "interrupted":
        fake.interrupts = {step}
    else:
        fake.fails = {step: "ERROR: no\n"}
    status, commands = started(venv, fake)
    assert (status, commands) == (INTERRUPTED if how == "interrupted" else FAILED, [])
    assert not is_ready(venv, BASE)
    leftover = venv.folder / "half a package"
    leftover.touch()

    fake.interrupts, fake.fails, fake.commands = set(), {}, []
    assert started(venv, fake)[0] == 7
    assert fake.commands == ["venv", f"{venv.root}[tensorflow,torch]"]
    assert not leftover.exists()


def test_an_interrupted_update_is_made_anew(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    fake.interrupts = {"pip"}
    assert started(venv, fake, DEV)[0] == INTERRUPTED
    assert not is_ready(venv, BASE)


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_updates_in_place_with_all_extras(venv: Venv, fake: FakeInstaller, name: str) -> None:
    ensure(venv, DEV, quiet, fake)
    (venv.root / name).write_text("# changed\n")
    assert not is_ready(venv, BASE)
    fake.commands = []
    ensure(venv, BASE, quiet, fake)
    assert "venv" not in fake.commands
    assert fake.extras() == [DEV]
    assert is_ready(venv, DEV)


def test_more_extras_are_added_and_fewer_are_served(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    assert not is_ready(venv, DEV)
    ensure(venv, DEV, quiet, fake)
    ensure(venv, BASE, quiet, fake)
    assert fake.extras() == [BASE, DEV]
    assert is_ready(venv, BASE)


def test_a_moved_checkout_is_installed_again(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    moved = Venv(venv.root.rename(venv.root.parent / "elsewhere"))
    assert not is_ready(moved, BASE)


def test_a_vanished_interpreter_is_rebuilt(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    venv.python.unlink()
    venv.python.symlink_to(venv.root / "gone" / "python3")
    fake.commands = []
    ensure(venv, BASE, quiet, fake)
    assert fake.commands[0] == "venv"
    assert is_ready(venv, BASE)


def test_another_python_is_rebuilt(venv: Venv, fake: FakeInstaller) -> None:
    ensure(venv, BASE, quiet, fake)
    stamp = Stamp.read(venv.stamp)
    assert stamp is not None
    assert stamp.python == this_python()
    Stamp(stamp.fingerprint, "CPython 3.99 abacus", stamp.extras).write(venv.stamp)
    fake.commands = []
    ensure(venv, BASE, quiet, fake)
    assert fake.commands[0] == "venv"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": "x"}', "\x00\xff"])
def test_a_damaged_stamp_is_an_unfinished_one(venv: Venv, fake: FakeInstaller, content: str) -> None:
    ensure(venv, BASE, quiet, fake)
    venv.stamp.write_text(content, encoding="latin-1")
    assert not is_ready(venv, BASE)
    fake.commands = []
    ensure(venv, BASE, quiet, fake)
    assert fake.commands[0] == "venv"


def test_somebodys_own_environment_is_installed_into_not_deleted(venv: Venv, fake: FakeInstaller) -> None:
    venv.python.parent.mkdir(parents=True)
    venv.python.touch()
    theirs = venv.folder / "theirs"
    theirs.touch()
    ensure(venv, BASE, quiet, fake)
    assert fake.commands == [f"{venv.root}[tensorflow,torch]"]
    assert theirs.exists()


def test_a_folder_that_is_no_environment_is_left_alone(
    venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.folder.mkdir()
    (venv.folder / "diary.txt").touch()
    assert started(venv, fake) == (FAILED, [])
    assert fake.commands == []
    assert (venv.folder / "diary.txt").exists()
    assert capsys.readouterr().err == f"prog: {venv.folder} is not a virtual environment; move it away\n"


def test_a_pip_failure_is_one_line_after_the_end_of_what_it_said(
    venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = "".join(f"line {i}\n" for i in range(100))
    fake.fails = {"pip": f"{noise}WARNING: Location 'x' is ignored\n\x1b[31mERROR: No matching distribution\n"}
    assert started(venv, fake) == (FAILED, [])
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("prog: ")] == [lines[0], lines[-1]]
    assert "pip cannot install onnx-triangulate[tensorflow,torch] (its exit status 1)" in lines[-1]
    assert str(venv.log) in lines[-1]
    assert lines[-2] == "  ?[31mERROR: No matching distribution"
    assert lines[-3] == "  line 99"
    assert "line 0" not in err
    assert "WARNING" not in err
    assert len(lines) == 2 + _environment.TAIL


def test_a_python_without_venv_is_one_line(venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]) -> None:
    fake.fails = {"venv": "No module named venv\n"}
    assert started(venv, fake) == (FAILED, [])
    assert "cannot make a virtual environment; is its venv module installed" in capsys.readouterr().err.splitlines()[-1]


def test_a_disk_that_refuses_is_one_line(venv: Venv, fake: FakeInstaller, capsys: pytest.CaptureFixture[str]) -> None:
    venv.lock.mkdir()
    assert started(venv, fake) == (FAILED, [])
    err = capsys.readouterr().err
    assert err.startswith(f"prog: cannot set up {venv.folder}: ")
    assert err.count("\n") == 1


def test_pip_is_isolated_but_keeps_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    monkeypatch.setenv("PIP_USER", "1")
    command = _environment._pip(Venv(tmp_path), BASE)
    assert command[1:5] == ["-I", "-m", "pip", "install"]
    assert command[command.index("-c") + 1] == str(tmp_path / "constraints.txt")
    log = tmp_path / "log"
    show = "import os; print(os.environ['PIP_INDEX_URL'], os.environ['PIP_USER'])"
    assert run_logged([sys.executable, "-c", show], log, os.open(os.devnull, os.O_RDONLY)) == 0
    assert log.read_text() == "https://example.org/simple 0\n"


def test_uv_installs_where_it_is_there(venv: Venv, fake: FakeInstaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_environment, "_uv", lambda venv: "uv")
    assert started(venv, fake)[0] == 7
    assert (fake.installers, fake.extras()) == (["uv"], [BASE])


def test_pip_takes_over_where_uv_fails(venv: Venv, fake: FakeInstaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_environment, "_uv", lambda venv: "uv")
    fake.fails = {"uv": "error: no solution\n"}
    assert started(venv, fake)[0] == 7
    assert (fake.installers, is_ready(venv, BASE)) == (["uv", "pip"], True)


@pytest.mark.parametrize(
    ("variables", "settings", "chosen"),
    [({}, "", True), ({"PIP_INDEX_URL": "x"}, "", False), ({}, "global.index-url='x'", False)],
)
def test_uv_is_left_out_where_pip_has_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], settings: str, chosen: bool
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    venv = Venv(tmp_path)
    venv.python.parent.mkdir(parents=True)
    venv.python.write_text(f'#!/bin/sh\necho "{settings}"\n')
    venv.python.chmod(0o755)
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (CHOICE(venv) == str(tmp_path / "uv")) == chosen


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program hears")
def test_what_installs_does_not_outlive_a_request_to_end(venv: Venv) -> None:
    program = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scripts import _environment as e
installer = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(300)"]
e._uv, e._pip = lambda venv: None, lambda venv, extras: installer
run = lambda command, log, lock: e.run_logged(command, log, lock) if command == installer else 0
sys.exit(e.start("prog", ["torch"], ["triangulate"], [], root=Path(sys.argv[2]), run=run))
"""
    command = [sys.executable, "-c", program, str(SCRIPTS.parent), str(venv.root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (venv.log.exists() and venv.log.read_text().endswith("\n")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == INTERRUPTED
    with contextlib.suppress(psutil.NoSuchProcess):  # dead, though nobody may have asked how it ended
        assert psutil.Process(int(venv.log.read_text())).status() == psutil.STATUS_ZOMBIE


def test_run_logged_reports_status_output_and_a_missing_program(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lock = os.open(os.devnull, os.O_RDONLY)
    program = "import sys; print(repr(sys.stdin.read()), flush=True); print('bad', file=sys.stderr); sys.exit(5)"
    assert run_logged([sys.executable, "-c", program], log, lock) == 5
    assert log.read_text() == "''\nbad\n"
    assert run_logged([str(tmp_path / "missing")], log, lock) == 127
    assert "No such file" in log.read_text()


def held(file: Path) -> bool:
    """Whether somebody holds the lock."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_the_lock_is_held_while_installing_and_by_pip_itself(venv: Venv, fake: FakeInstaller) -> None:
    seen: list[bool] = []

    def run(command: Sequence[str], log: Path, lock: int) -> int:
        seen.append(held(venv.lock))
        assert os.get_inheritable(lock) is False  # only the process that is meant to have it inherits it
        probe = f"import os; os.fstat({lock}); print('inherited')"
        assert run_logged([sys.executable, "-c", probe], log, lock) == 0
        return fake(command, log, lock)

    ensure(venv, BASE, quiet, run)
    assert seen == [True, True]
    assert not held(venv.lock)
    assert "inherited" in venv.log.read_text()


def test_who_waited_for_the_lock_finds_the_work_done(
    venv: Venv, fake: FakeInstaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def finish_the_others_work(descriptor: int) -> None:
        monkeypatch.undo()
        ensure(venv, BASE, quiet, fake)
        fake.commands = []

    monkeypatch.setattr(_environment, "_try_lock", lambda descriptor: False)
    monkeypatch.setattr(_environment, "_wait_lock", finish_the_others_work)
    ensure(venv, BASE, said.append, fake)
    assert said == ["waiting for another set-up of .venv to finish …"]
    assert fake.commands == []


HAND_OVER = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import _environment
    sys.exit(_environment.hand_over([sys.executable, "-c", sys.argv[2]]))
"""


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(41)", 41),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_hand_over_passes_on_status_and_signals(program: str, status: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HAND_OVER), str(SCRIPTS), program]
    assert subprocess.run(command, check=False).returncode == status


def test_names_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test_x.py").touch()
    assert _environment.names_a_path("test_x.py::test_y[a::b]")
    assert not _environment.names_a_path("-x")
    assert not _environment.names_a_path("x" * 5000)


@pytest.mark.parametrize("script", ["export_and_verify", "run_tests"])
def test_an_old_python_is_told_so_in_one_line(script: str) -> None:
    program = f"""
        import runpy, sys
        sys.version_info, sys.version = (3, 10, 13), "3.10.13 (main)"
        runpy.run_path({str(SCRIPTS / script)!r} + ".py", run_name="__main__")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    assert result.returncode == FAILED
    assert result.stderr == f"{script}: needs Python 3.11 or later, this is 3.10.13\n"


def old_syntax_faults(source: str) -> list[str]:
    """What in a file keeps a Python that is too old from reading as far as the check of its version."""
    newer = {
        ast.JoinedStr: "f-string",
        ast.AnnAssign: "annotation",
        ast.FunctionDef: "function",
        ast.AsyncFunctionDef: "function",
        ast.NamedExpr: "walrus",
        ast.Match: "match",
        ast.With: "with",
    }
    found = [newer[type(node)] for node in ast.walk(ast.parse(source)) if type(node) in newer]
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    return found + [f"from {n.module}" for n in imports] + ([] if source.isascii() else ["not ASCII"])


@pytest.mark.parametrize("script", ["export_and_verify", "run_tests"])
def test_an_old_python_can_read_the_scripts(script: str) -> None:
    assert old_syntax_faults((SCRIPTS / f"{script}.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("fault", ["from __future__ import annotations", "x = f'{1}'", "def f() -> int: ...", "'…'"])
def test_newer_syntax_is_noticed(fault: str) -> None:
    assert old_syntax_faults(fault)


def test_the_scripts_ask_for_what_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, tuple[Sequence[str], Sequence[str], Sequence[str], Path]] = {}

    def record(program: str, extras: Sequence[str], command: Sequence[str], arguments: Sequence[str]) -> int:
        asked[program] = (extras, command, arguments, Path.cwd())
        return 0

    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.chdir(SCRIPTS)
    monkeypatch.setitem(sys.modules, "_environment", _environment)
    monkeypatch.setattr(_environment, "start", record)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    whole = ["pytest", "-n", "4", "--dist", "loadfile"]
    for script, arguments in (
        ("export_and_verify", ["conv2d"]),
        ("run_tests", ["-x"]),
        ("run_tests", ["run_tests.py"]),
    ):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as status:
            runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
        assert status.value.code == 0
        if arguments == ["-x"]:
            assert asked["run_tests"] == (["torch", "tensorflow", "dev"], whole, ["-x"], SCRIPTS.parent)
            monkeypatch.chdir(SCRIPTS)
    assert asked["export_and_verify"] == (["torch", "tensorflow"], ["triangulate", "verify"], ["conv2d"], SCRIPTS)
    assert asked["run_tests"][1] == ["pytest"]
    assert asked["run_tests"][3] == SCRIPTS  # a path of the current folder was named


@pytest.mark.parametrize("words", [["-n0"], ["-n", "0"], ["--numprocesses=3"], ["--dist", "no"], ["--pdb"]])
def test_the_number_of_processes_is_the_users(words: list[str]) -> None:
    assert _environment.processes([*words, "-x"]) == []


def test_stamp_round_trip_is_plain_json(tmp_path: Path) -> None:
    stamp = Stamp("f", "CPython 3.11", DEV)
    stamp.write(tmp_path / "s.json")
    assert Stamp.read(tmp_path / "s.json") == stamp
    assert json.loads((tmp_path / "s.json").read_text())["extras"] == ["dev", "tensorflow", "torch"]
    assert [p.name for p in tmp_path.iterdir()] == ["s.json"]
    assert Stamp.read(tmp_path / "absent.json") is None


def test_every_pin_is_exact_and_the_extras_are_pinned() -> None:
    root = _environment.ROOT
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    assert not [pin for pin in pins if "+" in str(pin.specifier)], "a local version is offered by one index only"
    names = [canonicalize_name(pin.name) for pin in pins]
    assert names == sorted(set(names))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, wanted):
        (pin,) = [p for p in pins if canonicalize_name(p.name) == canonicalize_name(requirement.name)]
        version = str(pin.specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{pin} is outside {requirement}"
