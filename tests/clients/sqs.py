"""A queue that keeps account of each message, and a bucket whose objects never
come: what an emulator does not tell."""

import hashlib
import http.server
import itertools
import json
import threading


class Queue:
    """On a free port of loopback. A message stays where it is until it is told
    otherwise: nothing is visible again for time alone."""

    # seconds that a receive without a message takes
    WAIT = 1

    def __init__(self):
        self._changed = threading.Condition()
        self._receipts = itertools.count()
        self._visible, self._received = [], {}
        # bodies
        self.deleted, self.given_back, self.ever_received = [], [], []
        self._open = True
        queue = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                # an object of the bucket
                with queue._changed:
                    queue._changed.wait_for(lambda: not queue._open)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])) or "{}")
                operation = self.headers["x-amz-target"].split(".")[-1]
                answer = json.dumps(queue._answer(operation, body)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.endpoint}/111122223333/queue"

    def send(self, body):
        with self._changed:
            self._visible.append(body)
            self._changed.notify_all()

    def under_way(self):
        """How many were received, and are neither deleted nor given back."""
        with self._changed:
            return len(self._received)

    def visible(self):
        with self._changed:
            return list(self._visible)

    def _answer(self, operation, asked):
        with self._changed:
            match operation:
                case "ReceiveMessage":
                    self._changed.wait_for(lambda: self._visible or not self._open, self.WAIT)
                    return self._receive()
                case "DeleteMessage":
                    self.deleted.append(self._received.pop(asked["ReceiptHandle"]))
                case "DeleteMessageBatch":
                    entries = asked["Entries"]
                    for entry in entries:
                        self.deleted.append(self._received.pop(entry["ReceiptHandle"]))
                    return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}
                case "ChangeMessageVisibility" if asked["VisibilityTimeout"] == 0:
                    body = self._received.pop(asked["ReceiptHandle"])
                    self.given_back.append(body)
                    self._visible.append(body)
                    self._changed.notify_all()
            return {}

    def _receive(self):
        if not self._visible:
            return {}
        body, receipt = self._visible.pop(0), str(next(self._receipts))
        self._received[receipt] = body
        self.ever_received.append(body)
        message = {
            "MessageId": receipt, "ReceiptHandle": receipt, "Body": body,
            "MD5OfBody": hashlib.md5(body.encode()).hexdigest(),
            "Attributes": {"ApproximateReceiveCount": "1"},
        }
        return {"Messages": [message]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
