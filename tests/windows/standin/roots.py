"""Windows' store of root certificates: one is not there until a program of Windows' own has met a server of it.

Documented: Windows brings few roots and fetches the others by itself, in the moment when Schannel must judge a server's
certificate. Python and uv read what is in the store, and never have it fetch one. The certificates are real ones, and
so is what judges them: Python's OpenSSL, which takes the store from a file.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .machine import Machine
from .processes import Process

CURL = r"C:\Windows\System32\curl.exe"


class Roots:
    """The store, and one authority whose root it may not hold yet. `fetches`: whether Windows gets it when it asks."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.store, self.chain = folder / "store.pem", folder / "server.pem"
        self.store.write_bytes(b"")
        self.fetches = True
        self.asked: list[str] = []  # the hosts that curl was sent to
        key = ec.generate_private_key(ec.SECP256R1())
        self.root = _signed("A root that came later", key, key, authority=True)
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed("127.0.0.1", own, key, authority=False)
        self.chain.write_bytes(_pem(own) + certificate.public_bytes(serialization.Encoding.PEM))
        machine.processes.install(CURL, self.curl)

    def curl(self, process: Process) -> int:
        """`curl -sSI URL`: Schannel judges the server, and Windows fetches the root for that."""
        host = urlsplit(process.arguments[-1]).netloc
        self.asked.append(host)
        if not self.fetches:
            process.say("curl: (60) schannel: SEC_E_UNTRUSTED_ROOT (0x80090325)\r\n", error=True)
            return 60
        self.fetch()
        process.say("HTTP/1.1 200 OK\r\n\r\n")
        return 0

    def fetch(self) -> None:
        self.store.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))

    @property
    def holds(self) -> bool:
        return bool(self.store.read_bytes())

    def server_side(self) -> ssl.SSLContext:
        """For a server of that authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, "A root that came later")
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = [x509.IPAddress(ipaddress.ip_address(name))]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(by, hashes.SHA256())
