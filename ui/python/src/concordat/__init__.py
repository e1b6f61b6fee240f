"""Ask a Concordat mesh: aggregates as Arrow tables, each with its price and a receipt that anyone can verify offline."""

from ._answer import Column, Explanation, Price, Refusal, Release
from ._connection import Connection, connect
from ._dataset import Dataset, DatasetColumn
from ._errors import CallFailed, ConcordatError, NotPinned, NotVerified, QueryFailed, Refused, TimedOut, Unavailable, UploadFailed

__all__ = [
    "CallFailed",
    "Column",
    "ConcordatError",
    "Connection",
    "Dataset",
    "DatasetColumn",
    "Explanation",
    "NotPinned",
    "NotVerified",
    "Price",
    "QueryFailed",
    "Refusal",
    "Refused",
    "Release",
    "TimedOut",
    "Unavailable",
    "UploadFailed",
    "connect",
]
