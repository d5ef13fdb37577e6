"""Sets up the checkout's own ``.venv`` and hands over to a program in it; standard library only.

Design note.  A fresh clone must answer after one command, and a second start must cost nothing.  So everything that
decides whether ``.venv`` is usable is one small file in it, the stamp: a fingerprint of what was installed from, and
the extras installed.  It says ``installing`` from before the first file is written until pip is done, and is replaced
in one step, so an installation that was interrupted is never mistaken for a finished one and is made anew.  A ``.venv``
without a stamp is somebody's own: it is installed into, never deleted.  Installers exclude each other by a lock on a
file beside ``.venv``; the lock is inherited by pip, so it holds as long as pip runs, even where its parent was killed.
Where uv is there and pip has no settings that uv would not read, uv installs, in a tenth of the time; pip takes over
where it fails.  pip runs isolated (a PYTHONPATH would make it believe that things are installed) but with the user's
own PIP_* variables and configuration, which choose the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
TAIL = 20
MOST_PROCESSES = 4  # of pytest; each holds both frameworks

FAILED = 3
INTERRUPTED = 130

Runner = Callable[[Sequence[str], Path, int], int]
"""Runs a command with its output appended to a file, holding a lock's descriptor; returns its exit status."""

Say = Callable[[str], None]


class SetupFailed(Exception):
    """The environment cannot be set up: one line, and the last lines of what the failing program said."""

    def __init__(self, says: str, tail: Sequence[str] = ()) -> None:
        super().__init__(says)
        self.tail = tuple(tail)


@dataclass(frozen=True)
class Venv:
    """Where things are in the ``.venv`` of one checkout."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / ".venv"

    @property
    def stamp(self) -> Path:
        return self.folder / "triangulate-setup.json"

    @property
    def log(self) -> Path:
        return self.folder / "triangulate-setup.log"

    @property
    def lock(self) -> Path:
        return self.root / ".venv.lock"

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")

    def script(self, name: str) -> list[str]:
        """The command that starts a console script of this environment.  Not ``python -m``, which would put the
        current folder, and a package there that happens to have our name, before everything else."""
        if WINDOWS:
            return [str(self.folder / "Scripts" / f"{name}.exe")]
        return [str(self.python), str(self.folder / "bin" / name)]


@dataclass(frozen=True)
class Stamp:
    """What a ``.venv`` says of itself.  ``fingerprint`` is empty while it is being installed."""

    fingerprint: str
    python: str
    extras: frozenset[str]

    @classmethod
    def read(cls, file: Path) -> Stamp | None:
        """The stamp, or ``None`` where there is none.  One that cannot be read counts as an unfinished one."""
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            return cls(str(record["fingerprint"]), str(record["python"]), frozenset(map(str, record["extras"])))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return cls("", "", frozenset())

    def write(self, file: Path) -> None:
        """Replace the stamp in one step."""
        record = {"fingerprint": self.fingerprint, "python": self.python, "extras": sorted(self.extras)}
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(record), encoding="utf-8")
        beside.replace(file)


def this_python() -> str:
    """What an environment's compiled packages depend on: implementation, version up to the minor one, machine."""
    return f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]} {platform.machine()}"


