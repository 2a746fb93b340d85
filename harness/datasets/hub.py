"""The Hugging Face Hub as a server of data: listings with digests, one request for each file."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from harness.datasets.remote import MAX_WAIT_S, PORTAL, FileFault, RemoteBusy, RemoteFile, retry_after
from harness.errors import DataError, HarnessError, UserError, describe_error, error_chain, one_line
from harness.files import detect_placeholder, open_regular_file, read_blocks

REPOSITORY = "MHuangX/LAION-Beyond"

FILES_PER_WINDOW = {False: 3000, True: 5000}
"""Files that the Hub serves in 5 minutes, without and with a token: https://huggingface.co/docs/hub/rate-limits."""

NO_NETWORK_HINT = "check the network, and HF_ENDPOINT if it is set, and run the same command again"

MISSING_HINT = "the repository may have moved; check its page"

_PATHS_PER_REQUEST = 500


class HuggingFace:
    """The Hugging Face Hub, through huggingface_hub (imported at construction, because that is slow).

    Args:
        repository: owner and name.
        endpoint: address of a copy of the Hub; None for the default or ``HF_ENDPOINT``.

    Attributes:
        api: the client of huggingface_hub.
        name: the repository.
    """

    def __init__(self, repository: str = REPOSITORY, endpoint: str | None = None) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # one bar for each of 157,382 files
        self.api = HfApi(endpoint=endpoint)
        _require_address(self.api.endpoint)
        self._headers = build_hf_headers()
        self.name = repository

    def commit(self, revision: str) -> str:
        """See Remote."""
        with translate_errors(f"revision {revision} of {self.name}"):
            return str(self.api.repo_info(self.name, repo_type="dataset", revision=revision).sha)

    def names(self, commit: str) -> list[str]:
        """See Remote."""
        with translate_errors(self.name):
            return [entry.path for entry in self.api.list_repo_tree(self.name, repo_type="dataset", revision=commit)]

    def files(self, folder: str, commit: str) -> list[RemoteFile]:
        """See Remote."""
        with translate_errors(f"{self.name}/{folder}"):
            return _files(
                self.api.list_repo_tree(self.name, folder, recursive=True, repo_type="dataset", revision=commit)
            )

    def find(self, paths: Sequence[str], commit: str) -> list[RemoteFile]:
        """See Remote."""
        found = []
        for start in range(0, len(paths), _PATHS_PER_REQUEST):
            some = list(paths[start : start + _PATHS_PER_REQUEST])
            with translate_errors(f"{self.name}/{some[0]}"):
                found += _files(self.api.get_paths_info(self.name, some, repo_type="dataset", revision=commit))
        return found

    def fetch(self, files: Sequence[RemoteFile], commit: str) -> Iterator[tuple[RemoteFile, Iterator[bytes]]]:
        """See Remote."""
        for file in files:
            yield file, self._blocks(file, commit)

    def advice(self, files: Sequence[RemoteFile]) -> str | None:
        """See Remote: the Hub's rate limit, if it decides how long the download takes."""
        requests = sum(not (file.xet and _xet_available()) for file in files)
        token = "authorization" in self._headers
        limit = FILES_PER_WINDOW[token]
        if requests <= limit or not (urlsplit(self.api.endpoint).hostname or "").endswith("huggingface.co"):
            return None
        said = f"the Hub serves {limit:,} files in 5 minutes {'with a' if token else 'without a'} token: "
        said += f"{requests:,} files take at least {requests // limit * 5} minutes"
        return said if token else f"{said}; `hf auth login` or HF_TOKEN raises the limit to {FILES_PER_WINDOW[True]:,}"

    def _blocks(self, file: RemoteFile, commit: str) -> Iterator[bytes]:
        get = self._get_xet if file.xet and _xet_available() else self._get
        with translate_errors(f"{self.name}/{file.path}", of_file=True):
            yield from get(file, commit)

    def _get(self, file: RemoteFile, commit: str) -> Iterator[bytes]:
        """The content by one request; huggingface_hub's own download asks for the metadata first, which are listed."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        endpoint = self.api.endpoint
        url = hf_hub_url(self.name, file.path, repo_type="dataset", revision=commit, endpoint=endpoint)
        with get_session().stream("GET", url, headers=self._headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT) as response:
            hf_raise_for_status(response)
            yield from response.iter_bytes()

    def _get_xet(self, file: RemoteFile, commit: str) -> Iterator[bytes]:
        """The content from Xet storage, which has no limit on the number of files."""
        from huggingface_hub.file_download import xet_get
        from huggingface_hub.utils import XetFileData  # type: ignore[attr-defined]

        refresh = f"{self.api.endpoint}/api/datasets/{self.name}/xet-read-token/{commit}"
        with TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            data = XetFileData(file_hash=str(file.xet), refresh_route=refresh)
            xet_get(incomplete_path=path, xet_file_data=data, headers=self._headers, expected_size=file.size)
            with open_regular_file(path) as content:
                yield from read_blocks(content)


def _xet_available() -> bool:
    from huggingface_hub.constants import HF_HUB_DISABLE_XET

    return find_spec("hf_xet") is not None and not HF_HUB_DISABLE_XET


def _files(entries: Any) -> list[RemoteFile]:
    """The files among the entries of a listing."""
    found = []
    for entry in entries:
        if hasattr(entry, "size"):
            checksum = f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git-sha1:{entry.blob_id}"
            found.append(
                RemoteFile(path=entry.path, size=entry.size, checksum=checksum, xet=getattr(entry, "xet_hash", None))
            )
    return found


def _require_address(endpoint: str) -> None:
    """Check the address of the Hub; a malformed one would look like a network failure.

    Raises:
        UserError: it is not an http(s) address.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(
            f"HF_ENDPOINT is {endpoint!r}, which is not the address of a Hub",
            "write it with its scheme, for example HF_ENDPOINT=https://huggingface.co, or unset it",
        )


