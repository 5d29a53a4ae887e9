"""Comparing the log with its mirror while the log is being read."""

import asyncio
from typing import Literal

from mlops_platform.audit.interfaces import Mirror, MirrorUnavailable, Seal
from mlops_platform.audit.schemas import Problem
from mlops_platform.audit.tables import AuditEventRow

_ROWS = 1_000


class Comparison:
    """Takes the log's rows in order and says where the mirror's copies differ.

    Roots of the seals are left to the verifier, which knows the log's root at every size. A mirror that stops answering
    ends the comparison and is reported as `unreachable`: not compared is neither intact nor tampered with.
    """

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror
        self._rows: list[AuditEventRow] = []
        self.seals: list[Seal] = []
        # up to which event the mirror is complete
        self.size = 0
        self.state: Literal["none", "compared", "unreachable"] = "none" if mirror is None else "compared"

    async def begin(self) -> None:
        """Read the seals: before the log is read, so that what they say must already be in it."""
        if self._mirror is not None:
            try:
                self.seals = await asyncio.to_thread(self._mirror.seals)
            except MirrorUnavailable:
                self.state = "unreachable"
        self.size = self.seals[-1].size if self.seals else 0

    async def add(self, row: AuditEventRow) -> list[Problem]:
        """Take the next row; return problems of the rows taken so far that are compared now."""
        if row.seq > self.size:
            return []
        self._rows.append(row)
        return await self.rest() if len(self._rows) == _ROWS else []

    async def rest(self) -> list[Problem]:
        """Compare the rows that were taken and not compared yet."""
        rows, self._rows = self._rows, []
        if self._mirror is None or self.state == "unreachable" or not rows:
            return []
        problems: list[Problem] = []
        for tenant in sorted({row.tenant for row in rows}):
            try:
                copies = await asyncio.to_thread(self._mirror.events, tenant, rows[0].seq, rows[-1].seq)
            except MirrorUnavailable:
                self.state = "unreachable"
                break
            mirrored = {copy.seq: copy.payload for copy in copies}
            recorded = {row.seq: row.payload for row in rows if row.tenant == tenant}
            problems += [
                Problem(kind="mirror", seq=seq, sentence=_difference(seq, recorded.get(seq), mirrored.get(seq)))
                for seq in sorted(recorded.keys() | mirrored.keys())
                if recorded.get(seq) != mirrored.get(seq)
            ]
        return problems


def _difference(seq: int, recorded: str | None, mirrored: str | None) -> str:
    if mirrored is None:
        return f"event {seq} is missing in the mirror"
    if recorded is None:
        return f"the mirror holds another event {seq} than the log"
    return f"event {seq} differs from its copy in the mirror"