def fingerprint(root: Path) -> str:
    """What an installation depends on besides the interpreter: what is asked for, the pins, where the checkout is."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def is_ready(venv: Venv, extras: frozenset[str]) -> bool:
    """Whether the environment is complete, for this interpreter and these files, with at least these extras."""
    stamp = Stamp.read(venv.stamp)
    return (
        stamp is not None
        and stamp.python == this_python()
        and stamp.extras >= extras
        and stamp.fingerprint == fingerprint(venv.root)
        and venv.python.exists()
    )


def ensure(venv: Venv, extras: frozenset[str], say: Say, run: Runner) -> None:
    """Make the environment ready.  Raises :class:`SetupFailed` where that does not work; OSError for a bad disk."""
    if is_ready(venv, extras):
        return
    with _locked(venv.lock, say) as lock:
        if not is_ready(venv, extras):
            _install(venv, extras, say, run, lock)


def _install(venv: Venv, extras: frozenset[str], say: Say, run: Runner, lock: int) -> None:
    stamp = Stamp.read(venv.stamp)
    ours = stamp is not None
    usable = venv.python.exists() and (stamp is None or (stamp.fingerprint != "" and stamp.python == this_python()))
    if not usable:
        if venv.folder.exists() and not ours and not (venv.folder / "pyvenv.cfg").exists():
            raise SetupFailed(f"{venv.folder} is not a virtual environment; move it away")
        say(f"setting up .venv (first run, a minute or more; what pip says is in {venv.log}) …")
        if venv.folder.exists():
            shutil.rmtree(venv.folder)
        venv.folder.mkdir()
    else:
        say("updating .venv …")
    extras |= stamp.extras if usable and stamp is not None else frozenset()
    Stamp("", this_python(), extras).write(venv.stamp)
    venv.log.unlink(missing_ok=True)
    # An interpreter that is itself in .venv must not be the one that .venv is made of.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if not usable and run([base, "-I", "-m", "venv", str(venv.folder)], venv.log, lock) != 0:
        raise SetupFailed(
            f"{base} cannot make a virtual environment; is its venv module installed (Debian: python3-venv)?",
            _tail(venv.log),
        )
    wanted = fingerprint(venv.root)
    uv = _uv(venv)
    status = run(_uv_install(uv, venv, extras), venv.log, lock) if uv else 1
    if status != 0:  # uv refuses some things that pip takes; what it said stands in the log
        status = run(_pip(venv, extras), venv.log, lock)
    if status != 0:
        raise SetupFailed(
            f"pip cannot install onnx-triangulate[{','.join(sorted(extras))}] (its exit status {status}); "
            f"everything it said is in {venv.log}",
            _tail(venv.log),
        )
    Stamp(wanted, this_python(), extras).write(venv.stamp)


def _uv(venv: Venv) -> str | None:
    """uv, where it is there and pip has no settings of the user's (an index, a proxy), of which uv reads none."""
    found = shutil.which("uv")
    if found is None or any(name.startswith("PIP_") for name in os.environ):
        return None
    settings = subprocess.run(
        [str(venv.python), "-I", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return None if settings.returncode != 0 or settings.stdout.strip() else found


def _uv_install(uv: str, venv: Venv, extras: frozenset[str]) -> list[str]:
    project = f"{venv.root}[{','.join(sorted(extras))}]"
    pins = ["--python", str(venv.python), "-c", str(venv.root / "constraints.txt")]
    return [uv, "pip", "install", "--no-progress", *pins, "-e", project]


def _pip(venv: Venv, extras: frozenset[str]) -> list[str]:
    project = f"{venv.root}[{','.join(sorted(extras))}]"
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    pins = ["-c", str(venv.root / "constraints.txt")]
    return [str(venv.python), "-I", "-m", "pip", "install", *quiet, *pins, "-e", project]


def run_logged(command: Sequence[str], log: Path, lock: int) -> int:
    """Run a command without input, its output appended to ``log``, the lock inherited; return its exit status."""
    environment = os.environ | {"PIP_USER": "0", "PYTHONUTF8": "1"}
    with log.open("ab") as out:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=() if WINDOWS else (lock,),
                check=False,
            ).returncode
        except OSError as error:
            out.write(f"{command[0]}: {error.strerror}\n".encode())
            return 127


def _tail(log: Path) -> list[str]:
    """The last lines of a log, without warnings and without anything that a terminal would obey."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    shown = ["".join(c if c.isprintable() else "?" for c in line.rstrip()) for line in lines]
    return [line for line in shown if line and not line.startswith(("WARNING:", "DEPRECATION:", "[notice]"))][-TAIL:]


@contextmanager
def _locked(file: Path, say: Say) -> Iterator[int]:
    """Hold the lock; the operating system lets go of it when the last process that has it ends."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_lock(descriptor):
            say("waiting for another set-up of .venv to finish …")
            _wait_lock(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # gives up by itself after ten seconds
            except OSError:
                continue
            return

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def hand_over(command: Sequence[str]) -> int:
    """Become the command, so that its exit status and the signals sent to it are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not WINDOWS:
        os.execv(command[0], list(command))  # noqa: S606  no shell is wanted
    return subprocess.run(command, check=False).returncode


def names_a_path(argument: str) -> bool:
    """Whether an argument is a file or folder seen from the current folder; ``FILE::TEST`` names a file."""
    return os.path.exists(argument.partition("::")[0])


def processes(arguments: Sequence[str]) -> list[str]:
    """The arguments of pytest-xdist for a whole run, where the user's own say nothing of it."""
    if any(word.startswith(("-n", "--numprocesses", "--dist", "--pdb")) for word in arguments):
        return []
    return ["-n", str(min(os.cpu_count() or 1, MOST_PROCESSES)), "--dist", "loadfile"]


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A request to end raises ``KeyboardInterrupt``, so that what installs does not outlive this."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def start(
    program: str,
    extras: Sequence[str],
    command: Sequence[str],
    arguments: Sequence[str],
    *,
    root: Path = ROOT,
    run: Runner = run_logged,
    then: Callable[[Sequence[str]], int] = hand_over,
) -> int:
    """Make the environment ready with ``extras`` and hand over to one of its console scripts.

    ``program`` is the name that messages begin with, ``command`` the script with its first arguments.  Returns the
    exit status: the script's own, 3 where the set-up failed (one line on standard error says why, after the last lines
    of what pip said), 130 where it was interrupted.
    """

    def say(line: str) -> None:
        print(f"{program}: {line}", file=sys.stderr, flush=True)

    venv = Venv(root)
    try:
        with _terminated_as_interrupted():
            ensure(venv, frozenset(extras), say, run)
        return then([*venv.script(command[0]), *command[1:], *arguments])
    except KeyboardInterrupt:
        return INTERRUPTED
    except SetupFailed as failure:
        for line in failure.tail:
            print(f"  {line}", file=sys.stderr)
        say(str(failure))
    except OSError as error:
        say(f"cannot set up {venv.folder}: {error}")
    return FAILED
