-- Tools exist, stay while they are in use, and have a schema that is one.

-- test: a definition names tools that exist
select tests.throws($$update agent_definitions set tools = '["99999999-0000-4000-8000-000000000000"]'$$, '23503');
select tests.affects($$update agent_definitions set tools = '["20000000-0000-4000-8000-00000000000b"]'$$, 2);
select tests.affects($$update agent_definitions set tools = '[]'$$, 2);
select tests.affects($$update agent_definitions set tools = null$$, 2);

-- test: tools is an array of ids and nothing else
select tests.throws($$update agent_definitions set tools = '{"a": 1}'$$, '23514');
select tests.throws($$update agent_definitions set tools = '"20000000-0000-4000-8000-00000000000b"'$$, '23514');
select tests.throws($$update agent_definitions set tools = '[1]'$$, '23514');
select tests.throws($$update agent_definitions set tools = '["web_search"]'$$, '23514');
select tests.throws($$update agent_definitions set tools = 'null'$$, '23514');

-- test: the check works for a user too
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.affects($$insert into agent_definitions (user_id, name, description, system_prompt, tools)
  values ('00000000-0000-4000-8000-00000000000b', 'n', 'd', 'p', '["20000000-0000-4000-8000-00000000000a"]')$$, 1);
select tests.throws($$insert into agent_definitions (user_id, name, description, system_prompt, tools)
  values ('00000000-0000-4000-8000-00000000000b', 'n', 'd', 'p', '["99999999-0000-4000-8000-000000000000"]')$$, '23503');

-- test: a tool in use is not deleted and keeps its id
select tests.throws($$delete from agent_tools where name = 'web_search'$$, '23503');
select tests.throws($$update agent_tools set id = gen_random_uuid() where name = 'web_search'$$, '23503');
update agent_definitions set tools = '[]';
select tests.affects($$delete from agent_tools where name = 'web_search'$$, 1);

-- test: a definition's tools come as rows in its order
select tests.is((select string_agg(t.name, ',') from agent_definitions d, tools_of(d) t where d.name = 'Public'),
                'calculator,web_search', 'tools');

-- test: a tool's schema describes an object of named arguments
select tests.throws($$update agent_tools set schema = '{"type": "nonsense"}'$$, '23514');
select tests.throws($$update agent_tools set schema = '{}'$$, '23514');
select tests.throws($$update agent_tools set schema = '{"type": "string"}'$$, '23514');
select tests.throws($$update agent_tools set schema = '[]'$$, '23514');
select tests.throws($$update agent_tools set schema = 'true'$$, '23514');

-- test: a schema is looked at on every level
select tests.throws(format('update agent_tools set schema = %L', jsonb_build_object('type', 'object') || bad), '23514')
from unnest(array[
  '{"properties": {"a": {"type": "nonsense"}}}',
  '{"properties": {"a": {"type": ["string", "nonsense"]}}}',
  '{"properties": {"a": {"type": []}}}',
  '{"properties": {"a": {"type": ["string", "string"]}}}',
  '{"properties": {"a": {"type": null}}}',
  '{"properties": {"a": "string"}}',
  '{"properties": ["a"]}',
  '{"properties": {"a": {"type": "array", "items": {"type": "nonsense"}}}}',
  '{"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "nonsense"}]}}}',
  '{"properties": {"a": {"anyOf": []}}}',
  '{"properties": {"a": {"enum": "x"}}}',
  '{"properties": {"a": {"minimum": "1"}}}',
  '{"additionalProperties": "no"}',
  '{"required": "a"}',
  '{"required": [1]}',
  '{"$defs": {"a": {"type": "nonsense"}}}'
]::jsonb[]) bad;

-- test: schemas that are good are accepted
select tests.affects(format('update agent_tools set schema = %L where name = ''unused''', good), 1)
from unnest(array[
  '{"type": "object"}',
  '{"type": "object", "properties": {}, "additionalProperties": false}',
  '{"type": "object", "properties": {"a": true, "b": {}}, "required": ["a"]}',
  '{"type": "object", "properties": {"a": {"type": ["string", "null"], "minLength": 1, "format": "uri"}}}',
  '{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}, "maxItems": 3}}}',
  '{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"oneOf": [{"type": "null"}, {"enum": [1, null]}]}}}',
  '{"type": "object", "x-our-own": {"type": "whatever"}}'
]::jsonb[]) good;
