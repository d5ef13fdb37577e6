"""Foreign text: nothing invisible, nothing that commands, nothing endless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_triangulate.records.text import clip, prose, safe, wrap

lasting = settings(deadline=None, database=None, derandomize=True)  # no time measured, nothing left in the checkout


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\r\ttab", r"two\x0alines\x0d\x09tab"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f", r"\x7f"),
        ("abc\u202edef\u2066", r"abc\u202edef\u2066"),
        ("a\u200bb\ufeffc\u2060", r"a\u200bb\ufeffc\u2060"),
        ("line\u2028para\u2029", r"line\u2028para\u2029"),
        ("z\u0300\u0301", r"z\u0300\u0301"),
        ("\u3164\u2800\u00a0", r"\u3164\u2800\xa0"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_escape(raw: str, shown: str) -> None:
    assert safe(raw) == shown


@pytest.mark.parametrize(
    "name", ["/model/layers.0/Conv", "node_conv2d", "Größe", "卷积", "onnxruntime::common::Status"]
)
def test_what_can_be_seen_stays(name: str) -> None:
    assert safe(name) == name


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        (" ::set-output name=a::x", r" \x3a:set-output name=a::x"),
        (":::error::x", r"\x3a::error::x"),
        ("a ::warning::", r"a \x3a:warning::"),
        ("##[error]x", r"#\x23[error]x"),
        ("see ##vso[task.setvariable]x", r"see #\x23vso[task.setvariable]x"),
    ],
)
def test_the_openings_of_workflow_commands_are_broken(raw: str, shown: str) -> None:
    assert safe(raw) == shown


def test_a_newline_before_a_command_does_not_become_a_start_of_a_line() -> None:
    assert prose("fine\n\n  ::error::x") == r"fine \x3a:error::x"


def test_a_megabyte_is_cut_and_the_rest_counted() -> None:
    assert safe("N" * 1_000_000, 50) == "N" * 50 + "… (+999,950 characters)"
    assert safe("\x1b" * 100, 10) == r"\x1b\x1b" + "… (+98 characters)"
    assert safe("N" * 50, 50) == "N" * 50


@lasting
@given(st.text(max_size=60))
def test_whatever_the_text_every_character_shown_is_visible(raw: str) -> None:
    shown = safe(raw)
    assert all(character == " " or unicodedata.category(character)[0] not in "CZM" for character in shown)
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown


@lasting
@given(st.text(alphabet="ab: #[\n", max_size=200), st.integers(16, 40))
def test_no_wrapped_line_begins_with_a_command(raw: str, width: int) -> None:
    lines = wrap(prose(raw), width, 2)
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert all(len(line) <= width + 3 for line in lines)


def test_wrapping_in_the_middle_of_a_word_breaks_a_command_that_would_begin_a_line() -> None:
    lines = wrap("x" * 20 + "::error::y", 20)
    assert lines == ["x" * 20, r"\x3a:error::y"]


def test_clip_keeps_both_ends() -> None:
    assert clip("/model/layers.0/Conv", 9) == "/mod…Conv"
    assert clip("short", 9) == "short"
    assert [len(clip("a long enough name", width)) for width in range(1, 12)] == list(range(1, 12))
