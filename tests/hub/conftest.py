from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ..leaderboard.conftest import harness, lab, shared_lab  # noqa: F401 - fixtures
from .repositories import REPOSITORY, HubServer, serving

Login = Callable[[str | None], None]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server with the interface of the Hub and one repository, for commands of this process."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("harness.hub.repository.TRIES", 1)
    with serving() as server:
        template = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"  # both are made of HF_ENDPOINT
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        server.create(REPOSITORY)
        yield server


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Login:
    """Changes the token; it begins as that of the owner."""
    token: list[str | None] = ["hf_lab"]
    for module in ("_headers", "_auth"):
        monkeypatch.setattr(f"huggingface_hub.utils.{module}.get_token", lambda: token[0])

    def change(new: str | None) -> None:
        token[0] = new

    return change
