"""Calls over TLS that trusts the pinned root alone, signed by a person's key: Connect over HTTP/1.1, in JSON."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import struct
from typing import TYPE_CHECKING, Any

from cryptography import x509

from ._errors import NotPinned, TimedOut, Unavailable, call_failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._key import Key

_MARBLE_TYPE = x509.ObjectIdentifier("1.3.9903.2.1")  # in it MarbleRun writes the type of a marble
_PACKAGE = "concordat.v1"
_END = 2  # flag of the last message of a stream
_LIMIT = 64 << 20  # of an answer, in bytes


def check_root(pem: str, pin: str) -> None:
    """Raise unless the SHA-256 of the certificate is the digest that was pinned."""
    have = "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()
    if have != pin:
        raise NotPinned(f"the root certificate is {have}, pinned is {pin}: this is another mesh")


class Channel:
    """Speaks to whichever coordinator is ready."""

    def __init__(self, addresses: Sequence[str], root: str, key: Key, *, ledger: str = "", timeout: float = 1000) -> None:
        self.addresses = list(addresses)
        self.key = key
        self.timeout = timeout
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trust.minimum_version = ssl.TLSVersion.TLSv1_3
        self._trust.check_hostname = False  # names prove nothing here: chain and marble type do
        self._trust.load_verify_locations(cadata=root)
        self.ledger = ledger or str(self.call("AdminService", "Status", {}, signed=False)["ledger"])

    def ready(self) -> int:
        """Give the index of a coordinator that can decide now."""
        last: Exception | None = None
        for i, address in enumerate(self.addresses):
            try:
                connection = self._open(address, timeout=5)
                try:
                    connection.request("GET", "/readyz")
                    if connection.getresponse().status == http.client.NO_CONTENT:
                        return i
                finally:
                    connection.close()
            except (OSError, http.client.HTTPException) as err:
                last = err
        raise Unavailable(f"no coordinator of {', '.join(self.addresses)} is ready" + (f": {last}" if last else ""))

    def call(self, service: str, method: str, message: dict[str, Any], *, signed: bool = True) -> dict[str, Any]:
        """Make a call with one answer."""
        status, body = self._post(service, method, json.dumps(message).encode(), "application/json", signed=signed)
        answer: dict[str, Any] = _object(body)
        if status != http.client.OK:
            raise call_failed(str(answer.get("code", "unknown")), str(answer.get("message", f"HTTP {status}")))
        return answer

    def stream(self, service: str, method: str, message: dict[str, Any], *, timeout: float | None = None) -> list[dict[str, Any]]:
        """Make a call whose answers stream, and give all of them."""
        raw = json.dumps(message).encode()
        status, body = self._post(service, method, struct.pack(">BI", 0, len(raw)) + raw, "application/connect+json", signed=True, timeout=timeout)
        if status != http.client.OK:
            answer = _object(body)
            raise call_failed(str(answer.get("code", "unknown")), str(answer.get("message", f"HTTP {status}")))
        return events_of(body)

    def _post(self, service: str, method: str, body: bytes, kind: str, *, signed: bool, timeout: float | None = None) -> tuple[int, bytes]:
        path = f"/{_PACKAGE}.{service}/{method}"
        headers = {"Content-Type": kind, "Connect-Protocol-Version": "1"}
        last: Exception | None = None
        for address in self.addresses:
            try:
                connection = self._open(address, timeout=timeout or self.timeout)
            except OSError as err:
                last = err
                continue
            try:
                if signed:
                    headers |= self.key.sign_request("POST", path, "", body, self.ledger)
                connection.request("POST", path, body=body, headers=headers)
                response = connection.getresponse()
                said = response.read(_LIMIT + 1)
                if len(said) > _LIMIT:
                    raise Unavailable(f"{address} answers with more than {_LIMIT} bytes")
                return response.status, said
            except TimeoutError as err:
                raise TimedOut(f"{address} does not answer in time") from err
            except (OSError, http.client.HTTPException) as err:
                last = err
            finally:
                connection.close()
        raise Unavailable(f"no coordinator of {', '.join(self.addresses)} answers: {last}") from last

    def _open(self, address: str, *, timeout: float) -> http.client.HTTPSConnection:
        """Connect, and check whom before anything is sent."""
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=timeout, context=self._trust)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as err:
            raise NotPinned(f"{address} shows no certificate under the pinned root: {err.verify_message}") from err
        shown = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
        if marble_type(shown or b"") != "coordinator":
            connection.close()
            raise NotPinned(f"{address} is no coordinator")
        return connection


def marble_type(certificate: bytes) -> str:
    """Read the type of a marble from its certificate, DER; empty for others."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_oid(_MARBLE_TYPE)
    except (ValueError, x509.ExtensionNotFound):
        return ""
    return extension.value.public_bytes().decode(errors="replace")


def events_of(body: bytes) -> list[dict[str, Any]]:
    """Read the messages of a stream, or raise the error at its end."""
    events: list[dict[str, Any]] = []
    at = 0
    while at + 5 <= len(body):
        flags, size = struct.unpack_from(">BI", body, at)
        message = _object(body[at + 5 : at + 5 + size])
        at += 5 + size
        if flags & _END:
            error = message.get("error")
            if error:
                raise call_failed(str(error.get("code", "unknown")), str(error.get("message", "")))
            return events
        events.append(message)
    raise Unavailable("the answer broke off")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"code": "unknown", "message": raw[:200].decode(errors="replace")}


def bytes_of(message: dict[str, Any], field: str) -> bytes:
    """Read a field of bytes."""
    return base64.b64decode(message.get(field, ""))
