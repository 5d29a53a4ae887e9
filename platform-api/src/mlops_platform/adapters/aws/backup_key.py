"""The key that signs manifests of backups, in AWS KMS: nobody ever has it, and every use is in CloudTrail."""

from functools import cached_property

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.adapters.aws.clients import Clients, answering
from mlops_platform.backup.cluster_interfaces import CloudUnavailable, ManifestSigner


class KmsManifestSigner(ManifestSigner):
    """Signs with a key of the kind ECC_NIST_P256. Needs kms:GetPublicKey and kms:Sign on it."""

    def __init__(self, key: str, endpoint_url: str | None = None) -> None:
        self._key = key
        self._clients = Clients(read_timeout=10, attempts=3, endpoints={"kms": endpoint_url})

    @cached_property
    def _public(self) -> str:
        with answering(_unavailable):
            der = self._clients["kms"].get_public_key(KeyId=self._key)["PublicKey"]
        public = serialization.load_der_public_key(der)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise CloudUnavailable("The KMS key that signs backups must be of the kind ECC_NIST_P256.")
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def public_key(self) -> str:
        return self._public

    def sign(self, content: bytes) -> bytes:
        with answering(_unavailable):
            answer = self._clients["kms"].sign(
                KeyId=self._key, Message=content, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
            )
        return bytes(answer["Signature"])


def _unavailable() -> CloudUnavailable:
    return CloudUnavailable(
        "AWS KMS does not sign the backup now: look at the key and at kms:Sign on it.", retry_after=5
    )
