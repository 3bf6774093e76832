"""What can be wrong with a file, and where: wrong encoding, cut characters, refused access."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from connectors.errors import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    IncompleteExport,
    PermissionDenied,
)

CHUNK = 1 << 16
BYTE_ORDER_MARK = "\ufeff"
# The marks of UTF-32 begin with those of UTF-16: longest first.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def unreadable(name: str, error: OSError) -> ConnectorError:
    """The error for a file that the operating system does not give."""
    if isinstance(error, PermissionError):
        return PermissionDenied(f"{name} may not be read by this account; give it the right to read the file")
    return ConnectionFailed(f"{name} cannot be read: {error.strerror or type(error).__name__}")


def encoding_error(path: Path, encoding: str) -> ConnectorError:
    """The error for a file that is not in its encoding, with the line of the first wrong byte."""
    line, cut = first_wrong_line(path, encoding)
    if cut:
        return IncompleteExport(f"{path.name} ends in the middle of a character at line {line}: the file was cut")
    with path.open("rb") as stream:
        start = stream.read(4)
    hint = next((f"; its byte order mark says {name}" for mark, name in MARKS if start.startswith(mark)), "")
    return ConfigurationError(f"{path.name}, line {line}: not {encoding}{hint}; set 'encoding' to that of the file")


def first_wrong_line(path: Path, encoding: str) -> tuple[int, bool]:
    """The line (from 1) of the first byte that is not in the encoding, and whether the file just ends there."""
    # The newline decoder makes one line feed of every line end, also across chunks.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    line = 1
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            state = decoder.getstate()
            try:
                line += decoder.decode(chunk).count("\n")
            except UnicodeError:
                decoder.setstate(state)
                return line + lines_before_wrong_byte(decoder, chunk), False
    return line, True


def lines_before_wrong_byte(decoder: io.IncrementalNewlineDecoder, chunk: bytes) -> int:
    """Line ends in a chunk before its first wrong byte, found byte by byte."""
    lines = 0
    for position in range(len(chunk)):
        try:
            lines += decoder.decode(chunk[position : position + 1]).count("\n")
        except UnicodeError:
            break
    return lines
