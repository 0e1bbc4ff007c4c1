"""Downloading against a server on loopback that behaves as badly as servers do."""

import gzip
import hashlib
import importlib
import re
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import trustme

from refimpl import DataError
from refimpl.data import download
from refimpl.data.idx import serialise
from refimpl.data.registry import FILES, REGISTRY, Entry

fetching = importlib.import_module("refimpl.data.fetch")  # its name is also that of a function in it

GOOD = {
    file: gzip.compress(serialise(np.full((3, 28, 28) if "images" in role else (3,), i, np.uint8)))
    for i, (role, file) in enumerate(FILES.items())
}
HASHES = {role: hashlib.sha256(gzip.decompress(GOOD[file])).hexdigest() for role, file in FILES.items()}


class Server:
    """Answers /WAY/FILE.gz in the way asked for, and remembers what was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.ways: dict[str, Callable[[BaseHTTPRequestHandler, str], None]] = {"good": good, "missing": missing}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                _, way, file = self.path.split("/")
                server.ways[way](self, file.removesuffix(".gz"))

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *arguments: None  # a client that refuses the certificate
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.scheme = "https" if context else "http"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def entry(self, *ways: str) -> Entry:
        port = self.http.server_address[1]
        return Entry("small", "A small set", tuple(f"{self.scheme}://localhost:{port}/{way}/" for way in ways), HASHES)


def send(handler: BaseHTTPRequestHandler, body: bytes, promised: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if promised is None else promised))
    handler.end_headers()
    handler.wfile.write(body)


def good(handler, file):
    send(handler, GOOD[file])


def missing(handler, file):
    handler.send_error(404)


def page(handler, file):
    send(handler, b"<!DOCTYPE html><title>Sign in</title>")


def truncated(handler, file):
    send(handler, GOOD[file][:-9], promised=len(GOOD[file]))


def half(handler, file):
    send(handler, GOOD[file][:-9])


def other(handler, file):
    send(handler, gzip.compress(b"something else"))


def bomb(handler, file):
    send(handler, gzip.compress(bytes(10_000_000)))


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def fetch(entry, folder, progress=lambda file, done, total: None):
    return fetching.fetch_entry(entry, folder, progress)


def assert_complete(folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {f"{f}.gz": c for f, c in GOOD.items()}


def test_a_good_server(server, tmp_path):
    folder = fetch(server.entry("good"), tmp_path / "new" / "cache")
    assert folder == tmp_path / "new" / "cache" / "small"
    assert_complete(folder)
    assert server.requests == [f"/good/{file}.gz" for file in FILES.values()]


@pytest.mark.parametrize("bad", [missing, page, truncated, half, other, bomb], ids=lambda way: way.__name__)
def test_a_bad_server_is_passed_over_for_the_next(server, tmp_path, monkeypatch, bad):
    monkeypatch.setattr(fetching, "MAX_BYTES", 1_000_000)
    server.ways["bad"] = bad
    assert_complete(fetch(server.entry("bad", "good"), tmp_path))


@pytest.mark.parametrize("bad", [missing, page, truncated, half, other, bomb], ids=lambda way: way.__name__)
def test_when_all_are_bad_one_line_names_each_and_nothing_remains(server, tmp_path, bad):
    server.ways |= {"first": bad, "second": bad}
    with pytest.raises(DataError, match=r"first/train-images.*second/train-images.*by hand") as caught:
        fetch(server.entry("first", "second"), tmp_path)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "small").iterdir()) == []


def test_nobody_there(tmp_path):
    server = Server()
    entry = server.entry("good")
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(DataError, match="could not be fetched"):
        fetch(entry, tmp_path)


def test_offline_is_one_short_line_that_names_the_hosts(tmp_path):
    server = Server()
    entry = server.entry("first", "second", "third")
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(DataError, match=r"cannot reach localhost, localhost, localhost; go online") as caught:
        fetch(entry, tmp_path / "my data")
    assert "\n" not in str(caught.value)
    assert f"put it into '{tmp_path}/my data/small' by hand" in str(caught.value)
    assert len(str(caught.value)) < 200 + len(str(tmp_path))


def test_a_body_without_end_is_cut_off(server, tmp_path, monkeypatch):
    def endless(handler, file):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):  # 640 million bytes in all
            handler.wfile.write(bytes(64_000))

    monkeypatch.setattr(download, "MAX_BODY", 1_000_000)
    server.ways["endless"] = endless
    with pytest.raises(DataError, match=r"endless/train-images-idx3-ubyte.gz: sent more than 1000000 bytes"):
        fetch(server.entry("endless"), tmp_path)
    assert_complete(fetch(server.entry("endless", "good"), tmp_path))


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server, tmp_path, monkeypatch, part):
    stop = threading.Event()

    def drip(handler, file):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: " + (b"no\r\n\r\n" if part == "body" else b""))
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    monkeypatch.setattr(download, "MAX_SECONDS", 0.4)
    server.ways["drip"] = drip
    begun = time.monotonic()
    try:
        with pytest.raises(DataError, match=r"drip/train-images-idx3-ubyte.gz: took longer than 0.4 seconds"):
            fetch(server.entry("drip"), tmp_path)
        assert time.monotonic() - begun < 10
        assert list((tmp_path / "small").iterdir()) == []
    finally:
        stop.set()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.0 200 OK\r\n\r\n some"], ids=["head", "body"])
def test_a_server_that_falls_silent_is_given_up(server, tmp_path, monkeypatch, part):
    stop = threading.Event()

    def silent(handler, file):
        handler.wfile.write(part)
        stop.wait()

    monkeypatch.setattr(download, "MAX_SILENCE", 0.2)
    server.ways["silent"] = silent
    try:
        with pytest.raises(DataError, match=r"silent/train-images-idx3-ubyte.gz: sent nothing for 0.2 seconds"):
            fetch(server.entry("silent"), tmp_path)
    finally:
        stop.set()


def redirect(handler, url):
    handler.send_response(302)
    handler.send_header("Location", url)
    handler.end_headers()


def test_a_redirect_is_followed(server, tmp_path):
    server.ways["moved"] = lambda handler, file: redirect(handler, f"/good/{file}.gz")
    assert_complete(fetch(server.entry("moved"), tmp_path))


def test_what_is_there_and_right_is_not_asked_for_again(server, tmp_path):
    fetch(server.entry("good"), tmp_path)
    server.requests.clear()
    assert_complete(fetch(server.entry("good"), tmp_path))
    assert server.requests == []


def test_what_is_damaged_is_replaced(server, tmp_path):
    folder = fetch(server.entry("good"), tmp_path)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b torn")
    server.requests.clear()
    assert_complete(fetch(server.entry("good"), tmp_path))
    assert server.requests == ["/good/t10k-labels-idx1-ubyte.gz"]


def test_an_interrupted_fetch_goes_on_where_it_stopped(server, tmp_path):
    server.ways["flaky"] = lambda handler, file: (missing if file.startswith("t10k") else good)(handler, file)
    with pytest.raises(DataError):
        fetch(server.entry("flaky"), tmp_path)
    assert len(list((tmp_path / "small").iterdir())) == 2
    server.requests.clear()
    assert_complete(fetch(server.entry("good"), tmp_path))
    assert len(server.requests) == 2


def test_progress_reaches_the_end(server, tmp_path):
    seen: dict[str, tuple[int, int | None]] = {}
    fetch(server.entry("good"), tmp_path, lambda file, done, total: seen.update({file: (done, total)}))
    assert seen == {file: (len(GOOD[file]), len(GOOD[file])) for file in FILES.values()}


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made"):
        fetch(server.entry("good"), tmp_path / "file")


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def secure(authority):
    """A server with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = Server(context)
    yield server
    server.http.shutdown()
    server.http.server_close()


