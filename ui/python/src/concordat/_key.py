"""Keys of people: signed requests (protocol/SPEC.md, section 9) and login tokens (section 15)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from ._errors import ConcordatError

if TYPE_CHECKING:
    from typing import Self

_SEED = "ed25519-seed:"
_CONTEXT = "concordat.dev/request/v1"
_LOGIN_TYPE = "application/vnd.concordat.login+json"


@dataclass(frozen=True)
class Key:
    """An Ed25519 key that signs in a person's name."""

    private: Ed25519PrivateKey

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file of `concordat key new`, or an OpenSSH key of type ed25519 without passphrase, which nobody else may read."""
        file = Path(path)
        mode = stat.S_IMODE(file.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ConcordatError(f"{file} is readable by others (mode {mode:04o}): run chmod 600 {file}")
        raw = file.read_bytes()
        for line in raw.decode(errors="replace").splitlines():
            if line.startswith(_SEED):
                return cls.from_seed(base64.b64decode(line.removeprefix(_SEED), validate=True))
        private = load_ssh_private_key(raw, None) if raw.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----") else None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConcordatError(f"{file} holds no Ed25519 key: make one with `concordat key new`")
        return cls(private)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the key of a seed of 32 bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> str:
        """The public key as manifests name it: "ed25519:…"."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return "ed25519:" + base64.b64encode(raw).decode()

    def sign_request(
        self, method: str, path: str, query: str, body: bytes, ledger: str, *, millis: int | None = None, nonce: str | None = None
    ) -> dict[str, str]:
        """Give the headers of a signed request. Path is escaped, query raw, both as they are sent."""
        millis = time.time_ns() // 1_000_000 if millis is None else millis
        nonce = secrets.token_hex(16) if nonce is None else nonce
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        message = request_message(method, path, query, digest, ledger, millis, nonce)
        return {
            "Concordat-Key": self.public,
            "Concordat-Time": str(millis),
            "Concordat-Nonce": nonce,
            "Concordat-Digest": digest,
            "Concordat-Audience": ledger,
            "Concordat-Signature": base64.b64encode(self.private.sign(message)).decode(),
        }

    def login(self, ledger: str, life: timedelta, *, now: datetime | None = None, nonce: str | None = None) -> str:
        """Make a login token, which asks queries in the person's name until it expires, at most a day later."""
        issued = (datetime.now(UTC) if now is None else now).astimezone(UTC).replace(microsecond=0)
        payload = _canonical(
            {
                "audience": "query",
                "expires": _rfc3339(issued + life),
                "issued": _rfc3339(issued),
                "ledger": ledger,
                "nonce": secrets.token_hex(16) if nonce is None else nonce,
                "type": "concordat.dev/login/v1",
            }
        )
        envelope = _canonical(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": _LOGIN_TYPE,
                "signatures": [{"keyid": self.public, "sig": base64.b64encode(self.private.sign(_pae(_LOGIN_TYPE, payload))).decode()}],
            }
        )
        return "concordat1." + base64.urlsafe_b64encode(envelope).decode().rstrip("=")


def request_message(method: str, path: str, query: str, digest: str, ledger: str, millis: int, nonce: str) -> bytes:
    """Give the bytes that are signed for a request."""
    lines = [_CONTEXT, method, path, query, digest, ledger, str(millis), nonce]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a line break in a request")
    return ("\n".join(lines) + "\n").encode()


def _pae(payload_type: str, payload: bytes) -> bytes:
    """Give DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _canonical(value: dict[str, object]) -> bytes:
    """Write JSON canonically (RFC 8785), which for text alone is sorted and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
