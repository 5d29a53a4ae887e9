"""A kubelet for one machine: keeps one model process per specification running.

Reads DIR/specs/*.json (what should run), keeps a `model_server.serve` process for each, and writes DIR/status/*.json (what
does). Part of the supervisor's process; the restarts are those of every other process.
"""

import asyncio
import contextlib
import json
import math
import os
import shutil
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from mlops_platform.adapters.local.bundles import folder_of
from mlops_platform.adapters.local.runtime import socket_path
from mlops_platform.builds.interfaces import BundleDamaged
from mlops_platform.local import orphans
from mlops_platform.local.activation import FRESH_SECONDS, Activation
from mlops_platform.local.events import Event, Report
from mlops_platform.local.forked import Forks
from mlops_platform.local.hosted_model import HostedModel, made_at, modified_at
from mlops_platform.local.model_processes import TEMPLATE
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.readiness import socket_answers
from mlops_platform.local.state import ChildState, replace_text
from mlops_platform.local.supervised import SupervisedProcess
from mlops_platform.local.turns import Turns
from mlops_platform.local.watchdog_client import Watchdog
from model_server.libraries.found import MARKER, Libraries, for_bundle, named_in, program
from model_server.refusals import Refused
from model_server.sandbox import environment, seatbelt
from model_server.sandbox.protections import MODE_VARIABLE, mode_of
from model_server.template.owner import possible

_PASS_SECONDS = 0.25
_PROBE_SECONDS = 2.0
# health is answered beside what is computed: who is silent for this long stands still, and its callers wait 30 s
_HUNG_SECONDS = 25.0
# on a busy machine an answer takes its time
_ANSWER_SECONDS = 5.0
# after an error of the host itself, such as a full disk
_ERROR_SECONDS = 5.0
# the model server's exit code for a bundle that is not what was approved: a restart would not help
_REFUSED = 4
# and when it leaves because nobody asks
_IDLE = 6
IDLE_SECONDS = 120.0
# a start is processor time; one that waits for something else, such as a slow disk, does not hold up the others for ever
_AT_ONCE, _LONGEST_TURN_SECONDS = max(2, os.cpu_count() or 2), 30.0
# nothing of the platform's own settings: a model process knows no database, no key, no token
_INHERITED = frozenset({"PATH", "LANG"})