def trust(authority, folder, monkeypatch):
    authority.cert_pem.write_to_path(folder / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "authority.pem"))


def test_no_redirect_leads_from_https_to_http(server, secure, authority, tmp_path, monkeypatch):
    trust(authority, tmp_path, monkeypatch)
    plain = server.entry("good").bases[0]
    secure.ways["stripped"] = lambda handler, file: redirect(handler, f"{plain}{file}.gz")
    with pytest.raises(DataError, match=r"stripped/train-images.*redirects to an address without TLS"):
        fetch(secure.entry("stripped"), tmp_path)
    assert server.requests == []
    secure.ways["moved"] = lambda handler, file: redirect(handler, f"/good/{file}.gz")
    assert_complete(fetch(secure.entry("moved"), tmp_path))


def test_certificates_are_verified(secure, authority, tmp_path, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(DataError, match=r"(?i)certificate"):
        fetch(secure.entry("good"), tmp_path)
    assert secure.requests == []
    trust(authority, tmp_path, monkeypatch)
    assert_complete(fetch(secure.entry("good"), tmp_path))


def test_the_command_fetches_or_says_why_not(server, tmp_path, refimpl, monkeypatch):
    monkeypatch.setitem(REGISTRY, "mnist", server.entry("missing"))
    result = refimpl("data", "fetch", "mnist", "--to", tmp_path, code=3)
    (line,) = result.stderr.splitlines()
    assert line.startswith("refimpl: train-images-idx3-ubyte.gz could not be fetched")
    monkeypatch.setitem(REGISTRY, "mnist", server.entry("good"))
    assert "is in" in refimpl("data", "fetch", "mnist", "--to", tmp_path).stderr
    assert_complete(tmp_path / "small")


def test_no_source_unpickles_evaluates_or_trusts_blindly():
    root = Path(__file__).parent.parent
    forbidden = r"verify=False|_create_unverified_context|CERT_NONE|\bpickle\b|allow_pickle=True|(?<!\.)\beval\("
    for path in [*(root / "refimpl").rglob("*.py"), *(root / "cli").rglob("*.py")]:
        assert not re.search(forbidden, path.read_text()), path
