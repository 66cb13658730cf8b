"""A server that misbehaves as it is told: `python stub_service.py MODE PORT [STATE]`.

Modes: good, slow (ready after a second), hang (answers nothing once it was ready), busy (like
hang, but it writes its log), never (503 for ever), exit (ends at once with 3), stubborn (ignores
SIGTERM), loop (ends when it was ready). STATE is a file whose first line may change the mode.
"""

import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEGAN = time.monotonic()


class Stub(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Stub.asked += 1
        now = mode()
        if now in ("hang", "busy") and Stub.asked > 1:
            for _ in range(100):
                if now == "busy":
                    print("Prompt processing progress", flush=True)
                time.sleep(0.1)
        young = time.monotonic() - BEGAN < 1.0
        bad = now == "never" or (now == "slow" and young)
        body = b'{"phase": "loading"}' if bad else b'{"phase": "ready"}'
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if now == "loop":
            signal.raise_signal(signal.SIGKILL)

    do_POST = do_GET

    def log_message(self, *args):
        pass


def mode():
    if len(sys.argv) > 3:
        return Path(sys.argv[3]).read_text().strip()
    return sys.argv[1]


def main():
    print("stub begins", flush=True)
    if mode() == "exit":
        sys.exit(3)
    if mode() == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Stub).serve_forever()


main()
