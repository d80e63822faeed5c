"""The five systems through supabase-py: a smaller round than the one in JavaScript."""

import uuid

import pytest
from conftest import ADA, BEN, FIVE, backend, key, signed_in, url, visitor
from postgrest import APIError
from supabase import create_client

OWN = {"paradyze": "agents", "echelon": "agents", "chatbot": "conversations", "domo": "demo_videos", "aethercrown": "ai_clones"}


def code(request) -> str:
    with pytest.raises(APIError) as refused:
        request.execute()
    return refused.value.code


@pytest.mark.parametrize("project", FIVE)
def test_ada_sees_her_rows_and_eve_and_visitors_do_not(project):
    table = OWN[project]
    assert signed_in(project, "ada").table(table).select("id").execute().data
    assert signed_in(project, "eve").table(table).select("id").execute().data == []
    try:
        assert visitor(project).table(table).select("id").execute().data == []
    except APIError as refused:
        assert refused.code == "42501"


@pytest.mark.parametrize("project", FIVE)
def test_eve_changes_and_deletes_nothing_of_adas(project):
    table = OWN[project]
    row = signed_in(project, "ada").table(table).select("id").limit(1).execute().data[0]
    eve = signed_in(project, "eve").table(table)
    assert eve.delete().eq("id", row["id"]).execute().data == []
    assert len(backend(project).table(table).select("id").eq("id", row["id"]).execute().data) == 1


@pytest.mark.parametrize("project", FIVE)
def test_the_server_counts_every_row(project):
    answer = backend(project).table(OWN[project]).select("id", count="exact").execute()
    assert answer.count == len(answer.data) > 0


def test_crud(chat):
    ada = signed_in("chatbot", "ada")
    messages = ada.table("messages").insert([
        {"conversation_id": chat["id"], "role": "user", "content": "Hi"},
        {"conversation_id": chat["id"], "role": "assistant", "content": "Hello"},
    ]).execute().data
    assert [message["role"] for message in messages] == ["user", "assistant"]
    changed = ada.table("messages").update({"content": "Hi!"}).eq("id", messages[0]["id"]).execute().data
    assert changed[0]["content"] == "Hi!"
    upserted = ada.table("conversations").upsert({"id": chat["id"], "user_id": ADA, "title": "Again"}).execute().data
    assert upserted[0]["title"] == "Again"
    assert len(ada.table("messages").delete().eq("conversation_id", chat["id"]).execute().data) == 2


def test_filters_order_and_range():
    ada = signed_in("chatbot", "ada")
    tools = ada.table("agent_tools").select("name").eq("is_system", True).order("name").execute().data
    assert [tool["name"] for tool in tools] == ["calculator", "create_document", "web_search"]
    assert len(ada.table("agent_tools").select("name").in_("name", ["calculator", "get_weather"]).execute().data) == 2
    assert ada.table("agent_tools").select("name").ilike("description", "%WEATHER%").execute().data == [{"name": "get_weather"}]
    assert ada.table("agent_tools").select("name").not_.is_("metadata", "null").execute().data == [{"name": "get_weather"}]
    assert ada.table("agent_tools").select("name").or_("name.eq.calculator,name.eq.web_search").order("name", desc=True).execute().data == [
        {"name": "web_search"}, {"name": "calculator"}]
    assert ada.table("agent_tools").select("name").eq("is_system", True).order("name").range(1, 2).execute().data == tools[1:]
    assert ada.table("agent_tools").select("schema->required").contains("schema", {"required": ["query"]}).execute().data == [
        {"required": ["query"]}]


def test_embeds():
    ada = signed_in("chatbot", "ada")
    row = (ada.table("conversations").select("title, messages(role)").eq("title", "Solid-state batteries")
           .order("created_at", foreign_table="messages").single().execute().data)
    assert [message["role"] for message in row["messages"]] == ["user", "assistant", "tool", "assistant"]
    instance = ada.table("agent_instances").select("name, agent_definitions(name)").eq("name", "Battery research").single().execute().data
    assert instance["agent_definitions"] == {"name": "Research assistant"}
    inner = ada.table("conversations").select("title, messages!inner(role)").eq("messages.role", "tool").execute().data
    assert [row["title"] for row in inner] == ["Solid-state batteries"]


def test_functions(chat):
    ada = signed_in("chatbot", "ada")
    answer = ada.rpc("get_conversation_messages", {"conversation_id": chat["id"]}).execute().data
    assert answer["title"] == chat["title"]
    assert answer["messages"] == []
    assert ada.rpc("is_json_schema", {"value": {"type": "nonsense"}}).execute().data is False
    stats = signed_in("domo", "ada").rpc("get_demo_stats", {"demo_uuid": "d0000000-0000-4000-8000-000000000001"}).execute().data
    assert stats[0]["video_count"] == 3


def test_single_and_csv():
    ada = signed_in("chatbot", "ada")
    assert ada.table("subscriptions").select("plan").single().execute().data == {"plan": "pro"}
    assert ada.table("agent_tools").select("name").eq("name", "nothing").maybe_single().execute() is None
    assert code(ada.table("agent_tools").select("name").single()) == "PGRST116"
    assert ada.table("agent_tools").select("name,is_system").eq("name", "calculator").csv().execute().data.strip() == "name,is_system\ncalculator,t"


def test_row_level_security_between_two_people(chat):
    ben = signed_in("chatbot", "ben")
    assert ben.table("conversations").select("id").eq("id", chat["id"]).execute().data == []
    assert code(ben.table("messages").insert({"conversation_id": chat["id"], "role": "user"})) == "42501"
    assert code(ben.table("conversations").insert({"user_id": ADA})) == "42501"
    assert code(ben.table("subscriptions").update({"agent_limit": 99}).eq("user_id", BEN)) == "42501"
    assert code(visitor("chatbot").table("conversations").select("id")) == "42501"


def test_errors_have_the_codes_of_postgrest():
    ada = signed_in("chatbot", "ada")
    assert code(ada.table("nothing").select("*")) == "PGRST205"
    assert code(ada.table("conversations").select("nothing")) == "42703"
    assert code(backend("chatbot").table("conversations").insert({"title": "x"})) == "23502"
    assert code(ada.table("conversations").select("*").eq("id", "x")) == "22P02"
    assert code(ada.rpc("nothing", {})) == "PGRST202"
    assert code(backend("chatbot").table("conversations").insert({"user_id": str(uuid.uuid4())})) == "23503"


def test_new_keys_work_like_the_old_ones():
    server = create_client(url("chatbot"), key("chatbot", "SECRET_KEY"))
    assert server.table("users").select("email").eq("id", ADA).single().execute().data == {"email": "ada@example.com"}
    browser = create_client(url("chatbot"), key("chatbot", "PUBLISHABLE_KEY"))
    assert code(browser.table("users").select("email")) == "42501"


def test_a_key_of_another_project_is_refused():
    stranger = create_client(url("domo"), key("chatbot", "SERVICE_ROLE_KEY"))
    with pytest.raises(APIError):
        stranger.table("demos").select("id").execute()
