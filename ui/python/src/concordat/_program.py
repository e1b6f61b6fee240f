"""The binary `concordat`, which verifies receipts and encrypts uploads."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from typing import TYPE_CHECKING

from ._errors import ConcordatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PROGRESS = re.compile(r"^progress (\d+) (\d+)$")


def run(args: list[str], failed: type[ConcordatError], progress: Callable[[int, int], None] | None = None) -> str:
    """Run the binary and give its standard output, or raise failed with all that it said. progress is told of the bytes of an upload."""
    lines = {**os.environ, "CONCORDAT_PROGRESS": "lines" if progress else ""}
    with tempfile.TemporaryFile("w+") as out:
        try:
            ran = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, env=lines)  # noqa: S603 - our own program
        except FileNotFoundError as err:
            raise ConcordatError(f"{args[0]} is not there: name the binary as program") from err
        with ran:
            try:
                said = _said(ran.stderr or [], progress)
            except BaseException:
                ran.terminate()
                raise
        out.seek(0)
        text = out.read()
    if ran.returncode != 0:
        raise failed((text + said).strip())
    return text


def _said(lines: Iterable[str], progress: Callable[[int, int], None] | None) -> str:
    """Hand on what the binary tells of its progress, and give the rest."""
    said = ""
    for line in lines:
        if progress and (found := _PROGRESS.match(line)):
            progress(int(found[1]), int(found[2]))
        else:
            said += line
    return said
