"""What can go wrong, by what a caller can do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._answer import Refusal


class ConcordatError(Exception):
    """Anything that this package raises by itself."""


class Refused(ConcordatError):
    """The policies do not let the query run. Nothing was touched, nothing was charged; refusals has every reason."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(str(r) for r in refusals))


class QueryFailed(ConcordatError):
    """The query was charged and gave nothing. Asking again is free; operators find the incident in their logs."""


class Unavailable(ConcordatError):
    """No coordinator answers, or none has a worker: ask again later."""


class TimedOut(ConcordatError, TimeoutError):
    """There was no answer in the time that was given. What a query reserved stays spent, and asking it again is free."""


class NotPinned(ConcordatError):
    """Whatever answers is not a coordinator of the mesh that was pinned."""


class CallFailed(ConcordatError):
    """A call was answered by an error; code is that of Connect, such as unauthenticated."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class NotVerified(ConcordatError):
    """A receipt does not hold; the text tells each check."""


class UploadFailed(ConcordatError):
    """An upload was not accepted; the text is what `concordat dataset upload` says."""


def call_failed(code: str, message: str) -> ConcordatError:
    """Make the error of a code of Connect."""
    if code == "unavailable":
        return Unavailable(message)
    if code == "deadline_exceeded":
        return TimedOut("no answer in time; asking the same again costs nothing more")
    return CallFailed(code, message)


# The driver writes "INVALID_ARGUMENT: [FlightSQL] message (InvalidArgument; ExecuteQuery). Vendor code: 3".
_WRAPPED = re.compile(
    r"^(?:(?P<code>[A-Z_]+): )?\[FlightSQL\] (?P<message>.*?)(?: \((?P<grpc>[A-Za-z]+); [A-Za-z]+(?:: [^)]*)?\))?(?:\. Vendor code: \d+)?$", re.DOTALL
)
_INNER = re.compile(r"^rpc error: code = \w+ desc = ")


def of_driver(text: str) -> tuple[str, str]:
    """Split what the driver says into a code of Connect and the server's own message."""
    found = _WRAPPED.match(text)
    if not found:
        return "unknown", text
    grpc = found["grpc"] or (found["code"] or "unknown").title().replace("_", "")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", grpc).lower(), _INNER.sub("", found["message"])
