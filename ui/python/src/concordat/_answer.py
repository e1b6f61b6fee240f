"""What a query gives: a release or an explanation, or the reasons why not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._errors import QueryFailed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


@dataclass(frozen=True)
class Refusal:
    """One reason why a query may not run. Where is "dataset.column", "dataset", or empty; text says why, and what to do."""

    code: str
    where: str
    text: str

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        return f"{self.code}{where}: {self.text}"


@dataclass(frozen=True)
class Price:
    """What one owner's budget pays. None where it does not apply: differential privacy counts rho, a threshold counts queries."""

    owner: str
    namespace: str
    rho: float
    remaining_rho: float | None
    epsilon_spent: float | None
    queries: int
    remaining_queries: int | None


@dataclass(frozen=True)
class Column:
    """A column that a query would have. Kind is key, aggregate or derived; expected is the 95 % interval around the truth, if one can be told."""

    name: str
    type: str
    kind: str
    expected: tuple[float, float] | None


@dataclass(frozen=True)
class Explanation:
    """What a query would give and cost; nothing was touched or charged."""

    columns: tuple[Column, ...]
    price: tuple[Price, ...]
    mechanism: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """Released rows, with what they cost and the proof that they were released under the signed policies.

    table is a pyarrow.Table; a release itself can be given to whatever takes Arrow streams, such as polars.DataFrame. receipt is the text that
    `concordat receipt verify` reads.
    """

    table: pa.Table
    receipt: str = field(repr=False)
    receipt_id: str
    price: tuple[Price, ...]
    mechanism: str
    notes: tuple[str, ...]
    withheld_possible: bool

    def to_pandas(self) -> Any:
        """Give the rows as a pandas.DataFrame."""
        return self.table.to_pandas()

    def to_polars(self) -> Any:
        """Give the rows as a polars.DataFrame."""
        import polars

        return polars.DataFrame(self.table)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def release_of(table: pa.Table) -> Release:
    """Read what the metadata of a released schema says. The receipt is empty where it was too large to come along."""
    said = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    return Release(
        table=table,
        receipt=said.get("concordat.receipt_json", ""),
        receipt_id=said.get("concordat.receipt", ""),
        price=prices_of(json.loads(said.get("concordat.price", "[]"))),
        mechanism=said.get("concordat.mechanism", ""),
        notes=tuple(n for n in said.get("concordat.notes", "").split("\n") if n),
        withheld_possible=said.get("concordat.withheld_possible") == "true",
    )


def explanation_of(answer: Mapping[str, Any]) -> Explanation:
    """Read the answer of an explained query (protocol/answer), or raise why there is none."""
    if answer["verdict"] == "failed":
        failure = answer["failure"]
        raise QueryFailed(f"{failure['message']} (incident {failure['incident']})")
    if answer["verdict"] == "refused":
        raise Refused([_refusal(r) for r in answer["refusals"]])
    expected = answer.get("expected_intervals") or [None] * len(answer["columns"])
    return Explanation(
        columns=tuple(
            Column(c["name"], c["type"], c["kind"], (float(e[0]), float(e[1])) if e else None) for c, e in zip(answer["columns"], expected, strict=True)
        ),
        price=prices_of(answer["price"]),
        mechanism=answer["mechanism"],
        notes=tuple(answer["notes"]),
    )


def _refusal(r: Mapping[str, Any]) -> Refusal:
    where = ".".join(part for part in (r["dataset"], r["column"]) if part)
    return Refusal(r["code"], where, f"{r['message']} {r['suggestion']}".strip())


def prices_of(listed: list[Mapping[str, Any]] | None) -> tuple[Price, ...]:
    """Read a list of prices (protocol/answer)."""
    return tuple(
        Price(
            owner=p["owner"],
            namespace=p["namespace"],
            rho=float(p["rho"]),
            remaining_rho=p.get("remaining_rho"),
            epsilon_spent=p.get("epsilon_spent"),
            queries=int(p.get("queries", 0)),
            remaining_queries=p.get("remaining_queries"),
        )
        for p in listed or []
    )


_REASON = re.compile(r"^(?P<code>[a-z_]+)(?: \((?P<where>[^)]*)\))?: (?P<text>.*)$")


def refusals_of(message: str) -> list[Refusal] | None:
    """Read a refusal of Flight SQL: "refused", then a line for each reason (docs/CLIENTS.md). None where the message is of something else."""
    first, *lines = message.split("\n")
    if first.strip() != "refused":
        return None
    return [Refusal(m["code"], m["where"] or "", m["text"]) for m in map(_REASON.match, lines) if m]
