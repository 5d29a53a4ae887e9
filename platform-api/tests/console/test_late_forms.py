"""A comment that was being written when the session ended is in its form again, and goes when its person sends it."""

import re
from datetime import timedelta
from html import unescape

from sqlalchemy import update

from mlops_platform.identity.tables import BrowserSessionRow
from tests.support.ground import Ground

from ..support.browsing import browser_for, choose, query_of, sign_in_as

TYPED = 'read </textarea><script>alert("x")</script> & agreed'


async def test_a_comment_survives_the_end_of_the_session(ground: Ground) -> None:
    (held,) = (await ground.deployed(1, "medium")).values()
    path = f"/console/approvals/{held['approval_id']}"
    async with browser_for(ground.services) as browser:
        await sign_in_as(browser, "max", path)
        form = _form_token((await browser.get(path)).text)
        async with ground.services.database.session() as session:
            older = BrowserSessionRow.seen_at - timedelta(hours=2)
            await session.execute(update(BrowserSessionRow).values(seen_at=older))
        sent = {"form_token": form, "comment": TYPED, "decision": "approve"}
        late = await browser.post(path, data=sent, headers={"Referer": f"{ground.services.settings.url}{path}"})
        page = await browser.get(late.headers["location"])
        assert "What you typed was not sent" in page.text
        begun = await browser.get("/console/sign-in/begin", params=query_of(late.headers["location"]))
        back = await browser.get(await choose(browser, begun.headers["location"], "max"))
        assert back.headers["location"].startswith(f"{path}?kept=")
        shown = await browser.get(back.headers["location"])
        comment = re.search(r'<textarea id="comment"[^>]*>(.*?)</textarea>', shown.text, re.DOTALL)
        assert comment is not None
        assert unescape(comment.group(1)) == TYPED
        assert "<script>" not in shown.text
        decided = await ground.ask("GET", f"/approvals/{held['approval_id']}")
        assert decided["decisions"] == [], "nothing is sent by itself"
        again = {"form_token": _form_token(shown.text), "comment": unescape(comment.group(1)), "decision": "approve"}
        assert (await browser.post(path, data=again)).status_code == 303
    decided = await ground.ask("GET", f"/approvals/{held['approval_id']}")
    assert [one["comment"] for one in decided["decisions"]] == [TYPED]


def _form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found is not None
    return found.group(1)
