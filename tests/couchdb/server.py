"""A server of CouchDB's protocol: express-pouchdb, with all data in memory. Needs Node.js and npm.

Its packages are installed once, below ``build/``; they are no part of the product.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from kazoo_bridge.couchdb.names import attachment_path, database_path, document_path

_SOURCE = Path(__file__).parent / "pouchdb"
_BUILD = Path(__file__).parents[2] / "build" / "couchdb"


def _installed() -> Path:
    """Install the packages unless these versions are installed, and return their folder.

    Parts of the tests run at the same time: one installs, the others wait.
    """
    wanted = (_SOURCE / "package.json").read_text()
    _BUILD.mkdir(parents=True, exist_ok=True)
    stamp = _BUILD / "installed"
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            if shutil.which("npm") is None:
                pytest.fail("npm is not installed; install Debian's package npm (make test does)")
            (_BUILD / "package.json").write_text(wanted)
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(
                command, cwd=_BUILD, capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            stamp.write_text(wanted)
    return _BUILD


class CouchServer:
    """One server, and what a KAZOO beside it would do with its databases."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()

    @property
    def uri(self) -> str:
        """The value of ``couchdb.uri``."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, empty; after `stop` at the same port."""
        self._process = subprocess.Popen(
            ["node", str(_SOURCE / "server.cjs"), str(_installed()), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        first_line = self._process.stdout.readline()
        assert first_line.strip().isdigit(), "the server of CouchDB's protocol did not start"
        self.port = int(first_line)

    def stop(self) -> None:
        """End the server; its data are lost."""
        if self._process is not None:
            self._process.communicate()  # closes its standard input
            self._process = None

    def create(self, database: str) -> None:
        """Create a database."""
        self._request("PUT", database_path(database), accept=(201, 412))

    def wipe(self) -> None:
        """Delete every database."""
        for name in self._request("GET", "/_all_dbs").json():
            self._request("DELETE", database_path(name), accept=(200, 404))

    def get(self, database: str, document_id: str) -> dict[str, Any] | None:
        """Read a document; None if it does not exist."""
        answer = self._request("GET", document_path(database, document_id), accept=(200, 404))
        document: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return document

    def save(self, database: str, document: dict[str, Any]) -> str:
        """Write a document over the one that exists, create its database if need be; return the revision."""
        self.create(database)
        now = self.get(database, document["_id"])
        body = document | ({"_rev": now["_rev"]} if now else {})
        revision: str = self._request("PUT", document_path(database, document["_id"]), body).json()["rev"]
        return revision

    def save_many(self, database: str, documents: list[dict[str, Any]]) -> None:
        """Write new documents into a database, which is created if need be."""
        self.create(database)
        for start in range(0, len(documents), 1000):
            path = f"{database_path(database)}/_bulk_docs"
            self._request("POST", path, {"docs": documents[start : start + 1000]})

    def update(self, database: str, document_id: str, **changes: Any) -> None:
        """Change keys of a document."""
        document = self.get(database, document_id)
        assert document is not None
        self.save(database, document | changes)

    def delete(self, database: str, document_id: str) -> None:
        """Delete a document."""
        document = self.get(database, document_id)
        assert document is not None
        path = f"{document_path(database, document_id)}?rev={document['_rev']}"
        self._request("DELETE", path)

    def attach(self, database: str, document_id: str, name: str, content: bytes, content_type: str) -> None:
        """Add an attachment to a document."""
        document = self.get(database, document_id)
        assert document is not None
        path = f"{attachment_path(database, document_id, name)}?rev={document['_rev']}"
        answer = self._session.put(
            self.uri + path, data=content, headers={"Content-Type": content_type}, timeout=10
        )
        assert answer.status_code == 201, answer.text

    def _request(
        self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = (200, 201)
    ) -> requests.Response:
        answer = self._session.request(
            method,
            self.uri + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        assert answer.status_code in accept, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer
