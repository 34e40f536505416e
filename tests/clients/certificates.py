"""Certificates for tests, and requests by TLS."""

import ssl
import urllib.error
import urllib.request

import grpc
import trustme

from processes import PATIENCE


class Authority(trustme.CA):
    """An authority that hands certificates out as files."""

    @property
    def pem(self):
        return self.cert_pem.bytes()

    def files(self, folder, name):
        """Of a certificate, and of its key."""
        issued = self.issue_cert(name)
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return cert, key

    def credentials(self, files=None, token=None):
        """Of a caller who trusts it, and shows a certificate or sends a token."""
        cert, key = (file.read_bytes() for file in files) if files else (None, None)
        channel = grpc.ssl_channel_credentials(self.pem, key, cert)
        if token is None:
            return channel
        return grpc.composite_channel_credentials(channel, grpc.access_token_call_credentials(token))


def get(url, authority, shown=None, token=None):
    """Status of a URL by TLS."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if shown:
        context.load_cert_chain(*shown)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with opener.open(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
