"""`mlops login` and `mlops logout`: signing in with any browser (OAuth device flow, RFC 8628)."""

import time
import webbrowser
from typing import Annotated, Any

import typer

from mlops_platform.cli.api import call, connection
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show, wants_json
from mlops_platform.local.home import Home
from mlops_platform.local.login import DEVICE_GRANT, Login, ProviderRefused, discovered, forget, keep, post, read

_MOST_SECONDS = 1_800
_SLOWER_BY = 5.0


def login(
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser of this machine.")
    ] = True,
    _json: Json = False,
) -> None:
    """Sign in with a browser, here or on another device; later commands use what you get, and renew it."""
    how = call("GET", "/api/v1/sign-in")
    if how["client_id"] is None:
        raise CommandFailed(
            Exit.REFUSED,
            "this platform has no client for signing in from a command line",
            "an administrator sets MLOPS_OIDC_CLI_CLIENT_ID; until then: MLOPS_TOKEN",
        )
    try:
        metadata = discovered(how["issuer"])
        asked = {"client_id": how["client_id"], "scope": how["scopes"]}
        if how.get("audience"):
            asked["audience"] = how["audience"]
        device = post(metadata["device_authorization_endpoint"], asked)
        address, code = str(device["verification_uri"]), str(device["user_code"])
        if not wants_json():
            say(f"Open {address} and type this code: {code}")
        if browser and address.startswith(("https://", "http://")):
            webbrowser.open(address)
        answer = _wait(metadata["token_endpoint"], how["client_id"], device)
    except ProviderRefused as refused:
        raise CommandFailed(Exit.REFUSED, refused.sentence, "try `mlops login` again") from refused
    kept = Login(how["issuer"], how["client_id"], metadata["token_endpoint"], answer.get("refresh_token"))
    keep(Home.at(connection.home), str(answer["access_token"]), kept)
    # who that is, the platform says; a token it does not take is none
    connection.token = str(answer["access_token"])
    me = call("GET", "/api/v1/me")
    show(me, f"signed in as {me['subject']} ({', '.join(me['roles']) or 'no role'}; team {me['tenant']})")


def logout(
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="End your sessions in all browsers and all your tokens too.")
    ] = False,
    _json: Json = False,
) -> None:
    """Forget the saved token, and end what `mlops login` began at the identity provider."""
    place = Home.at(connection.home)
    # first, with the token that is about to end: when it fails nothing is forgotten, and the command can be repeated
    also = call("POST", "/api/v1/me/sign-out") if everywhere else {}
    kept, had_token = read(place), place.token_file.exists()
    forget(place)
    ended = False
    if kept is not None and kept.refresh_token is not None:
        try:
            endpoint = discovered(kept.issuer).get("revocation_endpoint")
            if endpoint is not None:
                post(endpoint, {"client_id": kept.client_id, "token": kept.refresh_token})
                ended = True
        except ProviderRefused as refused:
            say(f"the identity provider was not told: {refused.sentence}")
    sentence = "signed out" if had_token or kept is not None else "nobody was signed in"
    if everywhere:
        sentence = f"signed out everywhere: {also['sessions']} sessions of browsers, and every token from before now"
    signed_out = everywhere or had_token or kept is not None
    show({"signed_out": signed_out, "ended_at_provider": ended, **also}, sentence)


def _wait(endpoint: str, client_id: str, device: dict[str, Any]) -> dict[str, Any]:
    """Ask until the person has decided, as slowly as the provider wants it. Raises ProviderRefused, CommandFailed."""
    interval = float(device.get("interval", 5))
    until = time.monotonic() + min(float(device.get("expires_in", 600)), _MOST_SECONDS)
    asked = {"grant_type": DEVICE_GRANT, "device_code": str(device["device_code"]), "client_id": client_id}
    while time.monotonic() < until:
        time.sleep(interval)
        try:
            return post(endpoint, asked)
        except ProviderRefused as refused:
            if refused.word == "slow_down":
                interval += _SLOWER_BY
            elif refused.word == "unreachable":
                # RFC 8628, 3.5: who gets no answer asks less often
                interval *= 2
            elif refused.word != "authorization_pending":
                raise
    raise CommandFailed(Exit.WAITING, "nobody typed the code in time", "run `mlops login` again")
