"""The container that fetches the keys of tokens, in the example of that."""

import http.server
import shutil
import subprocess
import threading

import pytest

from chart import CASES, JWKS, main_container, only, render

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl")


def fetcher():
    objects = render(CASES["service-accounts"])
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["initContainers"]
    return objects, pod, container


def test_it_runs_beside_the_server_and_alone_has_the_apis_token():
    objects, pod, container = fetcher()
    # a native sidecar: the server starts once its startup probe has succeeded
    assert container["restartPolicy"] == "Always" and container["startupProbe"]["exec"]["command"]
    mounts = {mount["name"]: mount for mount in main_container(objects)["volumeMounts"]}
    assert mounts["keys"]["readOnly"] is True and "api" not in mounts
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)


class Keys(http.server.BaseHTTPRequestHandler):
    """An API with the keys, for who has the token."""

    def do_GET(self):
        is_known = self.headers["authorization"] == "Bearer the-token"
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(self.server.text if is_known else b"no")

    def log_message(self, *args):
        pass


@needs_curl
def test_it_writes_what_the_api_says(tmp_path):
    _, _, container = fetcher()
    keys, api = tmp_path / "keys", tmp_path / "api"
    for folder in (keys, api):
        folder.mkdir()
    (api / "ca.crt").write_text("")
    (script,) = container["args"]
    # one turn, so that no time passes
    script = script.replace("sleep 60", "break")
    script = script.replace("/keys/", f"{keys}/").replace("/api/", f"{api}/")
    assert "break" in script and str(api) in script
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def turn(token, text):
        (api / "token").write_text(token)
        server.text = text.encode()
        url = f"http://127.0.0.1:{server.server_port}/openid/v1/jwks"
        subprocess.run(
            [*container["command"], script], env={"PATH": "/usr/bin:/bin", "URL": url, "no_proxy": "*"},
            check=True, capture_output=True, timeout=60,
        )
        return (keys / "jwks.json").read_text() if (keys / "jwks.json").exists() else None

    try:
        assert turn("another", JWKS) is None
        assert turn("the-token", JWKS) == JWKS
        # what it had stays
        assert turn("another", "{}") == JWKS
        assert turn("the-token", "{}") == "{}"
    finally:
        server.shutdown()
        server.server_close()
