"""Datasets as the catalog of Flight SQL lists them: what each column may be used for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DatasetColumn:
    """A column with its role in the policy: identifier, dimension, measure, time or hidden.

    namespace is that of an identifier; bounds and grain are those of a measure, grain also that of a time ("month"); domain has the values that a dimension
    may take, as a list, or {"from": 0, "to": 100}.
    """

    name: str
    type: str
    role: str
    namespace: str
    bounds: tuple[float, float] | None
    grain: str
    domain: Any


@dataclass(frozen=True)
class Dataset:
    """A dataset under the name that queries have for it."""

    name: str
    owner: str
    joins: str
    columns: tuple[DatasetColumn, ...]


def dataset_of(schema: str, table: str, columns: pa.Schema) -> Dataset:
    """Read what the metadata of a listed table says."""
    said = _texts(columns.metadata)
    return Dataset(
        name=f"{schema}.{table}" if schema else table,
        owner=said.get("concordat.owner", ""),
        joins=said.get("concordat.joins", ""),
        columns=tuple(_column(field.name, _texts(field.metadata)) for field in columns),
    )


def _column(name: str, said: dict[str, str]) -> DatasetColumn:
    bounds = json.loads(said["concordat.bounds"]) if "concordat.bounds" in said else None
    return DatasetColumn(
        name=name,
        type=said.get("ARROW:FLIGHT:SQL:TYPE_NAME", "").lower(),
        role=said.get("concordat.role", ""),
        namespace=said.get("concordat.namespace", ""),
        bounds=(float(bounds[0]), float(bounds[1])) if bounds else None,
        grain=said.get("concordat.grain", ""),
        domain=json.loads(said["concordat.domain"]) if "concordat.domain" in said else None,
    )


def _texts(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in (metadata or {}).items()}
