"""Access to the Hugging Face Hub for downloads, with errors that say whether to retry."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from harness.errors import DataError, HarnessError, StorageError, UserError

REPOSITORY = "MHuangX/LAION-Beyond"

T = TypeVar("T")

_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


class HubFile(NamedTuple):
    """A file of the repository: path from its root, size in bytes."""

    path: str
    size: int


class HubBusy(Exception):  # noqa: N818 - a state, not an error: retry
    """The Hub cannot answer at the moment: too many requests, a server error or no connection.

    Args:
        reason: what happened.
        retry_after: seconds to wait by the Hub's response, if given.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Hub(Protocol):
    """A dataset repository. Calls raise HubBusy if a retry may help, and a HarnessError otherwise."""

    def commit(self, revision: str) -> str:
        """The commit of a branch, tag or commit."""

    def names(self, commit: str) -> list[str]:
        """Files and folders at the top of the repository."""

    def files(self, folder: str, commit: str) -> list[HubFile]:
        """All files under a folder."""

    def fetch(self, path: str, commit: str, dest: Path) -> None:
        """Download one file to ``dest / path`` atomically; resumes an interrupted download."""

    def clean_up(self, folder: str, dest: Path) -> None:
        """Remove partial downloads of a complete folder."""


class HuggingFace:
    """The Hugging Face Hub, through huggingface_hub (imported at construction, because that is slow).

    Args:
        repository: owner and name.
        endpoint: address of a mirror; None for the default or ``HF_ENDPOINT``.
    """

    def __init__(self, repository: str = REPOSITORY, endpoint: str | None = None) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # one bar for each of 157,382 files
        self._api = HfApi(endpoint=endpoint)
        _require_address(self._api.endpoint)
        self._repository = repository

    def commit(self, revision: str) -> str:
        """See Hub."""
        with _translate_errors(f"revision {revision} of {self._repository}"):
            return str(self._api.repo_info(self._repository, repo_type="dataset", revision=revision).sha)

    def names(self, commit: str) -> list[str]:
        """See Hub."""
        with _translate_errors(self._repository):
            tree = self._api.list_repo_tree(self._repository, repo_type="dataset", revision=commit)
            return [entry.path for entry in tree]

    def files(self, folder: str, commit: str) -> list[HubFile]:
        """See Hub."""
        with _translate_errors(f"{self._repository}/{folder}"):
            tree = self._api.list_repo_tree(
                self._repository, folder, recursive=True, repo_type="dataset", revision=commit
            )
            return [HubFile(entry.path, entry.size) for entry in tree if hasattr(entry, "size")]

    def fetch(self, path: str, commit: str, dest: Path) -> None:
        """See Hub."""
        with _translate_errors(f"{self._repository}/{path}"):
            self._api.hf_hub_download(
                self._repository,
                path,
                repo_type="dataset",
                revision=commit,
                local_dir=dest,
                # An existing file gets here only if its size is wrong.
                force_download=(dest / path).exists(),
            )

    def clean_up(self, folder: str, dest: Path) -> None:
        """See Hub."""
        shutil.rmtree(dest / ".cache" / "huggingface" / "download" / folder, ignore_errors=True)


def _require_address(endpoint: str) -> None:
    """Check the address of a mirror; a malformed one would look like a network failure.

    Raises:
        UserError: it is not an http(s) address.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(
            f"HF_ENDPOINT is {endpoint!r}, which is not the address of a Hub",
            "write it with its scheme, for example HF_ENDPOINT=https://huggingface.co, or unset it",
        )


def retry(call: Callable[[], T], sleep: Callable[[float], None], tries: int) -> T:
    """Call until the Hub answers, waiting as long as it requests, else 1, 2, 4 ... 60 s.

    Raises:
        DataError: the Hub is busy or out of reach at every try.
    """
    for attempt in range(tries):
        try:
            return call()
        except HubBusy as busy:
            if attempt == tries - 1:
                raise DataError(
                    f"the Hub did not answer after {tries} tries: {busy.reason}",
                    "check the network and run the same command again: it resumes the download; "
                    "--offline uses the existing files",
                ) from busy
            sleep(min(2.0**attempt, 60.0) if busy.retry_after is None else busy.retry_after)
    raise AssertionError("unreachable")


@contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Translate errors of huggingface_hub, its HTTP library and the disk into HarnessError or HubBusy."""
    from huggingface_hub.errors import HfHubHTTPError

    # requests.HTTPError up to 0.x, httpx.HTTPError from 1.0 on; also the base of connection errors.
    http_error = cast("type[Exception]", HfHubHTTPError.__mro__[1])
    try:
        yield
    except (http_error, OSError, ValueError, RuntimeError) as error:
        raise _to_harness_error(error, what) from error


def _to_harness_error(error: BaseException, what: str) -> HarnessError | HubBusy:
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    causes = list(_error_chain(error))
    for cause in causes:
        if isinstance(cause, OfflineModeIsEnabled):
            return DataError("HF_HUB_OFFLINE is set, so nothing can be downloaded", "unset it, or use --offline")
        if isinstance(cause, HFValidationError):
            return DataError(f"{what} is not a valid name: {cause}")
        if isinstance(cause, OSError) and cause.errno in _DISK_ERRNOS:
            return StorageError(f"{what} cannot be written: {cause.strerror}", "free space or choose another folder")
    for cause in causes:
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        if status in (401, 403):
            return DataError(f"the Hub does not give access to {what}", "log in with `hf auth login`")
        if status in (404, 410):
            return DataError(f"the Hub has no {what}", "the repository may have moved; check its page")
        if status is not None and response is not None:
            return HubBusy(f"HTTP {status} for {what}", _retry_after(response.headers))
    last = causes[-1]
    return HubBusy(f"{what}: {str(last).splitlines()[0] if str(last) else type(last).__name__}")


def _error_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(headers: object) -> float | None:
    """Seconds to wait by the ``Retry-After`` header (seconds or a date) or the Hub's ``RateLimit`` header."""
    get: Callable[[str], str | None] = getattr(headers, "get", lambda name: None)
    value = (get("retry-after") or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    if value:
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
        except (ValueError, TypeError):
            return None
    reset = re.search(r"\br=0\b.*\bt=([0-9]+)", get("ratelimit") or "")
    return float(reset[1]) if reset else None
