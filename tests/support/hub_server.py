"""A hub of data sets on this machine: one data set of two splits, told as the Hugging Face hub tells it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

NAME, COMMIT, BLOB = "me/tiny", "a" * 40, "b" * 40
CARD = """\
---
dataset_info:
  features:
  - {name: text, dtype: string}
  - {name: label, dtype: {class_label: {names: {'0': calm, '1': angry}}}}
configs:
- config_name: default
  data_files:
  - {split: train, path: train.jsonl}
  - {split: test, path: test.jsonl}
---
"""
ROWS = "".join(json.dumps({"text": f"complaint number {n * 37}", "label": n % 2}) + "\n" for n in range(20))
FILES = {"README.md": CARD.encode(), "train.jsonl": ROWS.encode(), "test.jsonl": ROWS.encode()}


class Hub(BaseHTTPRequestHandler):
    """Answers what `datasets` and `huggingface_hub` ask."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Headers only."""
        self._answered()

    def do_GET(self) -> None:
        """A file or what there is."""
        self._answered()

    def do_POST(self) -> None:
        """Facts about paths."""
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        try:
            paths = json.loads(asked).get("paths", [])
        except ValueError:
            paths = parse_qs(asked).get("paths", [])
        self._send(json.dumps([_entry(path) for path in paths if path in FILES]).encode())

    def _answered(self) -> None:
        path = self.path.split("?")[0]
        about = {"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES], "tags": []}
        if path.startswith(f"/api/datasets/{NAME}/tree"):
            self._send(json.dumps([_entry(name) for name in FILES]).encode())
        elif path.startswith(f"/api/datasets/{NAME}"):
            self._send(json.dumps({**about, "private": False, "gated": False, "downloads": 0}).encode())
        elif path.startswith(f"/datasets/{NAME}/resolve/") and (name := path.split("/", 6)[-1]) in FILES:
            self._send(FILES[name], {"ETag": f'"{BLOB}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})
        else:
            kind = "EntryNotFound" if NAME in path else "RepoNotFound"
            self._send(b'{"error": "not found"}', {"X-Error-Code": kind}, code=404)

    def _send(self, body: bytes, more: dict[str, str] | None = None, *, code: int = 200) -> None:
        headers = dict(more or {})
        if code == 200 and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = int(last) + 1 if last else len(body)
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
            body, code = body[int(first) : end], 206
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(name: str) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(FILES[name]), "oid": BLOB}


def serving() -> tuple[ThreadingHTTPServer, str]:
    """A hub at work, and its address. Call `shutdown` on it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"
