"""The official SDKs behind one call, so that one test body runs over all of them."""

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import orjson
from google import genai
from google.genai import errors, types

IMAGE = "iVBORw0KGgo="
PARAMETERS = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
    "required": ["path", "content"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2, 3]}},
    "required": ["ok", "n"],
    "additionalProperties": False,
}


@dataclass
class Said:
    """What an SDK understood of an answer."""

    text: str = ""
    thoughts: str = ""
    calls: list = field(default_factory=list)
    reason: str = ""
    tokens: tuple = ()


@dataclass
class Ask:
    """What is asked. `tools` and `schema` are the ones above; `forced` names the tool."""

    text: str = "hello"
    model: str = "m"
    stream: bool = False
    tools: bool = False
    forced: bool = False
    schema: bool = False
    image: bool = False
    max_tokens: int = 200
    stop: tuple = ()
    timeout: float = 30.0


def chat_request(ask: Ask) -> dict[str, Any]:
    url = {"url": f"data:image/png;base64,{IMAGE}"}
    picture = [{"type": "image_url", "image_url": url}] if ask.image else []
    content = [{"type": "text", "text": ask.text}, *picture]
    body = {
        "model": ask.model,
        "messages": [{"role": "user", "content": content if ask.image else ask.text}],
        "max_tokens": ask.max_tokens,
        "temperature": 0,
    }
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.tools:
        function = {"name": "Write", "parameters": PARAMETERS}
        body["tools"] = [{"type": "function", "function": function}]
    if ask.forced:
        body["tool_choice"] = {"type": "function", "function": {"name": "Write"}}
    if ask.schema:
        form = {"name": "answer", "schema": SCHEMA, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def chat_said(message: Any, choice: Any, usage: Any) -> Said:
    calls = [
        (c.function.name, orjson.loads(c.function.arguments)) for c in message.tool_calls or ()
    ]
    return Said(
        message.content or "",
        getattr(message, "reasoning_content", None) or "",
        calls,
        {"tool_calls": "tool_use"}.get(choice.finish_reason, choice.finish_reason),
        (usage.prompt_tokens, usage.completion_tokens),
    )


class OpenAIChat:
    refusal, timeout = openai.APIStatusError, openai.APITimeoutError

    def __init__(self, url, retries=0):
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=retries)

    async def close(self):
        await self.client.close()

    async def ask(self, ask: Ask) -> Said:
        create = self.client.chat.completions.create
        if not ask.stream:
            done = await create(**chat_request(ask), timeout=ask.timeout)
            return chat_said(done.choices[0].message, done.choices[0], done.usage)
        said, pieces = Said(), {}
        options = {"include_usage": True}
        async for chunk in await create(
            **chat_request(ask), stream=True, stream_options=options, timeout=ask.timeout
        ):
            if chunk.usage:
                said.tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for choice in chunk.choices:
                said.text += choice.delta.content or ""
                said.thoughts += getattr(choice.delta, "reasoning_content", None) or ""
                said.reason = choice.finish_reason or said.reason
                for call in choice.delta.tool_calls or ():
                    one = pieces.setdefault(call.index, ["", ""])
                    one[0] += call.function.name or ""
                    one[1] += call.function.arguments or ""
        said.calls = [(name, orjson.loads(arguments)) for name, arguments in pieces.values()]
        said.reason = {"tool_calls": "tool_use"}.get(said.reason, said.reason)
        return said

    @asynccontextmanager
    async def reading(self, ask: Ask):
        """A stream that has begun, left when the block ends."""
        async with await self.client.chat.completions.create(
            **chat_request(ask), stream=True
        ) as stream:
            await anext(aiter(stream))
            yield


class OpenAIResponses(OpenAIChat):
    async def ask(self, ask: Ask) -> Said:
        if ask.stream:
            async with self.client.responses.stream(**self.request(ask)) as stream:
                return self.said(await stream.get_final_response())
        return self.said(await self.client.responses.create(**self.request(ask)))

    def request(self, ask: Ask):
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}
        content = [{"type": "input_text", "text": ask.text}, *([picture] if ask.image else [])]
        body = {
            "model": ask.model,
            "input": [{"role": "user", "content": content}],
            "max_output_tokens": ask.max_tokens,
            "temperature": 0,
            "timeout": ask.timeout,
        }
        if ask.stop:
            body["extra_body"] = {"stop": list(ask.stop)}
        if ask.tools:
            tool = {"type": "function", "name": "Write", "parameters": PARAMETERS, "strict": True}
            body["tools"] = [tool]
        if ask.forced:
            body["tool_choice"] = {"type": "function", "name": "Write"}
        if ask.schema:
            form = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
            body["text"] = {"format": form}
        return body

    def said(self, response):
        said = Said(response.output_text, reason="stop")
        for item in response.output:
            if item.type == "reasoning":
                said.thoughts += "".join(part.text for part in item.content or ())
            if item.type == "function_call":
                said.calls.append((item.name, orjson.loads(item.arguments)))
        if response.status == "incomplete":
            said.reason = "length"
        elif said.calls:
            said.reason = "tool_use"
        said.tokens = (response.usage.input_tokens, response.usage.output_tokens)
        return said

    @asynccontextmanager
    async def reading(self, ask: Ask):
        async with await self.client.responses.create(**self.request(ask), stream=True) as stream:
            await anext(aiter(stream))
            yield


