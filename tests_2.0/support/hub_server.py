"""A Hugging Face Hub on localhost: repositories in memory, the real routes, faults on request."""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import hub_cache as build

LFS_SUFFIXES = (".safetensors", ".gguf", ".npz", ".bin", ".model", "tokenizer.json")


@dataclass
class Repo:
    """`commits` maps a hash to its files; `refs` a branch or tag to a hash."""

    commits: dict = field(default_factory=dict)
    refs: dict = field(default_factory=dict)
    gated: bool = False
    private: bool = False


class Server(ThreadingHTTPServer):
    """Clients that leave early are part of the tests."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Hub:
    """`faults` are (pattern, method, action) taken once each; `requests` is what was asked.

    `cdn` is where large files are: a hub's URL.
    """

    def __init__(self):
        self.repos, self.objects, self.faults, self.requests = {}, {}, [], []
        self.token = "hf_valid"
        handler = type("Handler", (Handler,), {"hub": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = self.cdn = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def add(self, name, files=None, *, commit=build.MAIN, ref="main", **attributes):
        repo = self.repos.setdefault(name, Repo(**attributes))
        repo.commits[commit] = dict(build.model() if files is None else files)
        if ref:
            repo.refs[ref] = commit
        for path, data in repo.commits[commit].items():
            if is_large(path):
                self.objects[hashlib.sha256(data).hexdigest()] = data
        return repo

    def fail(self, pattern, action, *, times=1, method="GET"):
        """`action`: a status, (status, headers), ("cut", count), ("slow", seconds),
        ("wrong", bytes) or "no range".
        """
        self.faults += [(re.compile(pattern), method, action)] * times

    def fault(self, path, method):
        for n, (pattern, verb, action) in enumerate(self.faults):
            if verb == method and pattern.search(path):
                del self.faults[n]
                return action
        return None

    def count(self, pattern, method="GET"):
        return sum(m == method and bool(re.search(pattern, p)) for m, p, _ in self.requests)


def is_large(path):
    return path.endswith(LFS_SUFFIXES)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self._serve("GET")

    def do_POST(self):
        self._serve("POST")

    def do_PUT(self):
        self._serve("PUT")

    def _serve(self, method):
        self.url = urlsplit(self.path)
        self.route = unquote(self.url.path)
        self.body = self._read()
        self.hub.requests.append((method, self.route, dict(self.headers)))
        self.action = self.hub.fault(self.route, method)
        if isinstance(self.action, int):
            return self._send(self.action, b'{"error": "fault"}')
        if isinstance(self.action, tuple) and isinstance(self.action[0], int):
            return self._send(self.action[0], b'{"error": "fault"}', **self.action[1])
        for verb, pattern, handle in ROUTES:
            if verb == method and (match := re.fullmatch(pattern, self.route)):
                return handle(self, **match.groupdict())
        return self._send(404, b"{}")

    def _read(self):
        """The request's body, also when it comes in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status, data=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self._write(data)

    def _json(self, value, status=200, **headers):
        self._send(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def _write(self, data):
        """The body, cut or slowed if a fault asks for it."""
        match self.action:
            case ("cut", count):
                self.wfile.write(data[:count])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            case ("slow", seconds):
                for n in range(0, len(data), 1024):
                    self.wfile.write(data[n : n + 1024])
                    self.wfile.flush()
                    time.sleep(seconds)
            case _:
                self.wfile.write(data)

    def _find(self, name):
        """The repository, or None after the answer that the real hub gives."""
        repo = self.hub.repos.get(name)
        sent = self.headers.get("Authorization")
        if sent and sent != f"Bearer {self.hub.token}":
            self._send(401, X_Error_Message="Invalid credentials in Authorization header")
            return None
        if repo is None or (repo.private and not sent):
            status = 404 if sent else 401
            self._send(status, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return None
        return repo

    def _commit(self, repo, revision):
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            self._send(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
            return None
        return commit

    def info(self, name, revision="main"):
        if (repo := self._find(name)) and (commit := self._commit(repo, revision)):
            siblings = [{"rfilename": path} for path in repo.commits[commit]]
            self._json({"id": name, "modelId": name, "sha": commit, "private": repo.private,
                        "gated": "manual" if repo.gated else False, "siblings": siblings,
                        "tags": [], "downloads": 0})  # fmt: skip

    def tree(self, name, revision):
        if (repo := self._find(name)) and (commit := self._commit(repo, revision)):
            entries = [entry(path, data) for path, data in sorted(repo.commits[commit].items())]
            start = int(parse_qs(self.url.query).get("cursor", ["0"])[0])
            more = {}
            if len(entries) > start + 50:
                link = f"{self.hub.url}{self.url.path}?recursive=True&cursor={start + 50}"
                more = {"Link": f'<{link}>; rel="next"'}
            self._json(entries[start : start + 50], **more)

    def resolve(self, name, revision, path):
        if not (repo := self._find(name)) or not (commit := self._commit(repo, revision)):
            return None
        if repo.gated:
            return self._send(403, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        data = repo.commits[commit].get(path)
        if data is None:
            return self._send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        blob = build.blob_name(path, data)
        if is_large(path):
            return self._send(
                302, Location=f"{self.hub.cdn}/cdn/{blob}?sig=1", X_Repo_Commit=commit,
                X_Linked_Etag=f'"{blob}"', X_Linked_Size=str(len(data)),
            )  # fmt: skip
        return self._range(data, ETag=f'"{blob}"', X_Repo_Commit=commit)

    def cdn(self, blob):
        return self._range(self.hub.objects[blob], ETag=f'"{blob}"')

    def _range(self, data, **headers):
        match self.action:
            case ("wrong", wrong):
                data = wrong + data[len(wrong) :]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not wanted or self.action == "no range":
            return self._send(200, data, Accept_Ranges="bytes", **headers)
        start = int(wanted[1])
        if start >= len(data):
            return self._send(416, Content_Range=f"bytes */{len(data)}")
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._send(206, data[start:], Content_Range=span, **headers)

    def who(self):
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._json({"error": "Invalid credentials"}, 401)
        return self._json({"type": "user", "name": "me", "orgs": []})

    def yaml(self):
        self._json({"errors": [], "warnings": []})

    def create(self):
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._json({"error": "Invalid credentials"}, 401)
        asked = json.loads(self.body)
        name = f"{asked['organization'] or 'me'}/{asked['name']}"
        if name in self.hub.repos:
            return self._json({"error": "You already created this model repo"}, 409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.hub.add(name, {".gitattributes": b""}, commit="0" * 40, private=private)
        return self._json({"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def branch(self, name, branch):
        if repo := self._find(name):
            repo.refs[branch] = repo.refs["main"]
            self._json({})

    def preupload(self, name, revision):
        if repo := self._find(name):
            files = repo.commits.get(repo.refs.get(revision), {})
            self._json({"files": [
                {"path": f["path"], "uploadMode": "lfs" if is_large(f["path"]) else "regular",
                 "shouldIgnore": False, "oid": entry(f["path"], files[f["path"]])["oid"]
                 if f["path"] in files else None}
                for f in json.loads(self.body)["files"]
            ]})  # fmt: skip

    def batch(self, name):
        if self._find(name):
            objects = [
                o if o["oid"] in self.hub.objects else {**o, "actions": self._upload_to(o["oid"])}
                for o in json.loads(self.body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})

    def _upload_to(self, oid):
        return {"upload": {"href": f"{self.hub.url}/lfs/{oid}", "header": {}}}

    def upload(self, oid):
        right = hashlib.sha256(self.body).hexdigest() == oid
        if right:
            self.hub.objects[oid] = self.body
        self._send(200 if right else 400, ETag=f'"{oid}"')

    def commit(self, name, revision):
        if not (repo := self._find(name)) or not (parent := self._commit(repo, revision)):
            return
        files = dict(repo.commits[parent])
        for line in self.body.splitlines():
            match json.loads(line):
                case {"key": "file", "value": {"path": path, "content": content}}:
                    files[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": oid}}:
                    files[path] = self.hub.objects[oid]
                case {"key": "deletedFile", "value": {"path": path}}:
                    del files[path]
        commit = hashlib.sha1(self.body + parent.encode()).hexdigest()
        repo.commits[commit] = files
        repo.refs[revision] = commit
        url = f"{self.hub.url}/{name}/commit/{commit}"
        self._json({"success": True, "commitUrl": url, "commitOid": commit, "hookOutput": ""})


def entry(path, data):
    found = {"type": "file", "path": path, "size": len(data), "oid": git_blob(data)}
    if is_large(path):
        oid = hashlib.sha256(data).hexdigest()
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"
        text = pointer % (oid.encode(), len(data))
        found["oid"] = git_blob(text)
        found["lfs"] = {"oid": oid, "size": len(data), "pointerSize": len(text)}
    return found


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


NAME = r"(?P<name>[^/]+/[^/]+)"
ROUTES = [
    ("GET", f"/api/models/{NAME}", Handler.info),
    ("GET", f"/api/models/{NAME}/revision/(?P<revision>.+)", Handler.info),
    ("GET", f"/api/models/{NAME}/tree/(?P<revision>[^/]+)", Handler.tree),
    ("GET", r"/cdn/(?P<blob>[0-9a-f]+)", Handler.cdn),
    ("GET", "/api/whoami-v2", Handler.who),
    ("POST", "/api/validate-yaml", Handler.yaml),
    ("POST", "/api/repos/create", Handler.create),
    ("POST", f"/api/models/{NAME}/branch/(?P<branch>.+)", Handler.branch),
    ("POST", f"/api/models/{NAME}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]+)", Handler.upload),
    ("POST", f"/api/models/{NAME}/commit/(?P<revision>.+)", Handler.commit),
    ("GET", f"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]
