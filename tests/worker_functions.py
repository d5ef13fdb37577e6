"""What the tests of the workers send to them.  A worker imports this module by its name."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn


class Unsendable(Exception):
    """An exception that cannot be put together again from what is sent of it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class HoldsALock(Exception):
    """An exception that cannot be sent at all."""

    def __init__(self) -> None:
        super().__init__("held")
        self.lock = threading.Lock()


def add(a: int, b: int) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def die(number: int) -> NoReturn:
    os.kill(os.getpid(), number)
    time.sleep(60)
    raise AssertionError(f"survived signal {number}")


def leave(status: int) -> NoReturn:
    os._exit(status)


def leave_politely(status: object) -> NoReturn:
    sys.exit(status)  # type: ignore[arg-type]


def hang(stubbornly: bool = False) -> None:
    if stubbornly:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def outgrow(size: int) -> int:
    """Touch ``size`` bytes, slowly enough to be watched; the caller must never see the result."""
    held = []
    for _ in range(size // 2**24):
        block = mmap.mmap(-1, 2**24)
        block.write(b"x" * 2**24)
        held.append(block)
        time.sleep(0.02)
    time.sleep(60)
    return len(held)


def raise_(error: BaseException) -> NoReturn:
    raise error


def raise_unsendable() -> NoReturn:
    raise Unsendable("a", "b")


def raise_holding_a_lock() -> NoReturn:
    raise HoldsALock


def unsendable_result() -> Any:
    return threading.Lock()


def speak() -> None:
    print("python speaks")
    print("python complains", file=sys.stderr)
    sys.stdout.flush()
    os.write(1, b"native code speaks\n")
    os.write(2, b"native code complains\n")


def wait_for(file: str, other: str) -> bool:
    """Say that this call is under way, and whether the other one is at the same time."""
    Path(file).touch()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if Path(other).exists():
            return True
        time.sleep(0.01)
    return False


def whole_environment() -> dict[str, str]:
    return dict(os.environ)


def path() -> tuple[bool, list[str]]:
    return sys.flags.safe_path, list(sys.path)


def die_once(marker: Path) -> str:
    """Killed the first time, as a machine out of memory would do it."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "answered"
