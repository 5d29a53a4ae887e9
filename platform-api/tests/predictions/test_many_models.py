"""What a live model costs the API when nobody asks it anything."""

import ssl

import pytest

from mlops_platform.predictions.answers import AnswerForm
from mlops_platform.predictions.process import ModelProcess


@pytest.mark.parametrize("address", ["/tmp/model.sock", "http://model.team.svc:80"])
async def test_no_certificates_are_read_for_a_model(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("reading the certificates of all authorities takes 25 ms for each model")

    monkeypatch.setattr(ssl, "create_default_context", read)
    await ModelProcess("model", address, ["x"], AnswerForm(None, None, None)).close()
