"""What starts the platform with the machine and starts its supervisor again: a unit for systemd, an agent for launchd. Pure."""

import plistlib
from pathlib import Path

LABEL = "mlops-platform"

_SYSTEMD = """[Unit]
Description=MLOps platform in {home}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=1
# a killed supervisor's processes go on and are taken over by the next one: systemd must not end them
KillMode=process
# an orderly stop ends them one after the other
TimeoutStopSec=90
OOMPolicy=continue
UMask=0077

[Install]
WantedBy=default.target
"""


def systemd(program: Path, home: Path, arguments: list[str]) -> str:
    """Return a user unit."""
    command = " ".join(_quoted(part) for part in (str(program), "up", "--home", str(home), *arguments))
    return _SYSTEMD.format(home=str(home).replace("%", "%%"), command=command)


def launchd(program: Path, home: Path, arguments: list[str]) -> str:
    """Return a user agent, as a property list."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": [str(program), "up", "--home", str(home), *arguments],
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 1,
        # a killed supervisor's processes go on and are taken over by the next one
        "AbandonProcessGroup": True,
        "ExitTimeOut": 90,
        "Umask": 0o077,
        "StandardOutPath": str(home / "logs" / "supervisor.log"),
        "StandardErrorPath": str(home / "logs" / "supervisor.log"),
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def _quoted(part: str) -> str:
    """Quote as systemd reads a command: no variables, no specifiers."""
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t\"'\\;") or not escaped else escaped
