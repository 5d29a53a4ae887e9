"""A part that does not answer: the answer names the situation, the log what was behind it."""

from structlog.testing import capture_logs

from mlops_platform.features.interfaces import FeatureStoreUnavailable
from mlops_platform.monitoring import probes


async def test_the_log_of_a_failed_probe_has_the_librarys_words_and_the_answer_has_not() -> None:
    async def ping() -> None:
        raise FeatureStoreUnavailable from ConnectionError("no token for the online store could be signed")

    with capture_logs() as logged:
        check = await probes._probe("feast", ping)
    assert not check.ok
    assert check.message == "The feature store is not answering"
    assert [entry["cause"] for entry in logged] == ["ConnectionError('no token for the online store could be signed')"]
