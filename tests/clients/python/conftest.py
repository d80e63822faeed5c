"""The running server, as tests/clients/run describes it: URLs, keys and tokens of every project."""

import json
import os
import pathlib
import re
import time
import urllib.parse
import uuid
from typing import NamedTuple

import httpx
import pytest
from supabase import Client, ClientOptions, create_client

STATUS = json.loads(pathlib.Path(os.environ["PLINTH_TEST_STATUS"]).read_text())

ADA = "a0000000-0000-4000-8000-000000000001"
BEN = "b0000000-0000-4000-8000-000000000002"
FIVE = ["paradyze", "echelon", "chatbot", "domo", "aethercrown"]


def url(project: str) -> str:
    return STATUS["projects"][project]["API_URL"]


def key(project: str, name: str) -> str:
    return STATUS["projects"][project][name]


def _options(headers: dict[str, str] | None = None) -> ClientOptions:
    return ClientOptions(auto_refresh_token=False, persist_session=False, headers=dict(headers or {}))


def visitor(project: str) -> Client:
    """A client with the anon key and nothing else."""
    return create_client(url(project), key(project, "ANON_KEY"), _options())


def backend(project: str) -> Client:
    """A client with the service key."""
    return create_client(url(project), key(project, "SERVICE_ROLE_KEY"), _options())


def signed_in(project: str, person: str) -> Client:
    """A client with the token of ada, ben or eve."""
    token = STATUS["projects"][project]["tokens"][person]
    return create_client(url(project), key(project, "ANON_KEY"), _options({"Authorization": f"Bearer {token}"}))


class Mail(NamedTuple):
    code: str | None
    link: str | None
    hash: str | None


def mail_to(address: str) -> Mail:
    """Waits for a mail to the address and takes it out of the inbox."""
    api = f"{STATUS['inbox']}/api/v1"
    deadline = time.monotonic() + 10
    while not (found := httpx.get(f"{api}/search", params={"query": f'to:"{address}"'}).json()["messages"]):
        assert time.monotonic() < deadline, f"no mail to {address}"
        time.sleep(0.02)
    text = httpx.get(f"{api}/message/{found[-1]['ID']}").json()["Text"]
    httpx.request("DELETE", f"{api}/messages", json={"IDs": [found[-1]["ID"]]})
    code = re.search(r"^Code: (\d+)\s*$", text, re.MULTILINE)
    link = re.search(r"https?://\S+/verify\?\S+", text)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(link[0]).query) if link else {}
    return Mail(code and code[1], link and link[0], query.get("token", [None])[0])


@pytest.fixture
def chat():
    """A conversation of ada's in the chatbot, which is deleted at the end of the test."""
    ada = signed_in("chatbot", "ada")
    row = ada.table("conversations").insert({"user_id": ADA, "title": f"py {uuid.uuid4()}"}).execute().data[0]
    yield row
    ada.table("conversations").delete().eq("id", row["id"]).execute()
