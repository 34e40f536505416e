"""A proxy in front of an emulator of AWS, that fails what a test says."""

import http.client
import re
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from processes import PATIENCE

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")

# a request: with whose key, for which Region and service it was signed
Asked = namedtuple("Asked", ["key", "region", "service", "method", "path", "body"])


class Proxy:
    """Passes requests on, but those of which `fails` says how: a status and a body."""

    def __init__(self, port, fails):
        self.fails, self.port, self.asked = fails, port, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                signed = CREDENTIAL.search(self.headers.get("Authorization", ""))
                key, region, service = signed.groups() if signed else (None, None, None)
                asked = Asked(key, region, service, self.command, self.path, body)
                outer.asked.append(asked)
                failed = outer.fails(asked)
                status, headers, content = failed and (*failed[:1], [], failed[1]) or self.passed(body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = dict((n.lower(), v) for n, v in headers).get("content-length")
                is_head = self.command == "HEAD"
                self.send_header("Content-Length", length if is_head and length else str(len(content)))
                self.end_headers()
                if not is_head:
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

            def passed(self, body):
                there = http.client.HTTPConnection("127.0.0.1", outer.port, timeout=PATIENCE)
                there.request(self.command, self.path, body, dict(self.headers))
                came = there.getresponse()
                content = came.read()
                there.close()
                return came.status, came.getheaders(), content

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
