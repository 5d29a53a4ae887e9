"""ElastiCache on one machine: a real Redis server with TLS whose users are those of terraform/modules/elasticache.

Redis knows passwords and no IAM, so the password of the features' user is the token that is signed at a moment that stands still.
"""

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlops_platform.adapters.feast.elasticache import IamTokens
from mlops_platform.local.ports import is_free

from ..support.ports import free_port
from ..support.waiting import until_started

MODULE = Path(__file__).parents[3] / "terraform" / "modules" / "elasticache" / "main.tf"
GROUP, USER, REGION = "mlops-test", "mlops-test-features", "us-east-1"
# of an account that does not exist; temporary ones, as pods have
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": "session/token+=",
}
SIGNED_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


@contextmanager
def signing_at(moment: datetime = SIGNED_AT, **credentials: str) -> Iterator[None]:
    """Sign with credentials of the environment (CREDENTIALS) and nothing else of this machine, at one moment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        nothing = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        for name, value in {**nothing, **(credentials or CREDENTIALS)}.items():
            patch.setenv(name, value)
        patch.setattr("botocore.auth.get_current_datetime", lambda: moment)
        yield


def token(moment: datetime = SIGNED_AT) -> str:
    with signing_at(moment):
        return IamTokens(USER, GROUP, REGION).get_credentials()[1]


class Server:
    """The server, seen by its administrator."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.online_store = (
            "  type: mlops_platform.adapters.feast.elasticache.ElastiCacheOnlineStore\n"
            f'  connection_string: "127.0.0.1:{port},ssl_ca_certs={certificate}"\n'
            f"  user: {USER}\n  replication_group: {GROUP}\n  region: {REGION}\n"
        )
        self._admin = redis.Redis(
            port=port, username="admin", password="admin", ssl=True, ssl_ca_certs=str(certificate), host="127.0.0.1"
        )

    def do(self, *command: str) -> Any:
        return self._admin.execute_command(*command)

    def accept(self, password: str) -> None:
        """Let the features' user sign in with this and nothing else."""
        assert self.do("ACL", "SETUSER", USER, "resetpass", f">{password}") in {"OK", b"OK", True}

    def drop_connections(self) -> int:
        return int(self.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))

    def connections_so_far(self) -> int:
        return int(self._admin.info("stats")["total_connections_received"])


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    port = free_port()
    pem = _certificate(folder)
    nobody, features = re.findall(r'access_string = "(.+)"', MODULE.read_text())
    (folder / "redis.conf").write_text(
        f'port 0\ntls-port {port}\nbind 127.0.0.1\nsave ""\ndir {folder}\ntls-auth-clients no\n'
        f"tls-cert-file {pem}\ntls-key-file {pem}\ntls-ca-cert-file {pem}\n"
        f"user default {nobody}\nuser {USER} {features}\nuser admin on >admin ~* &* +@all\n"
    )
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(["redis-server", str(folder / "redis.conf")], stdout=log, stderr=log)
    try:
        server = Server(port, pem)
        until_started(process, lambda: not is_free(port), folder / "redis.log")
        server.accept(token())
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=2))
        .not_valid_after(datetime.now(UTC) + timedelta(days=2))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = folder / "redis.pem"
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return pem
