"""One download over HTTP, bounded in size and in time, that never leaves TLS."""

import threading
from collections.abc import Callable
from typing import NoReturn

import requests
from urllib3.exceptions import ReadTimeoutError

from ..errors import DataError

MAX_SILENCE = 30.0  # seconds without a byte
MAX_SECONDS = 1800.0  # from the look-up of the host to the last byte
MAX_BODY = 2**26  # bytes; the largest file of the registry has 26 million
CHUNK = 2**16


class UnreachableError(DataError):
    """No connection to the host came about."""


def download(url: str, progress: Callable[[int, int | None], None]) -> bytes:
    """Body at `url`; `progress` is called from another thread with the bytes so far and, where known, in all.

    TLS certificates are verified, as requests does unless told otherwise, and no redirect leads from https to http.

    Raises `UnreachableError` where there is no connection, `DataError` for a status that is no success, an
    unverified certificate, more than `MAX_BODY` bytes, silence of `MAX_SILENCE` or `MAX_SECONDS` in all.
    """
    thread = _Thread(url, progress)
    thread.start()
    try:
        thread.join(MAX_SECONDS)
    finally:
        thread.abandoned.set()
    if isinstance(thread.result, Exception):
        _explain(thread.result)
    return thread.result


class _Thread(threading.Thread):
    """A request in a thread of its own: the timeout of a socket bounds each wait, but not the sum of them."""

    def __init__(self, url: str, progress: Callable[[int, int | None], None]) -> None:
        super().__init__(daemon=True)
        self.url, self.progress = url, progress
        self.result: bytes | Exception = DataError(f"took longer than {MAX_SECONDS:g} seconds")
        self.abandoned = threading.Event()

    def run(self) -> None:
        try:
            self.result = self.body()
        except Exception as error:
            self.result = error

    def body(self) -> bytes:
        body = bytearray()
        with requests.Session() as session:
            if self.url.startswith("https:"):
                del session.adapters["http://"]  # which the addresses that it redirects to would use
            with session.get(self.url, stream=True, timeout=MAX_SILENCE) as response:
                response.raise_for_status()
                total = int(response.headers.get("Content-Length", 0)) or None
                for chunk in response.iter_content(CHUNK):
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise DataError(f"sent more than {MAX_BODY} bytes")
                    if self.abandoned.is_set():
                        break
                    self.progress(len(body), total)
        return bytes(body)


def _explain(error: Exception) -> NoReturn:
    """Raise `DataError` with a few words for an exception of requests, whose own are pages long."""
    match error:
        case requests.HTTPError(response=requests.Response() as response):
            raise DataError(f"{response.status_code} {response.reason}") from None
        case requests.exceptions.SSLError():
            raise DataError("its certificate could not be verified") from None
        case requests.exceptions.InvalidSchema():
            raise DataError("redirects to an address without TLS") from None
        case requests.ReadTimeout() | requests.ConnectionError(args=(ReadTimeoutError(),)):
            raise DataError(f"sent nothing for {MAX_SILENCE:g} seconds") from None
        case requests.ConnectionError():
            raise UnreachableError("cannot be reached") from None
        case requests.RequestException():
            raise DataError("the answer broke off or is not valid HTTP") from None
        case _:
            raise error
