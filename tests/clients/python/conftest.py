"""The running server, as tests/clients/run describes it: URLs, keys and tokens of every project."""

import json
import os
import pathlib
import uuid

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


@pytest.fixture
def chat():
    """A conversation of ada's in the chatbot, which is deleted at the end of the test."""
    ada = signed_in("chatbot", "ada")
    row = ada.table("conversations").insert({"user_id": ADA, "title": f"py {uuid.uuid4()}"}).execute().data[0]
    yield row
    ada.table("conversations").delete().eq("id", row["id"]).execute()