@contextmanager
def translate_errors(what: str, of_file: bool = False) -> Iterator[None]:
    """Translate errors of huggingface_hub and its HTTP library; nothing in the block writes to the data folder."""
    from huggingface_hub.errors import HfHubHTTPError

    http_error = cast("type[Exception]", HfHubHTTPError.__mro__[1])  # of the HTTP library; the base of all its errors
    try:
        yield
    except RecursionError as error:  # of the parser of JSON; any other RuntimeError is of the HTTP library
        raise _malformed(error, what) from error
    except (http_error, OSError, RuntimeError) as error:
        raise _to_harness_error(error, what, of_file) from error
    except OverflowError as error:  # time.sleep in huggingface_hub
        raise RemoteBusy(f"{what}: the server asks to wait", 2 * MAX_WAIT_S) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _malformed(error, what) from error


def unresolved_hub() -> str | None:
    """The name of the Hub if it does not resolve on this machine; None if it does, or if a proxy resolves it."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if not address.hostname or address.scheme in getproxies() or "all" in getproxies():
        return None
    try:
        socket.getaddrinfo(address.hostname, address.port or 443)
    except OSError:
        return address.hostname
    return None


@contextmanager
def cached_files_without_hub() -> Iterator[None]:
    """Take files from the cache of huggingface_hub at once where the Hub's name does not resolve.

    Its client would try every file for many seconds first.

    Raises:
        ConnectionError: a file is not in the cache, and the name of the Hub does not resolve.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    missing, before = unresolved_hub(), constants.HF_HUB_OFFLINE
    if missing is None or before:
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    except Exception as error:
        if not any(isinstance(cause, OfflineModeIsEnabled) for cause in error_chain(error)):
            raise
        raise ConnectionError(f"the name {missing} does not resolve: check the network") from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _to_harness_error(error: BaseException, what: str, of_file: bool) -> Exception:
    from huggingface_hub.errors import OfflineModeIsEnabled

    causes = list(error_chain(error))
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return DataError("HF_HUB_OFFLINE is set, so nothing can be downloaded", "unset it, or use --offline")
    for cause in causes:
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        if status in (401, 403):
            return DataError(f"the Hub does not give access to {what}", "log in with `hf auth login`")
        if status in (404, 410):
            missing = f"the Hub has no {what}"
            return FileFault(missing) if of_file else DataError(missing, MISSING_HINT)
        if status is not None and response is not None:
            return RemoteBusy(f"HTTP {status} for {what}", retry_after(response.headers), status)
    if any(isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN for cause in causes):
        return DataError(f"{what} cannot be reached: the server's name does not resolve", NO_NETWORK_HINT)
    return RemoteBusy(f"{what}: {one_line(causes[-1]) or type(causes[-1]).__name__}")


def _malformed(error: Exception, what: str) -> HarnessError:
    """The error for an answer that is not the Hub's, or a name that is not valid there."""
    from huggingface_hub.errors import HFValidationError

    if isinstance(error, HFValidationError):
        return DataError(f"{what} is not a valid name: {one_line(error)}")
    page = isinstance(error, json.JSONDecodeError) and detect_placeholder(error.doc.encode(errors="replace"))
    if page:
        return DataError(f"{what}: the server sent {PORTAL}", "then run the same command again")
    return DataError(
        f"{what}: the server's answer is malformed: {describe_error(error)}",
        "check the address in HF_ENDPOINT",
    )
