"""Writing: whole or not at all, and refused before the work rather than after it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.inspection import Picture
from onnx_triangulate.records.verdict import Report
from onnx_triangulate.report import files
from onnx_triangulate.report.files import check_writable, write_text
from onnx_triangulate.report.formats import format_for, formats


def one_line(error: pytest.ExceptionInfo[UnusableInput]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("act", [check_writable, lambda path: write_text("x", path)], ids=["check", "write"])
def test_places_that_cannot_be_written_to(act: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, seen in [
        (tmp_path / "missing" / "report.json", "does not exist"),
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "report.json", "not a folder"),
        (tmp_path / ("n" * 5000), "too long"),
        ("nul\0byte", "null byte"),
        ("", "it is a folder"),
    ]:
        with pytest.raises(UnusableInput) as error:
            act(place)
        assert seen in one_line(error).lower()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_found_by_trying(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)  # what root is told, whatever the mount

    def refuse(path: Path, *_: Any, **__: Any) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(UnusableInput) as error:
        check_writable(tmp_path / "report.json")
    assert os.strerror(code) in one_line(error)


def test_a_read_only_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != target)
    with pytest.raises(UnusableInput, match="read-only"):
        check_writable(target)


def test_the_check_leaves_nothing_behind_and_does_not_touch_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    check_writable(target)
    assert list(tmp_path.iterdir()) == []
    target.write_text("old")
    check_writable(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UnusableInput, match="No space left"):
        write_text("new", target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_target_changes_in_one_step_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def refuse(*_: Any) -> None:
        assert target.read_text() == "old"
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as planted:
        planted.setattr(files.os, "replace", refuse)
        with pytest.raises(UnusableInput, match="error"):
            write_text("new", target)
    assert target.read_text() == "old"
    write_text("new", target)
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_written_with_the_umask_or_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    (tmp_path / "usual").touch()
    write_text("one", target)
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    target.chmod(0o640)
    write_text("two", target)
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("two", 0o640)


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text("new", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    check_writable(pipe)
    write_text("through", pipe)
    reader.join(10)
    assert received == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable("-")
    write_text("here\n", "-")
    assert capsys.readouterr().out == "here\n"
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_path_stays_on_its_line() -> None:
    with pytest.raises(UnusableInput) as error:
        check_writable("/nowhere-\x1b[2J\n::error::/report.json")
    assert "\x1b" not in one_line(error)


def test_every_format_takes_some_record() -> None:
    assert set(formats()) >= {"html", "json", "mermaid", "svg", "text"}
    assert all(entry.texts for entry in formats().values())


def test_every_format_makes_a_text_of_what_it_takes(samples: Any) -> None:
    records = [samples.everything(), samples.inspected(), Picture(samples.drawing("a"), samples.inspected())]
    for entry in formats().values():
        made = [entry.texts[type(record)](record) for record in records if type(record) in entry.texts]
        assert made, entry.name
        assert all(text.endswith("\n") for text in made)


def test_a_format_that_is_none_or_takes_something_else_is_refused_in_one_line() -> None:
    with pytest.raises(UnusableInput, match="no such format; expected one of json, text"):
        format_for("pdf", Report)
    with pytest.raises(UnusableInput, match="nothing for that format; expected one of json, text"):
        format_for("svg", Report)


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    model, link, hard = tmp_path / "model.onnx", tmp_path / "link.onnx", tmp_path / "hard.onnx"
    model.write_bytes(b"model")
    link.symlink_to(model)
    hard.hardlink_to(model)
    for place in (model, link, hard, tmp_path / ".." / tmp_path.name / "model.onnx"):
        with pytest.raises(UnusableInput, match="a file that this command reads"):
            check_writable(place, reads=[model])
    check_writable(tmp_path / "other.json", reads=[model, tmp_path / "missing"])
    assert model.read_bytes() == b"model"


def test_one_place_for_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="twice"):
        check_writable(tmp_path / "a", tmp_path / "a")
    check_writable(tmp_path / "a", tmp_path / "b", "-", "/dev/null", "/dev/null")
    assert not list(tmp_path.iterdir())
