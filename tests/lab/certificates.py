"""The lab's own certificate authority: one a lab, made with openssl, never leaving its state folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.lab.shell import run

DAYS = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_authority(folder: Path, name: str) -> Path:
    """Make `ca.crt` and `ca.key` in `folder` unless they are there. Returns the certificate's path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate = folder / "ca.crt"
    if not certificate.exists():
        usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        command = ("openssl", "req", "-x509", *NEW_KEY, "-days", DAYS, "-subj", f"/CN=llm-harness {name} authority")
        run([*command, *usage, "-keyout", folder / "ca.key", "-out", certificate])
    return certificate


def make_certificate(folder: Path, server: str, names: Iterable[str]) -> None:
    """Make `<server>.crt` and `<server>.key` for `names`, signed by the folder's authority, unless they are there."""
    certificate, made_for = folder / f"{server}.crt", folder / f"{server}.names"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    if certificate.exists() and made_for.exists() and made_for.read_text() == alternatives:
        return
    request, extensions = folder / f"{server}.csr", folder / f"{server}.ext"
    extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
    key = folder / f"{server}.key"
    run(["openssl", "req", "-new", *NEW_KEY, "-subj", f"/CN={server}", "-keyout", key, "-out", request])
    signing = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", DAYS)
    run(["openssl", "x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", certificate])
    made_for.write_text(alternatives)
    request.unlink()
    extensions.unlink()
