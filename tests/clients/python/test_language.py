"""What the request language has beyond simple reads and writes, through supabase-py's builders against `plinth rest` over
the chatbot's database."""

import os
import socket
import subprocess
import time
import uuid

import httpx
import pytest
from conftest import ADA, STATUS
from postgrest import APIError, SyncPostgrestClient

CHATBOT = STATUS["projects"]["chatbot"]


@pytest.fixture(scope="module")
def rest():
    """The URL of a `plinth rest` that allows what the project's own API does not: aggregates and plans."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {
        "PGRST_DB_URI": CHATBOT["DB_URL"], "PGRST_DB_SCHEMAS": "public", "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_JWT_SECRET": CHATBOT["JWT_SECRET"], "PGRST_DB_AGGREGATES_ENABLED": "true", "PGRST_DB_PLAN_ENABLED": "true",
        "PGRST_DB_TX_END": "commit-allow-override", "PGRST_SERVER_PORT": str(port), "PGRST_LOG_LEVEL": "crit",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PLINTH_", "PGRST_"))}
    process = subprocess.Popen([os.environ["PLINTH_BIN"], "rest"], env=inherited | settings, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_for(url, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.options(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("plinth rest is not ready")


@pytest.fixture
def ada(rest):
    with SyncPostgrestClient(rest, headers={"Authorization": f"Bearer {CHATBOT['tokens']['ada']}"}) as client:
        yield client


@pytest.fixture
def talk(ada, chat):
    """A conversation of ada's with three messages; both go at the end of the test."""
    ada.table("messages").insert([
        {"conversation_id": chat["id"], "role": "user", "content": "One, two"},
        {"conversation_id": chat["id"], "role": "assistant", "content": 'Three "3"'},
        {"conversation_id": chat["id"], "role": "user", "content": "Four"},
    ], returning="minimal").execute()
    return chat["id"]


def messages(client, talk, select="content"):
    return client.table("messages").select(select).eq("conversation_id", talk)


def test_aggregates_are_grouped_by_the_columns_beside_them(ada, talk):
    assert messages(ada, talk, "count()").execute().data == [{"count": 3}]
    assert messages(ada, talk, "role, number:content.count(), last:content.max()").order("role").execute().data == [
        {"role": "assistant", "number": 1, "last": 'Three "3"'}, {"role": "user", "number": 2, "last": "One, two"}]
    grouped = ada.table("conversations").select("messages(role, count())").eq("id", talk).order("role", foreign_table="messages")
    assert grouped.single().execute().data == {"messages": [{"role": "assistant", "count": 1}, {"role": "user", "count": 2}]}


def test_spreads_give_columns_of_one_and_arrays_of_many(ada, chat, talk):
    assert messages(ada, talk, "content, ...conversations(of:title)").eq("role", "assistant").execute().data == [
        {"content": 'Three "3"', "of": chat["title"]}]
    many = ada.table("conversations").select("...messages(said:content)").eq("id", talk).order("content", foreign_table="messages")
    assert many.execute().data == [{"said": ["Four", "One, two", 'Three "3"']}]


def test_csv_quotes_what_has_to_be_quoted(ada, talk):
    text = messages(ada, talk, "role,content").order("content").csv().execute().data
    assert text == 'role,content\nuser,Four\nuser,"One, two"\nassistant,"Three ""3"""'


def test_explain_shows_the_plan_as_text_and_as_json(ada, talk):
    assert "cost=" in messages(ada, talk).explain().execute()
    [answer] = messages(ada, talk).explain(format="json", analyze=True, verbose=True).execute().data
    plan = answer["Plan"]
    assert plan["Actual Rows"] >= 0 and plan["Output"]


def test_strip_nulls_leaves_out_keys_without_a_value(ada, talk):
    assert messages(ada, talk, "role, parts").eq("role", "assistant").strip_nulls().execute().data == [{"role": "assistant"}]
    assert messages(ada, talk, "role, parts").eq("role", "assistant").strip_nulls().single().execute().data == {"role": "assistant"}


def test_max_affected_undoes_a_write_of_more_rows(ada, talk):
    with pytest.raises(APIError) as refused:
        ada.table("messages").update({"content": "x"}).eq("conversation_id", talk).max_affected(2).execute()
    assert refused.value.code == "PGRST124"
    with pytest.raises(APIError) as refused:
        ada.table("messages").delete().eq("conversation_id", talk).max_affected(2).execute()
    assert refused.value.code == "PGRST124"
    assert messages(ada, talk).eq("content", "x").execute().data == []
    assert len(ada.table("messages").delete().eq("conversation_id", talk).max_affected(3).execute().data) == 3


def test_rollback_answers_as_if_and_leaves_nothing(ada, talk):
    insert = ada.table("messages").insert({"conversation_id": talk, "role": "system"})
    # There is no builder for it.
    insert.request.headers["Prefer"] += ",tx=rollback"
    assert insert.execute().data[0]["role"] == "system"
    assert messages(ada, talk).eq("role", "system").execute().data == []


def test_upserts_merge_ignore_and_fill_in_defaults(ada, talk):
    known = messages(ada, talk, "*").eq("role", "assistant").single().execute().data
    merged = ada.table("messages").upsert([known | {"content": "again"}], on_conflict="id", count="exact").execute()
    assert (merged.count, merged.data[0]["content"]) == (1, "again")
    fresh = {"id": str(uuid.uuid4()), "conversation_id": talk, "role": "tool"}
    rows = [{key: known[key] for key in fresh}, fresh]
    ignored = ada.table("messages").upsert(rows, on_conflict="id", ignore_duplicates=True, default_to_null=False).execute()
    assert [(row["id"], row["content"]) for row in ignored.data] == [(fresh["id"], "")]
    uneven = [{"conversation_id": talk, "role": "user", "content": "x"}, {"conversation_id": talk, "role": "user"}]
    assert [row["content"] for row in ada.table("messages").insert(uneven, default_to_null=False).execute().data] == ["x", ""]
    with pytest.raises(APIError) as refused:
        ada.table("messages").insert(uneven).execute()
    assert refused.value.code == "23502"


def test_functions_by_get_and_head(ada, talk):
    answer = ada.rpc("get_conversation_messages", {"conversation_id": talk}, get=True).execute().data
    assert answer["user_id"] == ADA and len(answer["messages"]) == 3
    assert ada.rpc("is_json_schema", {"value": '{"type":"object"}'}, get=True).execute().data is True
    head = ada.rpc("get_conversation_messages", {"conversation_id": talk}, head=True, count="exact").execute()
    assert (head.count, head.data) == (1, [])
