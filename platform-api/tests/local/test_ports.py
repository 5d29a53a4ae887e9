"""Who has the port, in words."""

import os
import socket

import pytest

from mlops_platform.local.ports import PortTaken, ensure_free, free_port, holder_of, is_free


def test_a_taken_port_names_its_holder_and_the_option_that_chooses_another() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortTaken) as refused:
            ensure_free(port, "--mlflow-port")
        sentence = str(refused.value)
        assert f"port {port} is taken by" in sentence
        assert f"pid {os.getpid()}" in sentence
        assert "--mlflow-port" in sentence
        assert holder_of(port).pid == os.getpid()
        assert "python" in refused.value.holder.command


def test_a_port_that_just_served_is_free() -> None:
    port = free_port()
    assert is_free(port)
    ensure_free(port, "--port")
