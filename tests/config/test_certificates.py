from __future__ import annotations

from pathlib import Path

import pytest

from kazoo_bridge.config.certificates import (
    check_certificates,
    check_key_pair,
    check_private_key,
    read_certificates,
)
from tests.config.files import make_certificate


def test_all_certificates_of_a_file_are_read_in_order(tmp_path: Path) -> None:
    first, second = (make_certificate(tmp_path, name)[0] for name in ("first", "second"))
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(f"# comment\n{Path(first).read_text()}\n{Path(second).read_text()}")
    subjects = [certificate.subject.rfc4514_string() for certificate in read_certificates(str(bundle))]
    assert subjects == ["CN=first", "CN=second"]


@pytest.mark.parametrize(
    "content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.pem"
    path.write_text(content)
    for read in (read_certificates, check_certificates):
        with pytest.raises(ValueError, match=f"expected a PEM file with a certificate, got '{path}'"):
            read(str(path))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for read in (read_certificates, check_certificates, check_private_key):
        with pytest.raises(ValueError, match="cannot be read: No such file or directory"):
            read(str(tmp_path / "missing.pem"))


def test_no_path_is_valid() -> None:
    check_certificates("")
    check_private_key("")


def test_a_key_must_be_one_and_belong_to_the_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "one")
    _, other_key = make_certificate(tmp_path, "two")
    check_private_key(key)
    check_key_pair(certificate, key)
    with pytest.raises(ValueError, match="expected a PEM file with a private key that is not encrypted"):
        check_private_key(certificate)
    with pytest.raises(ValueError, match="expected the key of the first certificate"):
        check_key_pair(certificate, other_key)
