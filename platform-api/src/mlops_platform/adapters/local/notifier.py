"""Notices as log lines: the embedded platform's people look at the console's inbox."""

import structlog

from mlops_platform.approvals.interfaces import Notice, Notifier

log = structlog.get_logger(__name__)


class LogNotifier(Notifier):
    """Writes each notice to the log."""

    async def tell(self, notice: Notice) -> None:
        log.info(
            "notice",
            kind=notice.kind,
            roles=list(notice.roles),
            people=list(notice.people),
            tenant=notice.tenant,
            sentence=notice.sentence,
            link=notice.link,
        )
