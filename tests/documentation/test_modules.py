"""Runs the tests of the API page's modules with node, over the document that a node serves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kazoo_bridge.pivot.point import PIVOT_SCHEMA
from kazoo_bridge.rest.openapi.document import make_document
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from kazoo_bridge.webhooks.hooks.hook_secrets import SECRET_PROPERTIES

_TIMEOUT_S = 60

DOCUMENT = make_document(document_schema(["channel_create"]), SECRET_PROPERTIES, PIVOT_SCHEMA)


@pytest.fixture
def openapi(tmp_path: Path) -> Path:
    """A file with the document."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(DOCUMENT))
    return file


def run_node(openapi: Path, *arguments: str) -> str:
    node = shutil.which("node")
    assert node is not None, "these tests need node: `make test` installs it, or `apt-get install nodejs`"
    result = subprocess.run(
        [node, *arguments],
        cwd=Path(__file__).parent,
        env={**os.environ, "OPENAPI": str(openapi)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_modules(openapi: Path) -> None:
    output = run_node(openapi, "--test", "--test-reporter=tap", "document.test.mjs")
    assert "# pass 0" not in output


def test_the_examples_of_bodies_are_valid(openapi: Path) -> None:
    examples = json.loads(run_node(openapi, "examples.mjs"))
    assert len(examples) > 30
    for one in examples:
        validator = Draft202012Validator({**one["schema"], "components": DOCUMENT["components"]})
        assert list(validator.iter_errors(one["example"])) == [], one["id"]
