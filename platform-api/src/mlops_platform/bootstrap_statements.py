"""The part of bootstrap.py that chooses who signs statements of approval, and where pods read them and models' libraries."""

from mlops_platform.environment_locks.interfaces import Archives
from mlops_platform.settings import Settings
from mlops_platform.statements.interfaces import Bulletin, StatementSigner


def build_statement_signer(settings: Settings) -> StatementSigner:
    """Return what signs statements of approval: a key of AWS KMS, or a file, which is made when there is none."""
    if settings.statement_kms_key is not None:
        from mlops_platform.adapters.aws.statement_key import KmsStatementSigner

        return KmsStatementSigner(settings.statement_kms_key)
    from mlops_platform.adapters.local.statement_key import FileStatementSigner

    return FileStatementSigner(settings.statement_key, settings.statement_public_keys)


def build_bulletin(settings: Settings) -> Bulletin | None:
    """Return where model servers in pods read of approvals; on one machine whoever orders them reads the database."""
    if settings.bundle_uri is None:
        return None
    from mlops_platform.adapters.aws.bulletin import S3Bulletin

    return S3Bulletin(settings.bundle_uri, settings.s3_endpoint_url)


def build_archives(settings: Settings) -> Archives | None:
    """Return where models' own libraries are kept for pods; on one machine models are loaded from the worker's store."""
    if settings.bundle_uri is None:
        return None
    from mlops_platform.adapters.aws.archives import S3Archives

    return S3Archives(settings.bundle_uri, settings.s3_endpoint_url)