class Anthropic:
    refusal, timeout = anthropic.APIStatusError, anthropic.APITimeoutError

    def __init__(self, url, retries=0):
        self.client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=retries)

    async def close(self):
        await self.client.close()

    def request(self, ask: Ask):
        source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
        picture = [{"type": "image", "source": source}] if ask.image else []
        body = {
            "model": ask.model,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": ask.text}, *picture]}
            ],
            "max_tokens": ask.max_tokens,
            "extra_body": {"temperature": 0},
            "timeout": ask.timeout,
        }
        if ask.stop:
            body["stop_sequences"] = list(ask.stop)
        if ask.tools:
            body["tools"] = [{"name": "Write", "input_schema": PARAMETERS}]
        if ask.forced:
            body["tool_choice"] = {"type": "tool", "name": "Write"}
        if ask.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return body

    async def ask(self, ask: Ask) -> Said:
        if ask.stream:
            async with self.client.messages.stream(**self.request(ask)) as stream:
                message = await stream.get_final_message()
        else:
            message = await self.client.messages.create(**self.request(ask))
        said = Said()
        for block in message.content:
            if block.type == "text":
                said.text += block.text
            if block.type == "thinking":
                said.thoughts += block.thinking
            if block.type == "tool_use":
                said.calls.append((block.name, block.input))
        reasons = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
        said.reason = reasons.get(message.stop_reason, message.stop_reason)
        usage = message.usage
        said.tokens = (usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens)
        return said

    @asynccontextmanager
    async def reading(self, ask: Ask):
        async with self.client.messages.stream(**self.request(ask)) as stream:
            await anext(aiter(stream))
            yield


class Google:
    refusal, timeout = errors.APIError, Exception

    def __init__(self, url, retries=0):
        options = types.HttpOptions(base_url=url)
        self.client = genai.Client(api_key="none", http_options=options)
        self.models = self.client.aio.models

    async def close(self):
        await self.client.aio.aclose()
        self.client.close()

    def request(self, ask: Ask):
        config = {"max_output_tokens": ask.max_tokens, "temperature": 0}
        config["http_options"] = {"timeout": int(ask.timeout * 1000)}
        if ask.stop:
            config["stop_sequences"] = list(ask.stop)
        if ask.tools:
            declared = {"name": "Write", "parameters_json_schema": PARAMETERS}
            config["tools"] = [{"function_declarations": [declared]}]
            config["automatic_function_calling"] = {"disable": True}
        if ask.forced:
            mode = {"mode": "ANY", "allowed_function_names": ["Write"]}
            config["tool_config"] = {"function_calling_config": mode}
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        picture = [types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")]
        contents = [ask.text, *(picture if ask.image else [])]
        return {"model": ask.model, "contents": contents, "config": config}

    async def ask(self, ask: Ask) -> Said:
        if ask.stream:
            stream = await self.models.generate_content_stream(**self.request(ask))
            chunks = [chunk async for chunk in stream]
        else:
            chunks = [await self.models.generate_content(**self.request(ask))]
        said = Said()
        for chunk in chunks:
            (candidate,) = chunk.candidates or [None]
            assert candidate is not None
            for part in candidate.content.parts or ():
                if part.function_call:
                    said.calls.append((part.function_call.name, part.function_call.args))
                elif part.thought:
                    said.thoughts += part.text
                else:
                    said.text += part.text or ""
            if candidate.finish_reason:
                said.reason = {"MAX_TOKENS": "length"}.get(candidate.finish_reason.name, "stop")
        if said.calls:
            said.reason = "tool_use"
        usage = chunks[-1].usage_metadata
        said.tokens = (usage.prompt_token_count, usage.candidates_token_count)
        return said

    @asynccontextmanager
    async def reading(self, ask: Ask):
        stream = await self.models.generate_content_stream(**self.request(ask))
        await anext(aiter(stream))
        yield
        await self.client.aio.aclose()  # closing the stream alone leaves its connection open


class LiteLLM:
    """In front of one of the formats; `path` is where litellm wants the base to end."""

    def __init__(self, url, prefix, path, retries=0):
        import litellm

        self.litellm = litellm
        self.module: Any = litellm  # which does not say what it exports
        self.refusal, self.timeout = openai.APIError, openai.APITimeoutError
        self.where = {"api_base": f"{url}{path}", "api_key": "none", "num_retries": retries}
        self.prefix = prefix

    async def close(self):
        with suppress(AttributeError):
            await self.module.close_litellm_async_clients()

    def request(self, ask: Ask):
        body = chat_request(ask)
        return body | self.where | {"model": f"{self.prefix}{ask.model}", "timeout": ask.timeout}

    async def ask(self, ask: Ask) -> Said:
        if ask.stream:
            stream: Any = await self.litellm.acompletion(
                **self.request(ask), stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            done = self.litellm.stream_chunk_builder(chunks)
        else:
            done = await self.litellm.acompletion(**self.request(ask))
        return chat_said(done.choices[0].message, done.choices[0], done.usage)
