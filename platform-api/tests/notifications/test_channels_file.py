"""The operator's file of channels: what it names, and what it refuses."""

from pathlib import Path

import pytest

from mlops_platform.adapters.notices import book
from mlops_platform.adapters.notices.book import FileOfChannels
from mlops_platform.adapters.notices.http import (
    key_of,
)
from mlops_platform.notifications.interfaces import ChannelsNotReadable

from ..support.receivers import SECRET


def channels_file(folder: Path, text: str) -> Path:
    path = folder / "channels.yaml"
    path.write_text(text)
    return path


def test_the_file_names_channels_and_keeps_their_secrets_apart(tmp_path: Path) -> None:
    (tmp_path / "slack").write_text("https://hooks.slack.example/T0/B0/secret\n")
    (tmp_path / "hook").write_text(SECRET)
    (tmp_path / "pd").write_text("routing")
    path = channels_file(
        tmp_path,
        f"""
email: {{host: smtp.company.com, sender: mlops@company.com, domains: [company.com]}}
channels:
- {{name: team, kind: slack, url_file: {tmp_path}/slack, tenants: [risk]}}
- {{name: hook, kind: webhook, url: "https://hooks.company.com/x", secret_file: {tmp_path}/hook}}
- {{name: on-call, kind: pagerduty, secret_file: {tmp_path}/pd}}
""",
    )
    found = FileOfChannels(path, production=True)
    assert [channel.name for channel in found.channels()] == ["email", "team", "hook", "on-call"]
    assert found.channels() is found.channels(), "read again only when it has changed"
    path.write_text("channels: []\n")
    assert list(found.channels()) == []
    assert FileOfChannels(None, production=True).channels() == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("email: {host: x}", "sender"),
        ("surprise: 1", "surprise"),
        ("channels: [{name: a, kind: slack}]", "url"),
        ("channels: [{name: a, kind: slack, url: 'http://hooks.example'}]", "https"),
        ("channels: [{name: a, kind: slack, url: 'https://user:pass@hooks.example'}]", "address"),
        ("channels: [{name: a, kind: webhook, url: 'https://hooks.example'}]", "secret_file"),
        ("channels: [{name: email, kind: slack, url: 'https://hooks.example'}]", "taken"),
        ("channels: [{name: a, kind: slack, url_file: /does/not/exist}]", "exist"),
        ("email: {host: smtp.x, sender: a@b, domains: [b], security: none}", "encrypted"),
        ("[", "YAML"),
    ],
)
def test_a_file_that_does_not_fit_says_why(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ChannelsNotReadable, match=says):
        FileOfChannels(channels_file(tmp_path, text), production=True).channels()


def test_a_missing_file_and_a_weak_secret_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChannelsNotReadable):
        FileOfChannels(tmp_path / "none.yaml", production=False).channels()
    with pytest.raises(ValueError, match="24 bytes"):
        key_of("whsec_c2hvcnQ=")
    assert book.File.model_validate({}).channels == []
