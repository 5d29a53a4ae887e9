"""A program in the model server's place: what the model host sees of one, without a model's seconds of loading."""

import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def address_string(self) -> str:
        return "host"

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


if __name__ == "__main__":
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    bundle = Path(given["--bundle"])
    if bundle.name == "refused" and not (bundle / "bundle.json").exists():
        sys.stderr.write("digest_mismatch: The model's files differ.\n")
        sys.exit(4)
    UnixStreamServer(given["--socket"], Ready).serve_forever()
