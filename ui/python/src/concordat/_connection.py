"""A connection in the name of one person, to one collaboration."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from concurrent import futures
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager

from ._answer import Explanation, Release, explanation_of, refusals_of, release_of
from ._channel import Channel, bytes_of, check_root
from ._dataset import Dataset, dataset_of
from ._errors import ConcordatError, NotVerified, QueryFailed, Refused, UploadFailed, call_failed, of_driver
from ._key import Key
from ._program import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    import pyarrow as pa

_LIFE = timedelta(minutes=15)  # of the login token that one query uses


def connect(
    home: str | os.PathLike[str] | None = None,
    *,
    address: str | Sequence[str] | None = None,
    flight: str | Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    pin: str | None = None,
    key: str | os.PathLike[str] | None = None,
    collaboration: str | None = None,
    program: str = "concordat",
) -> Connection:
    """Connect to a mesh.

    home is a folder of `concordat up`, which knows addresses and pin. Elsewhere address and flight name each coordinator's API and Flight SQL, in the same
    order, root is the file of the root certificate, and pin its digest "sha256:…" as manifests have it. key is a person's key file, by default the only
    one in home/keys. collaboration is needed where the mesh has several. program is the binary `concordat`, for verify and upload.
    """
    addresses, flights = _list(address), _list(flight)
    ledger, certificate = "", Path(root) if root else None
    if home is not None:
        mesh = json.loads(_read(Path(home) / "mesh.json", "the home of a mesh has it"))
        ledger, pin = mesh["ledger"], pin or mesh["root_certificate"]
        certificate = certificate or Path(home) / "root.pem"
        addresses = addresses or [c["api"] for c in mesh["coordinators"]]
        flights = flights or [c.get("flight", "") for c in mesh["coordinators"]]
    if not addresses or len(addresses) != len(flights) or certificate is None or not pin:
        raise ConcordatError("connect: name a home, or as many flight as address, and root and pin")
    pem = _read(certificate, "it is the certificate of the mesh's root")
    check_root(pem, pin)
    file = Path(key) if key else _only_key(home)
    if not file.is_file():
        raise ConcordatError(f"connect: there is no key {file}: make one with `concordat key new`")
    channel = Channel(addresses, pem, Key.load(file), ledger=ledger)
    where = ["--home", str(home)] if home is not None else [*(f for a in addresses for f in ("--coordinator", a)), "--root", pin]
    return Connection(channel, flights, pem, collaboration, [program], [*where, "--key", str(file)])


def _list(one_or_more: str | Sequence[str] | None) -> list[str]:
    if one_or_more is None:
        return []
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _only_key(home: str | os.PathLike[str] | None) -> Path:
    found = sorted((Path(home) / "keys").glob("*.key")) if home is not None else []
    if len(found) != 1:
        raise ConcordatError(f"connect: name a key, of these in the home: [{', '.join(f.name for f in found)}]")
    return found[0]


def _read(file: Path, why: str) -> str:
    try:
        return file.read_text()
    except OSError as err:
        raise ConcordatError(f"connect: {file} cannot be read ({err.strerror}): {why}") from err


class Connection:
    """Asks in a person's name. Nothing stays open between calls, so that closing it is a matter of taste: it can stand in a with statement."""

    def __init__(self, channel: Channel, flights: Sequence[str], root: str, collaboration: str | None, program: list[str], where: list[str]) -> None:
        self._channel, self._flights, self._root = channel, list(flights), root
        self._program, self._where = program, where
        self.collaboration = collaboration or self._only_collaboration()

    def __repr__(self) -> str:
        return f"<concordat.Connection to {self.collaboration} at {', '.join(self._channel.addresses)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def datasets(self) -> list[Dataset]:
        """List the datasets of the collaboration with what their policies let each column be used for."""
        with self._flight() as opened:
            listed = opened.adbc_get_objects(depth="tables", catalog_filter=self.collaboration).read_all().to_pylist()
            return [
                dataset_of(
                    schema["db_schema_name"],
                    table["table_name"],
                    opened.adbc_get_table_schema(table["table_name"], catalog_filter=self.collaboration, db_schema_filter=schema["db_schema_name"]),
                )
                for catalog in listed
                for schema in catalog["catalog_db_schemas"]
                for table in schema["db_schema_tables"]
            ]

    def query(self, sql: str, *, intervals: bool = True, timeout: float | None = None) -> Release:
        """Run one SELECT and give its release; with intervals, NAME_low and NAME_high stand beside each aggregate.

        The same question gives the same release and costs nothing again. Raises Refused with every reason, and TimedOut after timeout seconds. An
        interrupt (Ctrl-C) gives up the answer. What was reserved stays spent in both cases.
        """
        table = self._execute(sql, intervals=intervals, timeout=timeout)
        release = release_of(table)
        if not release.receipt and release.receipt_id:  # it was too large to come along
            release = dataclasses.replace(release, receipt=self.receipt(release.receipt_id))
        return release

    def explain(self, sql: str, *, timeout: float | None = None) -> Explanation:
        """Say what a query would give and cost, without touching data. Raises Refused with every reason."""
        events = self._channel.stream("AnalystService", "Query", self._about({"sql": sql, "explain": True}), timeout=timeout)
        return explanation_of(json.loads(bytes_of(events[-1], "answer")))

    def history(self, *, limit: int = 100, **fields: str | bool) -> list[dict[str, Any]]:
        """List the queries that the person may see, newest first.

        Fields narrow it down: person, dataset, since, until, text, and audit=True for refused ones too (HistoryRequest).
        """
        answer = self._channel.call("AnalystService", "History", self._about({"limit": limit, **fields}))
        return cast("list[dict[str, Any]]", json.loads(bytes_of(answer, "entries") or b"[]"))

    def budget(self) -> list[dict[str, Any]]:
        """List what each owner's budget has spent and has left (BudgetResponse)."""
        answer = self._channel.call("AnalystService", "Budget", self._about({}))
        return cast("list[dict[str, Any]]", json.loads(bytes_of(answer, "budgets") or b"[]"))

    def receipt(self, receipt_id: str) -> str:
        """Fetch a receipt."""
        answer = self._channel.call("AuditorService", "Receipt", self._about({"id": receipt_id}))
        return bytes_of(answer, "receipt").decode()

    def verify(self, receipt: str | Release, *, manifest: str | os.PathLike[str] | None = None, digest: str | None = None) -> str:
        """Verify a receipt offline through the binary, and give what it says of each check. Raises NotVerified.

        All rests on the manifest: its folder, or its digest; by default the one that was signed from the home.
        """
        text = receipt.receipt if isinstance(receipt, Release) else receipt
        trusted = ["--manifest", str(manifest)] if manifest else ["--digest", digest] if digest else []
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "receipt.json"
            file.write_text(text)
            return self._run(["receipt", "verify", str(file), *trusted], NotVerified)

    def upload(
        self,
        dataset: str,
        files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *flags: str,
        progress: Callable[[int, int], None] | None = None,
    ) -> str:
        """Upload files as a dataset's next version through the binary, which encrypts them to the workers. Raises UploadFailed.

        The key of the connection has to be a steward's. flags are those of `concordat dataset upload`, such as "--tolerate", "0.1%". progress is told
        the bytes that are there and all bytes, at most ten times a second. What an interrupt left is resumed by the same call.
        """
        all_files = [files] if isinstance(files, str | os.PathLike) else list(files)
        return self._run(["dataset", "upload", dataset, *map(str, all_files), *flags], UploadFailed, progress)

    def _run(self, command: list[str], failed: type[ConcordatError], progress: Callable[[int, int], None] | None = None) -> str:
        return run([*self._program, *command, *self._where, "--collaboration", self.collaboration], failed, progress)

    def _about(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"collaboration": self.collaboration, **fields}

    def _only_collaboration(self) -> str:
        known = self._channel.call("AdminService", "Status", {}, signed=False).get("collaborations", [])
        if len(known) != 1:
            raise ConcordatError(f"connect: name a collaboration, one of {known}")
        return str(known[0])

    def _execute(self, sql: str, *, intervals: bool, timeout: float | None) -> pa.Table:
        with self._flight(intervals=intervals, timeout=timeout) as opened, opened.cursor() as cursor:

            def ask() -> pa.Table:
                cursor.execute(sql)
                return cursor.fetch_arrow_table()

            return _interruptible(ask, cursor.adbc_cancel)

    @contextlib.contextmanager
    def _flight(self, *, intervals: bool = False, timeout: float | None = None) -> Iterator[Any]:
        """Open Flight SQL to a coordinator that is ready; what the driver raises is raised as an error of this package."""
        address = self._flights[self._channel.ready()]
        if not address:
            raise ConcordatError("the coordinator does not serve Flight SQL: its configuration has no listen.flight")
        options = adbc_driver_flightsql.DatabaseOptions
        header = options.RPC_CALL_HEADER_PREFIX.value
        settings = {
            options.AUTHORIZATION_HEADER.value: "Bearer " + self._channel.key.login(self._channel.ledger, _LIFE),
            options.TLS_ROOT_CERTS.value: self._root,
            options.TLS_OVERRIDE_HOSTNAME.value: "localhost",  # in every marble's certificate: which one it is, its chain proves
            header + "concordat-collaboration": self.collaboration,
            header + "concordat-intervals": "true" if intervals else "false",
        }
        if timeout is not None:
            settings |= dict.fromkeys((options.TIMEOUT_QUERY.value, options.TIMEOUT_FETCH.value, options.TIMEOUT_UPDATE.value), str(timeout))
        try:
            with adbc_driver_flightsql.dbapi.connect("grpc+tls://" + address, db_kwargs=settings, autocommit=True) as opened:
                yield opened
        except adbc_driver_manager.Error as err:
            raise _error_of(str(err)) from err


def _interruptible(work: Callable[[], pa.Table], cancel: Callable[[], None]) -> pa.Table:
    """Do work in a thread of its own, so that an interrupt (Ctrl-C) in this one ends it: left to the driver, it becomes an error, or is lost."""
    with futures.ThreadPoolExecutor(max_workers=1) as threads:
        running = threads.submit(work)
        try:
            return running.result()
        except KeyboardInterrupt:
            while not running.done():  # not once: the work may be between two calls of the driver
                with contextlib.suppress(adbc_driver_manager.Error):
                    cancel()
                futures.wait([running], timeout=0.1)
            raise


def _error_of(text: str) -> ConcordatError:
    code, message = of_driver(text)
    refusals = refusals_of(message)
    if refusals is not None:
        return Refused(refusals)
    if "(incident " in message:
        return QueryFailed(message)
    return call_failed(code, message)