def survivors(runtime_dir: Path) -> dict[str, ChildState]:
    """Return the model processes that an earlier host has left running, by revision; forget the status of those it has not."""
    found = {}
    for path in (runtime_dir / "status").glob("*.json"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(path.read_text())
            if Path(said["socket"]) != socket_path(runtime_dir, path.stem):
                # a copied home: what it says of processes is about the home it was copied from, which may be running
                path.unlink()
                continue
            child = ChildState(path.stem, pid=said["pid"], created=said["process_started"], fingerprint=_asked(said))
            if orphans.alive([child]):
                found[path.stem] = child
                continue
            if said.get("process") == "idle":
                # nothing ran and nothing ended: it is as ready as it was
                continue
        path.unlink(missing_ok=True)
    return found


class ModelHost:
    """The loop that compares specifications with processes. All methods belong to one event loop."""

    def __init__(
        self,
        runtime_dir: Path,
        bundles: Path,
        watchdog: Watchdog,
        report: Report,
        command: Collection[str] | None = None,
        idle_seconds: float = IDLE_SECONDS,
        environments: Path | None = None,
    ) -> None:
        """`environments`: where the libraries of models that have their own lie; in the same home unless given.

        `idle_seconds`: after how long without a question the process of a compiled model leaves; 0: never.
        """
        self._runtime = runtime_dir.absolute()
        self._bundles = bundles.absolute()
        self._environments = (environments or runtime_dir.parent / "environments").absolute()
        self._watchdog = watchdog
        self._report = report
        self._command = command
        self._idle_seconds = idle_seconds
        self._forks = Forks(self._runtime / "logs" / "template.log")
        self._turns = Turns(_AT_ONCE, _LONGEST_TURN_SECONDS)
        self._told: tuple[int, float | None] | None = None
        self._models: dict[str, HostedModel] = {}
        self._survivors: dict[str, ChildState] = {}
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep running what is specified, from now until `stop`. One bad specification stops no other."""
        for name in ("specs", "status", "s", "logs", "scratch", "proven"):
            (self._runtime / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._survivors = survivors(self._runtime)
        for path in (self._runtime / "status").glob("*.json"):
            if path.stem not in self._survivors and not (self._runtime / "specs" / path.name).exists():
                path.unlink(missing_ok=True)
        self._task = asyncio.create_task(self._run(), name="model host")

    async def stop(self) -> None:
        """End every model process; their specifications stay. Does nothing before `start`."""
        if self._task is not None:
            self._stop.set()
            await self._task
        await asyncio.gather(*(self._end(revision_id) for revision_id in list(self._models)))
        await asyncio.to_thread(self._forks.close)
        (self._runtime / TEMPLATE).unlink(missing_ok=True)

    async def _run(self) -> None:
        while not self._stop.is_set():
            pause = _PASS_SECONDS
            try:
                await self._pass()
            except Exception as error:  # noqa: BLE001 - the boundary of the loop: reported, and tried again
                self._report(Event("note", "models", f"the model host goes on after an error: {error!r}"))
                pause = _ERROR_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _pass(self) -> None:
        wanted = self._read_specs()
        changed = [
            known for known, model in self._models.items() if wanted.get(known) != model.text or model.built_again()
        ]
        # ended before anything is started: the new ones need the memory
        await asyncio.gather(*(self._remove(revision_id) for revision_id in changed))
        failed: list[OSError] = []
        for revision_id in [each for each in wanted if each not in self._models]:
            try:
                self._models[revision_id] = self._started(revision_id, wanted[revision_id])
            except OSError as error:
                failed.append(error)
        for revision_id, model in self._models.items():
            try:
                self._write_status(revision_id, model)
            except OSError as error:
                failed.append(error)
        self._tell_of_the_template()
        if failed:
            # one that the disk has no room for stops no other; all of them are tried again
            raise failed[0]
        self._end_survivors()

    def _tell_of_the_template(self) -> None:
        """Write down which process the models are forked from: it holds the memory that they share."""
        found = self._forks.template()
        if found != self._told:
            pid, created = found or (None, None)
            replace_text(self._runtime / TEMPLATE, json.dumps({"pid": pid, "created": created}))
            self._told = found

    def _read_specs(self) -> dict[str, str]:
        """Return the orders, oldest first: in this order they are started."""
        found = []
        for path in (self._runtime / "specs").glob("*.json"):
            # a file removed between the listing and the reading is simply not specified any more
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path.stem, path.read_text(errors="replace")))
        return {revision_id: text for _, revision_id, text in sorted(found)}

    def _started(self, revision_id: str, text: str) -> HostedModel:
        try:
            order = json.loads(text)
            bundle = folder_of(self._bundles, order["bundle"])
            made = made_at(bundle)
            activation = self._activation(revision_id, bundle)
            spec = self._process_spec(revision_id, order, activation, self._libraries(bundle))
        except Refused as refusal:
            # the worker installs them again, from the lock that is kept with the bundle
            marker = self._environments / (named_in(bundle) or "") / MARKER
            return HostedModel(text, refusal=refusal.sentence, waits_for=(marker, modified_at(marker)))
        except (ValueError, KeyError, TypeError, AttributeError, BundleDamaged) as error:
            return HostedModel(text, refusal=f"the order for this model process cannot be read: {error!r}")
        log = self._runtime / "logs" / f"{revision_id}.log"
        proof = f"{spec.fingerprint()} {made}"
        if activation is not None:
            activation.proven = _read(self._proof(revision_id)) == proof
        process = SupervisedProcess(
            spec, log, self._watchdog, partial(self._changed, revision_id, proof), activation=activation
        )
        survivor = self._survivors.pop(revision_id, None)
        if survivor is not None and survivor.pid and survivor.created and survivor.fingerprint == proof:
            process.offer(survivor.pid, survivor.created)
        else:
            orphans.end([survivor] if survivor else [], patience_seconds=0)
            self._empty_scratch(revision_id)
        process.keep_running()
        socket = socket_path(self._runtime, revision_id)
        return HostedModel(text, process, bundle=bundle, made=made, activation=activation, socket=socket)

    def _activation(self, revision_id: str, bundle: Path) -> Activation | None:
        """Return the socket of a process that runs only when it is wanted: of a compiled model, where it can be forked."""
        if self._idle_seconds <= 0 or not possible():
            return None
        try:
            compiled = json.loads((bundle / "bundle.json").read_text())["engine"] == "onnx"
        except (OSError, ValueError, KeyError, TypeError):
            # the process itself says what is wrong with it
            return None
        return Activation(socket_path(self._runtime, revision_id), self._idle_seconds) if compiled else None

    def _changed(self, revision_id: str, proof: str, process: SupervisedProcess) -> None:
        model = self._models.get(revision_id)
        if process.state == "ready" and model is not None and model.activation and not model.activation.proven:
            model.activation.proven = True
            replace_text(self._proof(revision_id), proof)
        if process.state == "restarting":
            self._report(Event("restarting", process.spec.name, process.message))
        elif process.state == "failed":
            self._report(Event("failed", process.spec.name, f"{process.spec.name}: {process.message}"))

    async def _remove(self, revision_id: str) -> None:
        """End its process, and forget that it was ever ready."""
        await self._end(revision_id)
        self._proof(revision_id).unlink(missing_ok=True)

    async def _end(self, revision_id: str) -> None:
        model = self._models.pop(revision_id)
        if model.process is not None:
            await model.process.stop()
        self._status(revision_id).unlink(missing_ok=True)
        shutil.rmtree(self._scratch(revision_id), ignore_errors=True)

    def _libraries(self, bundle: Path) -> Libraries | None:
        """Return the model's own, None for the platform's. Raises Refused when they are not here."""
        try:
            return for_bundle(self._environments, bundle)
        except (OSError, ValueError):
            # the process itself says what is wrong with its bundle
            return None

    def _process_spec(
        self, revision_id: str, order: dict[str, Any], activation: Activation | None, libraries: Libraries | None
    ) -> ProcessSpec:
        socket, bundle = socket_path(self._runtime, revision_id), folder_of(self._bundles, order["bundle"])
        scratch = self._scratch(revision_id)
        command = [
            *(self._command or program("model_server.serve", libraries)),
            "--bundle",
            str(bundle),
            "--scratch",
            str(scratch),
        ]
        # with a socket of ours it starts because somebody asks: there is nothing to prepare
        command += ["--socket", str(socket), "--warm-explanations"] if activation is None else []
        asked = {name: str(value) for name, value in order["environment_vars"].items()}
        return ProcessSpec(
            name=f"model {order['model_name']} v{order['version']}",
            argv=seatbelt.under(command, [bundle, *([libraries.folder] if libraries else [])], scratch, socket),
            # ours last: no variable of a model may name another statement or other keys, or open its sandbox
            env={
                **environment.of_models(asked),
                "MODEL_SERVER_STATEMENT": order["statement"],
                "MODEL_SERVER_PUBLIC_KEYS": order["public_keys"],
                MODE_VARIABLE: mode_of(os.environ),
            },
            inherit=_INHERITED,
            socket=socket if activation is None else None,
            ready=socket_answers(socket, "/health/ready", _ANSWER_SECONDS)
            if activation is None
            else activation.answers,
            # a large model takes what it takes; whoever ordered it has a limit of its own
            ready_seconds=math.inf,
            probe_seconds=_PROBE_SECONDS,
            hung_seconds=_HUNG_SECONDS if activation is None else _HUNG_SECONDS - FRESH_SECONDS,
            final_codes=frozenset({_REFUSED}),
            stop_seconds=5,
            forked_by=self._forks,
            turns=self._turns,
            idle_code=_IDLE,
        )

    def _scratch(self, revision_id: str) -> Path:
        """Return the folder for what a model process writes."""
        return self._runtime / "scratch" / revision_id

    def _empty_scratch(self, revision_id: str) -> None:
        """Leave nothing of an earlier process in that folder."""
        folder = self._scratch(revision_id)
        shutil.rmtree(folder, ignore_errors=True)
        # what could not be removed is the same model's: it stops no other
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)

    def _write_status(self, revision_id: str, model: HostedModel) -> None:
        text = json.dumps(model.status())
        if text != model.written:
            replace_text(self._status(revision_id), text)
            model.written = text

    def _proof(self, revision_id: str) -> Path:
        """Return the file that says which process of this revision was once ready."""
        return self._runtime / "proven" / revision_id

    def _status(self, revision_id: str) -> Path:
        return self._runtime / "status" / f"{revision_id}.json"

    def _end_survivors(self) -> None:
        """Kill what an earlier host started and nobody wants, or wants otherwise; forget its status."""
        gone, self._survivors = self._survivors, {}
        orphans.end(gone.values(), patience_seconds=0)
        for revision_id, survivor in gone.items():
            assert survivor.pid is not None
            if revision_id not in self._models:
                self._watchdog.remove(survivor.pid)
                self._status(revision_id).unlink(missing_ok=True)


def _asked(said: dict[str, Any]) -> str:
    return f"{said.get('fingerprint')} {said.get('made')}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
