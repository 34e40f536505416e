"""AWS's MCP server for CloudTrail, started as its users start it and asked over
standard input and output."""

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from processes import PATIENCE, ROOT, bare_environment


def program():
    """Where it is installed: an environment of its own, since it wants other
    versions than the AWS CLI."""
    given = os.environ.get("TRAILGATE_TEST_MCP")
    return Path(given) if given else ROOT / ".venv-mcp" / "bin" / "awslabs.cloudtrail-mcp-server"


class McpServer:
    """A running one: messages of JSON-RPC, one a line (MCP, "Transports")."""

    def __init__(self, **env):
        self._home = tempfile.TemporaryDirectory()
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [program()], env={**bare_environment(self._home.name), **env}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )
        self._number = 0
        self._lines = queue.Queue()
        reader = threading.Thread(
            target=lambda: [self._lines.put(line) for line in self.process.stdout], daemon=True
        )
        reader.start()

    def __enter__(self):
        self._ask("initialize", {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        })
        self._send({"method": "notifications/initialized"})
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        self._home.cleanup()

    def _send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def _ask(self, method, parameters):
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        end = time.monotonic() + PATIENCE
        while True:
            message = json.loads(self._lines.get(timeout=max(0, end - time.monotonic())))
            if message.get("id") == self._number:
                assert "result" in message, message
                return message["result"]

    def call(self, tool, **arguments):
        """What a tool answers."""
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return json.loads(result["content"][0]["text"])
