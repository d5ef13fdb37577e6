"""Protobuf's wire format: a message is a sequence of fields, each a tag and what it holds.

A tag is a varint, ``number << 3 | wire type`` (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_MOST_SHIFT = 70  # a varint has ten bytes at most


class Broken(ValueError):
    """What is no sequence of protobuf fields; ``cut`` where it is one that the data ends in the middle of."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.cut = cut


def field_at(data: bytes | memoryview, at: int) -> tuple[int, int, int, int]:
    """Number and wire type of the field at ``at``, where its content begins, where it ends (perhaps beyond).

    Raises :class:`Broken`.
    """
    tag, at = varint(data, at)
    number, wire = tag >> 3, tag & 7
    if not number:
        raise Broken(cut=False)
    if wire == LENGTH:
        length, at = varint(data, at)
        return number, wire, at, at + length
    if wire == VARINT:
        return number, wire, at, varint(data, at)[1]
    if wire in (FIXED64, FIXED32):
        return number, wire, at, at + (8 if wire == FIXED64 else 4)
    raise Broken(cut=False)  # groups, which ONNX has none of


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at ``at``, and where it ends.  Raises :class:`Broken`."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= _MOST_SHIFT:
            raise Broken(cut=False)
    raise Broken(cut=True)


def length_delimited(number: int, contents: bytes) -> bytes:
    """A field that holds bytes or a message."""
    header, size = bytearray([number << 3 | LENGTH]), len(contents)
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(header) + bytes([size]) + contents
