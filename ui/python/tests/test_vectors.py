"""The formats that Go, TypeScript and Python read alike (protocol/testdata)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from concordat import ConcordatError, Refused, TimedOut, UploadFailed
from concordat._answer import explanation_of, refusals_of
from concordat._channel import events_of
from concordat._dataset import dataset_of
from concordat._errors import CallFailed, Unavailable, call_failed, of_driver
from concordat._key import Key, request_message
from concordat._program import run

VECTORS = Path(__file__).parents[3] / "protocol" / "testdata"


def test_requests() -> None:
    """Headers and message of each signed request are those of the vectors."""
    vectors = json.loads((VECTORS / "request.json").read_text())
    assert len(vectors) >= 3
    for v in vectors:
        key, url, want = Key.from_seed(base64.b64decode(v["seed"])), urlsplit(v["url"]), v["headers"]
        millis, nonce, ledger = int(want["Concordat-Time"]), want["Concordat-Nonce"], want["Concordat-Audience"]
        got = key.sign_request(v["method"], url.path, url.query, v["body"].encode(), ledger, millis=millis, nonce=nonce)
        assert got == want
        assert request_message(v["method"], url.path, url.query, want["Concordat-Digest"], ledger, millis, nonce).decode() == v["message"]


def test_logins() -> None:
    """A token has the bytes of the vectors."""
    vectors = json.loads((VECTORS / "login.json").read_text())
    said = 0
    for v in vectors:
        login = json.loads(v["payload"])
        if login["audience"] != "query":
            continue
        said += 1
        issued = datetime.fromisoformat(login["issued"])
        life = datetime.fromisoformat(login["expires"]) - issued
        key = Key.from_seed(base64.b64decode(v["seed"]))
        assert key.login(login["ledger"], life, now=issued.astimezone(UTC), nonce=login["nonce"]) == v["token"]
    assert said >= 5


def test_a_token_is_never_made_twice() -> None:
    """Each token has a nonce of its own."""
    key = Key.from_seed(bytes(32))
    assert key.login("00", timedelta(minutes=1)) != key.login("00", timedelta(minutes=1))


def test_line_breaks_are_not_signed() -> None:
    """A line break would let one request be read as another."""
    with pytest.raises(ValueError, match="line break"):
        Key.from_seed(bytes(32)).sign_request("GET", "/a\n", "", b"", "00")


def test_key_files(tmp_path: Path) -> None:
    """A key file is read, unless others may read it or it holds no key."""
    file = tmp_path / "ana.key"
    file.write_text("# public: x\ned25519-seed:" + base64.b64encode(bytes([1]) * 32).decode() + "\n")
    file.chmod(0o600)
    assert Key.load(file).public == "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="
    file.chmod(0o644)
    with pytest.raises(ConcordatError, match="chmod 600"):
        Key.load(file)
    file.chmod(0o600)
    file.write_text("nothing")
    with pytest.raises(ConcordatError, match="no Ed25519 key"):
        Key.load(file)


def test_refusals() -> None:
    """What the driver says of a refusal becomes its reasons."""
    text = (
        "INVALID_ARGUMENT: [FlightSQL] refused\nidentifier_use (clinic.patients.id): An identifier is never in an output. Count it.\n"
        "not_aggregated: Rows (of units) are never released. Aggregate.\n(a remark) (InvalidArgument; ExecuteQuery)"
    )
    code, message = of_driver(text)
    assert code == "invalid_argument"
    reasons = refusals_of(message)
    assert reasons is not None
    assert [(r.code, r.where) for r in reasons] == [("identifier_use", "clinic.patients.id"), ("not_aggregated", "")]
    assert reasons[1].text == "Rows (of units) are never released. Aggregate."
    assert str(Refused(reasons)).startswith("identifier_use (clinic.patients.id): An identifier")
    assert refusals_of("the login token has expired") is None
    newer = text + ". Vendor code: 3"
    assert of_driver(newer) == of_driver(text)


def test_timeouts() -> None:
    """What the driver says of a time that is over becomes TimedOut."""
    for text in (
        "TIMEOUT: [FlightSQL] context deadline exceeded (DeadlineExceeded; DoGet: endpoint 0: remote: []). Vendor code: 4",
        "TIMEOUT: [FlightSQL] stream terminated by RST_STREAM with error code: CANCEL (DeadlineExceeded; DoGet: endpoint 0: remote: [])",
    ):
        assert isinstance(call_failed(*of_driver(text)), TimedOut)


def test_program(tmp_path: Path) -> None:
    """The binary's progress is handed on; the rest of what it says is raised where it fails."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho out\necho "progress 1 2" >&2\necho "said $CONCORDAT_PROGRESS" >&2\necho "progress 2 2" >&2\nexit "$1"\n')
    program.chmod(0o700)
    told: list[tuple[int, int]] = []
    assert run([str(program), "0"], UploadFailed, lambda done, total: told.append((done, total))) == "out\n"
    assert told == [(1, 2), (2, 2)]
    with pytest.raises(UploadFailed, match=r"^out\nsaid lines$"):
        run([str(program), "3"], UploadFailed, lambda *_: None)
    with pytest.raises(ConcordatError, match="is not there"):
        run([str(tmp_path / "none")], UploadFailed)


def test_datasets() -> None:
    """The metadata of a listed table is read as what its policy says."""
    said = {"concordat.role": "measure", "concordat.bounds": "[18, 100]", "concordat.grain": "5", "ARROW:FLIGHT:SQL:TYPE_NAME": "INTEGER"}
    fields = [pa.field("age", pa.int64(), metadata=said), pa.field("male", pa.int64(), metadata={"concordat.role": "dimension", "concordat.domain": "[0, 1]"})]
    d = dataset_of("clinic", "patients", pa.schema(fields, metadata={"concordat.owner": "clinic"}))
    age, male = d.columns
    assert (d.name, d.owner) == ("clinic.patients", "clinic")
    assert (age.type, age.role, age.bounds, age.grain, age.domain) == ("integer", "measure", (18.0, 100.0), "5", None)
    assert (male.role, male.bounds, male.domain) == ("dimension", None, [0, 1])


def test_answers() -> None:
    """Explanations are read from the answers of the vectors; refused ones raise every reason."""
    answers = [v.get("answer", v) for v in json.loads((VECTORS / "answer.json").read_text()) if isinstance(v, dict)]
    released = refused = 0
    for a in answers:
        if isinstance(a, str):
            a = json.loads(a)
        if a["verdict"] == "released":
            released += 1
            assert [c.name for c in explanation_of(a).columns] == [c["name"] for c in a["columns"]]
        elif a["verdict"] == "refused":
            refused += 1
            with pytest.raises(Refused) as raised:
                explanation_of(a)
            assert [r.code for r in raised.value.refusals] == [r["code"] for r in a["refusals"]]
    assert released > 0
    assert refused > 0


def test_streams() -> None:
    """A stream ends by its last message, by an error, or breaks off."""

    def message(flags: int, text: str) -> bytes:
        return bytes([flags]) + len(text).to_bytes(4, "big") + text.encode()

    assert events_of(message(0, '{"phase":"analyse"}') + message(2, "{}")) == [{"phase": "analyse"}]
    with pytest.raises(Unavailable, match="busy"):
        events_of(message(2, '{"error":{"code":"unavailable","message":"busy"}}'))
    with pytest.raises(CallFailed, match="invalid_argument"):
        events_of(message(2, '{"error":{"code":"invalid_argument","message":"no"}}'))
    with pytest.raises(Unavailable, match="broke off"):
        events_of(message(0, "{}"))
