"""Runs the tests of the API page's modules with node, over the document that a node serves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from kazoo_bridge.pivot.point import PIVOT_SCHEMA
from kazoo_bridge.rest.openapi.document import make_document
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from kazoo_bridge.webhooks.hooks.hook_secrets import SECRET_PROPERTIES

_TIMEOUT_S = 60


def test_modules(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "these tests need node: `make test` installs it, or `apt-get install nodejs`"
    document = make_document(document_schema(["channel_create"]), SECRET_PROPERTIES, PIVOT_SCHEMA)
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    result = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(Path(__file__).with_name("document.test.mjs"))],
        env={**os.environ, "OPENAPI": str(file)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "# pass 0" not in result.stdout
