"""A template whose list has one program more: the one that runs a payload. Arguments: the descriptor of its owner's socket."""

import importlib.util
import socket
import sys
from pathlib import Path

from model_server.template import messages
from model_server.template.__main__ import Template
from model_server.template.preload import BUILDS, preload, threads

spec = importlib.util.spec_from_file_location("hostile_process", Path(__file__).with_name("hostile_process.py"))
assert spec is not None
assert spec.loader is not None
sys.modules["hostile_process"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["hostile_process"])

messages.PROGRAMS = frozenset({"hostile_process"})
preload(BUILDS)
assert threads() == 1
sys.exit(Template(socket.socket(fileno=int(sys.argv[1])), 0).run())
