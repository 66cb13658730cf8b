"""Messages reach a template in the shape it knows, whatever a client sends."""

import json

import pytest
from tiny_models import TEMPLATE

from mlxk.chat.types import (
    Image,
    Message,
    Request,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from mlxk.contract.errors import InvalidValue
from mlxk.engine.markup import markup
from mlxk.engine.prompt import Prompter
from mlxk.engine.template import ChatTemplate
from mlxk.engine.tokenizer import load_text

STRICT = """\
{%- if messages[0].role == 'system' -%}{{ raise_exception('no system') }}{%- endif -%}
{%- for m in messages -%}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('roles must alternate') }}{%- endif -%}
[{{ m.role }}] {{ m.content }}
{% endfor -%}"""

WITH_TOOLS = """\
{%- for t in tools or [] -%}T:{{ t | tojson }}
{% endfor -%}
{%- for m in messages -%}
{{ m.role }}:{{ m.content }}{% if m.reasoning_content %}~{{ m.reasoning_content }}{% endif %}
{%- for c in m.tool_calls or [] -%}|{{ c.function.name }}({{ c.function.arguments.path }})
{%- endfor -%};
{%- endfor -%}"""

LEADING_ONLY = """\
{%- if messages[0].role == 'system' -%}S:{{ messages[0].content }}
{% endif -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}U:{{ m.content }}
{% endif -%}{%- endfor -%}"""


def system(text):
    return Message("system", (Text(text),))


def user(text):
    return Message("user", (Text(text),))


def said(text):
    return Message("assistant", (Text(text),))


@pytest.fixture
def rendered(tiny_model, tmp_path):
    def render(template, *messages, **fields):
        from tiny_models import build

        folder = tmp_path / str(hash(template))
        if not folder.exists():
            build(folder, "qwen3", template=template)
        return Prompter(load_text(folder)).prompt(Request("m", messages, **fields)).text

    return render


def test_a_plain_template_gets_every_turn(rendered):
    text = rendered(TEMPLATE, system("s"), user("u"))
    assert text == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant"
    )


def test_leading_systems_are_one(rendered):
    assert "system\na\n\nb<" in rendered(TEMPLATE, system("a"), system("b"), user("u"))


def test_a_template_without_system_gets_it_in_the_first_user_turn(rendered):
    assert rendered(STRICT, system("s"), user("u")) == "[user] s\n\nu\n"


def test_turns_alternate_where_the_template_insists(rendered):
    text = rendered(STRICT, user("a"), user("b"), said("c"), system("d"), user("e"))
    assert text == "[user] a\n\nb\n[assistant] c\n[user] d\n\ne\n"


def test_a_late_system_message_is_not_lost(rendered):
    text = rendered(LEADING_ONLY, system("a"), user("u"), said("x"), system("b"), user("v"))
    assert text == "S:a\nU:u\nU:b\nU:v\n"


def test_calls_results_and_thoughts_are_in_the_templates_names(rendered):
    call = Message(
        "assistant", (Thinking("hm"), Text("ok"), ToolUse("call_1", "Read", '{"path": "x"}'))
    )
    result = Message("tool", (ToolResult("call_1", "text of x", name="Read"),))
    text = rendered(WITH_TOOLS, user("u"), call, result)
    assert text == "user:u;assistant:ok~hm|Read(x);tool:text of x;"


def test_a_template_that_drops_results_gets_them_as_user_turns(rendered):
    result = Message("tool", (ToolResult("call_1", "found"),))
    assert "U:<tool_response>\nfound\n</tool_response>" in rendered(LEADING_ONLY, user("u"), result)


CALL = Message("assistant", (ToolUse("call_1", "Read", '{"path": "x"}'),))
FOUND = Message("tool", (ToolResult("call_1", "found"),))


def test_calls_that_a_template_drops_are_told_as_text(rendered):
    template = LEADING_ONLY.replace("{%- if m.role == 'user' -%}U:", "{%- if true -%}{{ m.role }}:")
    assert rendered(template, user("u"), CALL, FOUND) == (
        'user:u\nassistant:<tool_call>\n{"name":"Read","arguments":{"path":"x"}}\n</tool_call>\n'
        "tool:found\n"
    )


@pytest.mark.parametrize(
    "template", [TEMPLATE, STRICT, LEADING_ONLY], ids=["plain", "strict", "leading"]
)
def test_tools_that_a_template_passes_over_are_told_as_text(rendered, template):
    tool = Tool("read_file", "Reads.", {"type": "object"})
    text = rendered(template, system("Be kind."), user("u"), tools=(tool,))
    assert '{"name":"read_file","description":"Reads.","parameters":{"type":"object"}}' in text
    assert text.index("read_file") < text.index("<tool_call>") < text.index("Be kind.")
    hidden = rendered(template, user("u"), tools=(tool,), tool_choice=ToolChoice("none"))
    assert hidden == rendered(template, user("u"))


