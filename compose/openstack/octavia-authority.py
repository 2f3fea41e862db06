"""Make the authority that signs amphorae's certificates, then become the rest of the command line.

``octavia-authority.py DIRECTORY PROGRAM [ARGUMENTS]``. The directory, with key and certificate,
lies on a volume that the lab shares: whoever comes first makes it, all sign with the same.
"""

import contextlib
import datetime
import os
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def authority() -> dict[str, bytes]:
    """A private key and a certificate that it signed itself, as PEM, by file name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Octavia")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return {"key.pem": private, "certificate.pem": public}


def make(path: Path) -> None:
    """Put it there whole, unless another was faster."""
    with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as new:
        for name, content in authority().items():
            (Path(new) / name).write_bytes(content)
        # What is there and not empty is not replaced.
        with contextlib.suppress(OSError):
            Path(new).rename(path)


if __name__ == "__main__":
    wanted = Path(sys.argv[1])
    if not wanted.exists():
        make(wanted)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the service itself
