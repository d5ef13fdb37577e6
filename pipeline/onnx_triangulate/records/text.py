r"""Foreign text made harmless: names out of model files, messages of engines, paths.

Design note.  A node's name is whatever bytes somebody wrote into a file.  On a terminal it could move the cursor,
reverse the reading order, hide itself, fill the scrollback, or, in a CI log, speak to the CI's own command parser
(``::error::`` at the start of a line, ``##[error]`` or ``##vso[…]`` anywhere).  Everything invisible is shown as its
escape (``\x1b``, ``\u202e``), the parsers' openings are broken, the length is bounded and the rest is counted.
Visible text of any script passes unchanged; combining marks do not, because a thousand of them fit on one letter.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

ELLIPSIS = "…"
WHOLE = 1000  # characters

_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
# Letters and symbols by category, blanks by shape: Hangul fillers and the empty Braille cell.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
# An opening at the start of a word: C++'s ``ns::name`` stays readable, ``::error::`` does not begin a line.
_COLONS = re.compile(r"(?<![\w:]):(?=:)")
_COLONS_FIRST = re.compile(r"^( *):(?=:)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # torch colours its messages
_HASHES = re.compile(r"##(?=\w*\[)")


def escaped(character: str) -> str:
    r"""The escape of one character: ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(character: str) -> str:
    if " " <= character <= "~":
        return character
    category = unicodedata.category(character)
    if category in _INVISIBLE_CATEGORIES or category == "Zs" or character in _BLANKS:
        return escaped(character)
    return character


def _unspoken(text: str) -> str:
    """``text`` with the openings of CI parsers broken."""
    if "::" in text:
        text = _COLONS.sub(r"\\x3a", text)
    return _HASHES.sub(r"#\\x23", text) if "##" in text else text


def safe(value: object, limit: int = 200) -> str:
    """One line of visible text, at most ``limit`` characters long and, where it was longer, the count of the rest."""
    text = str(value)
    if len(text) <= limit and text.isascii() and text.isprintable():  # nearly all names are
        return _unspoken(text)
    pieces: list[str] = []
    length = kept = 0
    for character in text[:limit]:
        piece = _visible(character)
        if length + len(piece) > limit:
            break
        pieces.append(piece)
        length += len(piece)
        kept += 1
    shown = _unspoken("".join(pieces))
    rest = len(text) - kept
    return f"{shown}{ELLIPSIS} (+{rest:,} characters)" if rest else shown


def prose(value: object, limit: int = 600) -> str:
    """A message of several lines as one: colours left out, white space collapsed, then :func:`safe`."""
    return safe(" ".join(_COLOURS.sub("", str(value)).split()), limit)


def whole(value: object, limit: int = 200, verbose: bool = False) -> str:
    """As :func:`safe`, and where everything is asked for uncut, unless it is of a length that nobody means to read."""
    if verbose and len(shown := safe(value, WHOLE)) <= WHOLE:
        return shown
    return safe(value, limit)


def clip(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, the middle left out: the ends of names are what tells them apart."""
    if len(text) <= width:
        return text
    if width <= 1:
        return ELLIPSIS[:width]
    head = width // 2
    tail = width - 1 - head
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")


def wrap(text: str, width: int, hang: int = 0) -> list[str]:
    """Lines of at most ``width`` characters, those after the first indented by ``hang``; none begins with ``::``.

    (A line on which such an opening had to be broken is three characters longer.)
    """
    lines = textwrap.wrap(text, max(width, 16), subsequent_indent=" " * hang, break_on_hyphens=False) or [""]
    return [_COLONS_FIRST.sub(r"\1\\x3a", line) for line in lines]
