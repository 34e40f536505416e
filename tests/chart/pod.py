"""What a pod's server finds, without a pod: its files, in a folder."""

import os
import subprocess
from pathlib import Path

import pytest
import trustme
import yaml

from chart import JWKS, ROOT, main_container, sources

MOUNT = "/etc/trailgate"
# what others would have put where the chart only names it
POLICY = "rules: [{anonymous: true, methods: ['*']}]\n"


def binary():
    """The trailgate under test; one that is named has to be there."""
    if given := os.environ.get("TRAILGATE_BIN"):
        return str(Path(given).resolve(strict=True))
    built = ROOT / "target/debug/trailgate"
    if not built.exists():
        pytest.skip("no trailgate: run cargo build")
    return str(built)


class Pod:
    """The server of rendered objects: its files lie in `folder`, and it listens
    where nobody else does."""

    def __init__(self, objects, folder):
        self.objects, self.folder = objects, folder
        self.authority = trustme.CA()
        self.write(MOUNT, folder)

    def write(self, mount, folder):
        """Writes what is mounted at `mount`."""
        issued = self.authority.issue_cert("127.0.0.1", "demo-trailgate.audit.svc")
        theirs = {
            "tls/tls.crt": b"".join(pem.bytes() for pem in issued.cert_chain_pems),
            "tls/tls.key": issued.private_key_pem.bytes(),
            "tls/client-ca.crt": self.authority.cert_pem.bytes(),
            "jwks.json": JWKS.encode(),
            "policy.yaml": POLICY.encode(),
        }
        # of a volume that the chart does not know
        (folder / "keys.json").write_text(JWKS)
        for kind, name, items in sources(self.objects):
            if items:
                files = {path: theirs[path] for path in items.values()}
            else:
                files = {path: text.encode() for path, text in self.objects["ConfigMap", name]["data"].items()}
            for path, content in files.items():
                content = content.replace(mount.encode(), str(folder).encode())
                content = content.replace(b"/keys/jwks.json", str(folder / "keys.json").encode())
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes(content)

    def args(self):
        """The container's own, with its files where they are."""
        args = main_container(self.objects)["args"]
        assert f"{MOUNT}/trailgate.yaml" in args
        return [arg.replace(MOUNT, str(self.folder)) for arg in args]

    def env(self, **variables):
        """The container's own variables, and no AWS."""
        said = {entry["name"]: entry["value"] for entry in main_container(self.objects).get("env", []) if "value" in entry}
        # a certificate that is not here
        said.pop("AWS_CA_BUNDLE", None)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "eu-central-1",
        } | said | variables

    def check(self):
        """What `trailgate config check` says to the settings, with status."""
        command = [binary(), "config", "check", *self.args()[1:]]
        return subprocess.run(command, env=self.env(), capture_output=True, text=True, timeout=60)

    def serve(self, **variables):
        """Starts it."""
        anywhere = {"TRAILGATE_LISTEN": "127.0.0.1:0", "TRAILGATE_HTTP_LISTEN": "127.0.0.1:0"}
        return subprocess.Popen(
            [binary(), *self.args()], env=self.env(**anywhere | variables), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def settings(self):
        """What it reads."""
        return yaml.safe_load((self.folder / "trailgate.yaml").read_text())
