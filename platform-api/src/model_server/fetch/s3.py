"""Reading one object of S3 with a pod's own identity, and nothing else: no library of AWS's lies in the image of models.

Signature Version 4 of a GET without a body; the tests hold it against botocore's. Credentials are those EKS Pod Identity gives
(AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE), else AWS_ACCESS_KEY_ID and its companions.
"""

import hashlib
import hmac
import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

_EMPTY = hashlib.sha256(b"").hexdigest()
_ALGORITHM, _SERVICE, _END = "AWS4-HMAC-SHA256", "s3", "aws4_request"
_TIMEOUT_SECONDS, _LONGEST, _PIECE = 10.0, 8 << 20, 1 << 20
_OK = 200
# asked for again before they end
_EARLY = timedelta(minutes=5)


class NotRead(Exception):
    """S3, or whoever gives credentials, did not answer as it must; the sentence says what it said."""


@dataclass(frozen=True)
class Credentials:
    """What a request is signed with."""

    key: str
    secret: str
    token: str | None = None
    until: datetime | None = None


class Reader:
    """Reads objects. Credentials are kept until shortly before they end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._endpoint = environment.get("MODEL_SERVER_S3_ENDPOINT_URL")
        self._credentials: Credentials | None = None

    def read(self, address: str) -> bytes:
        """Return the object at s3://bucket/key, of at most 8 MiB. Raises NotRead."""
        content = io.BytesIO()
        self.download(address, content, _LONGEST)
        return content.getvalue()

    def download(self, address: str, into: IO[bytes], longest: int) -> None:
        """Write the object at s3://bucket/key into a file, piece by piece. Raises NotRead, and OSError of the file."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        host = self._endpoint or f"https://{bucket}.s3.{self._region}.amazonaws.com"
        path = quote(f"/{bucket}/{key}" if self._endpoint else f"/{key}", safe="/-_.~")
        at = datetime.now(UTC)
        headers = signed(urlsplit(host).netloc, path, self._region, self._fresh(at), at)
        _get(f"{host}{path}", headers, into, longest)

    def _fresh(self, at: datetime) -> Credentials:
        known = self._credentials
        if known is None or (known.until is not None and at >= known.until - _EARLY):
            known = self._credentials = _credentials(self._environment)
        return known


def signed(host: str, path: str, region: str, credentials: Credentials, at: datetime) -> dict[str, str]:
    """Return the headers of a signed GET of an encoded path."""
    stamp = f"{at:%Y%m%dT%H%M%SZ}"
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{path}\n\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{stamp[:8]}/{region}/{_SERVICE}/{_END}"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (stamp[:8], region, _SERVICE, _END):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"{_ALGORITHM} Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


def _credentials(environment: Mapping[str, str]) -> Credentials:
    address = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    try:
        if address is None:
            return Credentials(
                environment["AWS_ACCESS_KEY_ID"],
                environment["AWS_SECRET_ACCESS_KEY"],
                environment.get("AWS_SESSION_TOKEN"),
            )
        token = Path(environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text().strip()
        content = io.BytesIO()
        _get(address, {"authorization": token}, content, _LONGEST)
        said = json.loads(content.getvalue())
        until = datetime.fromisoformat(said["Expiration"])
        return Credentials(said["AccessKeyId"], said["SecretAccessKey"], said["Token"], until)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise NotRead(f"this pod has no credentials: {type(error).__name__}") from error


def _get(address: str, headers: Mapping[str, str], into: IO[bytes], longest: int) -> None:
    """Ask once, following nothing. Raises NotRead."""
    url = urlsplit(address)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        answer = _asked(connection, url.path, headers)
        if answer.status != _OK:
            raise NotRead(f"{url.netloc} answers {answer.status} for {url.path}")
        wanted, read = answer.length, 0
        while piece := _piece(answer, url.netloc):
            read += len(piece)
            if read > longest:
                raise NotRead(f"{url.path} is longer than {longest:,} bytes")
            into.write(piece)
        if wanted is not None and read != wanted:
            raise NotRead(f"{url.netloc} ended {url.path} after {read:,} of {wanted:,} bytes")
    finally:
        connection.close()


def _asked(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise NotRead(f"{connection.host} does not answer: {type(error).__name__}") from error


def _piece(answer: http.client.HTTPResponse, host: str) -> bytes:
    try:
        return answer.read(_PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise NotRead(f"{host} stopped answering: {type(error).__name__}") from error
