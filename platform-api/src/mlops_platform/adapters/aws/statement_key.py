"""The key that signs statements, in AWS KMS: nobody ever has it, and every use is in CloudTrail."""

from functools import cached_property
from hashlib import sha256

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.adapters.aws.clients import Clients, answering
from mlops_platform.statements.interfaces import SignerUnavailable, StatementSigner
from model_server.trust.envelope import key_id


class KmsStatementSigner(StatementSigner):
    """Signs with a key of the kind ECC_NIST_P256."""

    def __init__(self, key: str, endpoint_url: str | None = None) -> None:
        self._key = key
        self._clients = Clients(read_timeout=10, attempts=3, endpoints={"kms": endpoint_url})

    @cached_property
    def _key_id(self) -> str:
        with answering(_unavailable):
            der = self._clients["kms"].get_public_key(KeyId=self._key)["PublicKey"]
        public = serialization.load_der_public_key(der)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise SignerUnavailable("The KMS key that signs statements must be of the kind ECC_NIST_P256.")
        return key_id(public)

    def key_id(self) -> str:
        return self._key_id

    def sign(self, content: bytes) -> bytes:
        # KMS takes messages of 4 KiB at most, and a statement of many files is longer
        with answering(_unavailable):
            answer = self._clients["kms"].sign(
                KeyId=self._key,
                Message=sha256(content).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        return bytes(answer["Signature"])


def _unavailable() -> SignerUnavailable:
    return SignerUnavailable("AWS KMS does not sign statements now; the worker's log says why.", retry_after=5)