def test_tools_are_not_told_where_a_family_has_its_own_calls(rendered):
    template = TEMPLATE + "{# <start_function_call> #}"
    tool = Tool("read_file", "Reads.", {"type": "object"})
    assert "read_file" not in rendered(template, user("u"), tools=(tool,))


def test_arguments_are_text_where_a_template_joins_them(rendered):
    template = (
        "{%- for m in messages -%}{{ m.role }}:"
        "{%- if m.content is none -%}"
        "{%- for c in m.tool_calls -%}{{ c.function.name + c.function.arguments }}{%- endfor -%}"
        "{%- else -%}{{ m.content }}{%- endif -%};{%- endfor -%}"
    )
    text = rendered(template, user("u"), CALL, FOUND)
    assert text == 'user:u;assistant:Read{"path":"x"};tool:found;'


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "||"),
        ({"thinking": True}, "True|True|"),
        ({"thinking": False}, "False|False|"),
        ({"effort": "xhigh"}, "||high"),
        ({"template_options": {"thinking": 5, "messages": [], "m": 1}}, "|5|"),
    ],
)
def test_a_template_is_told_how_to_think(rendered, fields, text):
    template = "{{ enable_thinking }}|{{ thinking }}|{{ reasoning_effort }}"
    template += "{% for m in messages %}{% endfor %}"
    assert rendered(template, user("u"), **fields) == text


@pytest.mark.parametrize("kept_in", ["list", "folder"])
def test_a_template_for_tools_is_for_requests_with_tools(tmp_path, kept_in):
    from tiny_models import build

    folder = build(tmp_path / "m", "qwen3", template="plain {{ messages[0].content }}")
    with_tools = "tools {{ messages[0].content }} <arg_key>"
    if kept_in == "folder":
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tool_use.jinja").write_text(with_tools)
    else:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        path = folder / "tokenizer_config.json"
        named = {"default": "plain {{ messages[0].content }}", "tool_use": with_tools}
        entries = [{"name": name, "template": text} for name, text in named.items()]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": entries}))
    text = load_text(folder)
    prompt = Prompter(text).prompt
    assert prompt(Request("m", (user("u"),))).text == "plain u"
    with_tool = Request("m", (user("u"),), tools=TOOLS)
    assert prompt(with_tool).text == "tools u <arg_key>"
    assert markup(text, with_tool).dialect.name == "glm"


@pytest.mark.parametrize(
    "source", ["{{ 1 // 0 }}", "{{ messages.nothing.at.all }}", "{{ [1, 2] + messages[0] }}"]
)
def test_a_template_that_fails_refuses_the_messages(source):
    with pytest.raises(InvalidValue, match="refuses"):
        ChatTemplate(source, {}).render([{"content": "a"}])


TOOLS = (Tool("A", "does a", {"type": "object"}), Tool("B", "<b>", {"type": "object"}))


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolChoice(), ["A", "B"]),
        (ToolChoice("none"), []),
        (ToolChoice("named", "B"), ["B"]),
    ],
    ids=lambda value: str(value),
)
def test_the_choice_decides_which_tools_are_shown(rendered, choice, names):
    text = rendered(WITH_TOOLS, user("u"), tools=TOOLS, tool_choice=choice)
    assert [name for name in "AB" if f'"name": "{name}"' in text] == names


def test_json_in_a_prompt_is_not_escaped_for_html(rendered):
    assert '"description": "<b>"' in rendered(WITH_TOOLS, user("u"), tools=TOOLS)


def test_images_are_refused(rendered):
    with pytest.raises(InvalidValue, match="images"):
        rendered(TEMPLATE, Message("user", (Image(url="http://x/y.png"),)))


def test_generation_blocks_and_loop_controls_are_understood():
    source = (
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% break %}{% endfor %}"
    )
    assert ChatTemplate(source, {}).render([{"content": "a"}, {"content": "b"}]) == "a"


def test_templates_cannot_leave_their_sandbox():
    with pytest.raises(InvalidValue):
        ChatTemplate("{{ messages.__class__.__mro__ }}", {}).render([])


def test_our_prompt_is_the_one_transformers_makes(tiny_model):
    from transformers import AutoTokenizer

    folder = tiny_model("qwen3")
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    turns = [{"role": "user", "content": "Grüß Gott <b>"}]
    wanted = theirs.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    made = Prompter(load_text(folder)).prompt(Request("m", (user("Grüß Gott <b>"),)))
    assert list(made.ids) == wanted
