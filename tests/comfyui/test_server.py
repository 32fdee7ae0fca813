"""The tests' own server ends with the tests, however they end. A few lines stand in for ComfyUI."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STAND_IN = """
import http.server, os, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"process": %d}' % os.getpid())

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""
TESTS = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import server
server.environment = lambda: dict(os.environ)
running = server.Server(Path(sys.argv[2]), Path(sys.argv[2]) / "base")
running.start()
print(running.get("/system_stats")["process"], flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_the_tests(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "main.py").write_text(STAND_IN)
    command = [sys.executable, "-c", TESTS, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        assert lives(server)
        tests.send_signal(how)
    deadline = time.monotonic() + 10
    while lives(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(server)


def lives(process: int) -> bool:
    """Whether it is there and no zombie, which waits for whoever is its parent now."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
