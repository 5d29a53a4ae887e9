"""What keeping and watching data costs: buckets, tables, images, keys, secrets, logs, alarms, messages. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from mlops_platform.costs.lines import Context, Kind, Line
from mlops_platform.infrastructure.plan import Resource

ONE = Decimal(1)


def bucket(resource: Resource, context: Context) -> Iterator[Line]:
    """Assumed storage at the standard price, and an even share of the requests."""
    name = f"{resource.values.get('bucket') or ''} {resource.key}"
    stored = context.usage.named("storage_gb", name)
    yield context.used(
        "S3", resource.address, "storage", stored, "GB-months", context.prices.of("s3", "standard_gb_month")
    )
    buckets = len(context.plan.of("aws_s3_bucket"))
    for text, used, price in (("writes", "puts_thousand", "put_1000"), ("reads", "gets_thousand", "get_1000")):
        share = context.usage.of(used) / buckets
        yield context.used("S3", resource.address, text, share, "thousand requests", context.prices.of("s3", price))


def table(resource: Resource, context: Context) -> Iterator[Line]:
    """An even share of the assumed on-demand reads, writes and storage; recovery where it is on."""
    tables = len(context.plan.of("aws_dynamodb_table"))
    price = context.prices.of
    for text, used, cost in (
        ("writes", "table_writes_million", "write_million"),
        ("reads", "table_reads_million", "read_million"),
    ):
        share = context.usage.of(used) / tables
        yield context.used("DynamoDB", resource.address, text, share, "million requests", price("dynamodb", cost))
    stored = context.usage.of("table_gb") / tables
    yield context.used(
        "DynamoDB", resource.address, "storage", stored, "GB-months", price("dynamodb", "storage_gb_month")
    )
    recovery = (resource.values.get("point_in_time_recovery") or [{}])[0]
    if recovery.get("enabled"):
        yield context.used(
            "DynamoDB",
            resource.address,
            "point-in-time recovery",
            stored,
            "GB-months",
            price("dynamodb", "recovery_gb_month"),
        )


def files(resource: Resource, context: Context) -> Iterator[Line]:
    """Assumed files at the standard price, and what is read and written with elastic throughput."""
    for text, used, unit, price in (
        ("storage", "files_gb", "GB-months", "standard_gb_month"),
        ("read", "files_read_gb", "GB", "read_gb"),
        ("written", "files_written_gb", "GB", "write_gb"),
    ):
        share = context.usage.of(used) / len(context.plan.of("aws_efs_file_system"))
        yield context.used("EFS", resource.address, text, share, unit, context.prices.of("efs", price))


def images(resource: Resource, context: Context) -> Iterator[Line]:
    """An even share of the assumed images."""
    share = context.usage.of("images_gb") / len(context.plan.of("aws_ecr_repository"))
    yield context.used(
        "ECR", resource.address, "images", share, "GB-months", context.prices.of("ecr", "storage_gb_month")
    )


def key(resource: Resource, context: Context) -> Iterator[Line]:
    """The key, and an even share of the requests. AWS adds a dollar for each of the first two yearly rotations."""
    yield context.line("KMS", resource.address, "key", Kind.FIXED, ONE, "keys", context.prices.of("kms", "key_month"))
    share = context.usage.of("kms_requests_ten_thousand") / len(context.plan.of("aws_kms_key"))
    yield context.used(
        "KMS", resource.address, "requests", share, "10,000 requests", context.prices.of("kms", "requests_10000")
    )


def secret(resource: Resource, context: Context) -> Iterator[Line]:
    """The secret, and an even share of the calls."""
    price = context.prices.of
    yield context.line(
        "Secrets Manager",
        resource.address,
        "secret",
        Kind.FIXED,
        ONE,
        "secrets",
        price("secretsmanager", "secret_month"),
    )
    share = context.usage.of("secret_calls_ten_thousand") / len(context.plan.of("aws_secretsmanager_secret"))
    yield context.used(
        "Secrets Manager", resource.address, "calls", share, "10,000 calls", price("secretsmanager", "calls_10000")
    )


def log_group(resource: Resource, context: Context) -> Iterator[Line]:
    """Assumed ingestion, and what is kept of it."""
    gigabytes = context.usage.named("logs_gb", f"{resource.values.get('name') or ''} {resource.address}")
    price = context.prices.of
    yield context.used(
        "CloudWatch", resource.address, "log ingestion", gigabytes, "GB", price("cloudwatch", "log_ingestion_gb")
    )
    # logs are stored compressed, about a seventh; the factor is how many months are kept
    kept = gigabytes * context.usage.of("log_retention_factor") / 7
    yield context.used(
        "CloudWatch", resource.address, "log storage", kept, "GB-months", price("cloudwatch", "log_storage_gb_month")
    )


def alarm(resource: Resource, context: Context) -> Iterator[Line]:
    """A standard alarm."""
    price = context.prices.of("cloudwatch", "alarm_month")
    yield context.line("CloudWatch", resource.address, "alarm", Kind.FIXED, ONE, "alarms", price)


def subscription(resource: Resource, context: Context) -> Iterator[Line]:
    """Mail by the assumed number; other protocols to AWS services are free."""
    if resource.values.get("protocol") in {"email", "email-json"}:
        mails = context.usage.of("mails_thousand") / 100
        yield context.used(
            "SNS", resource.address, "mails", mails, "100,000 mails", context.prices.of("sns", "email_100000")
        )


def queue(resource: Resource, context: Context) -> Iterator[Line]:
    """Assumed requests."""
    share = context.usage.of("queue_requests_million") / len(context.plan.of("aws_sqs_queue"))
    yield context.used(
        "SQS", resource.address, "requests", share, "million requests", context.prices.of("sqs", "requests_million")
    )


RULES = {
    "aws_s3_bucket": bucket,
    "aws_dynamodb_table": table,
    "aws_efs_file_system": files,
    "aws_ecr_repository": images,
    "aws_kms_key": key,
    "aws_secretsmanager_secret": secret,
    "aws_cloudwatch_log_group": log_group,
    "aws_cloudwatch_metric_alarm": alarm,
    "aws_sns_topic_subscription": subscription,
    "aws_sqs_queue": queue,
}
