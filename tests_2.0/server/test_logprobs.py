"""Log-probabilities of the real engine, asked for by the official SDKs."""

from math import exp, isclose

import openai
import pytest
from google import genai

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
ASKED = {"model": "builtin:tiny", "temperature": 0}
CHAT = ASKED | {"messages": [{"role": "user", "content": "hello"}], "logprobs": True}


@pytest.fixture
def client(tiny):
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def models(tiny):
    client = genai.Client(api_key="none", http_options={"base_url": tiny.url})
    yield client.models
    client.close()


def sound(token, logprob, top, count):
    """A greedy token is the likeliest, and shares of one place are at most the whole."""
    shares = [exp(share) for _, share in top]
    assert len(top) == count
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1.0001
    if count:
        assert (token, logprob) == top[0]
    assert logprob <= 0


def entries(measured, count):
    for one in measured:
        sound(one.token, one.logprob, [(t.token, t.logprob) for t in one.top_logprobs], count)
    return b"".join(bytes(one.bytes) for one in measured).decode()


@pytest.mark.parametrize("count", [0, 5])
def test_chat(client, count):
    create = client.chat.completions.create
    (choice,) = create(**CHAT, top_logprobs=count).choices
    assert entries(choice.logprobs.content, count) == choice.message.content
    chunks = list(create(**CHAT, top_logprobs=count, stream=True))
    streamed = [
        one for c in chunks if c.choices[0].logprobs for one in c.choices[0].logprobs.content
    ]
    assert streamed == choice.logprobs.content


def test_chat_without_them(client):
    done = client.chat.completions.create(**CHAT | {"logprobs": False})
    assert done.choices[0].logprobs is None


def test_chat_has_them_for_every_choice(client):
    done = client.chat.completions.create(**CHAT | {"temperature": 1.0, "seed": 3}, n=3)
    for choice in done.choices:
        assert entries(choice.logprobs.content, 0) == choice.message.content


def test_the_same_tokens_are_counted_and_measured(client):
    done = client.chat.completions.create(**CHAT, max_tokens=4)
    assert len(done.choices[0].logprobs.content) == done.usage.completion_tokens == 4


def test_a_warm_answer_measures_the_model_not_the_sampling(client):
    """The same place of the same text has the same share at any temperature."""
    cold = client.chat.completions.create(**CHAT, top_logprobs=3, max_tokens=1)
    warm = client.chat.completions.create(
        **CHAT | {"temperature": 1.7, "seed": 1}, top_logprobs=3, max_tokens=1
    )
    (one,), (other,) = (done.choices[0].logprobs.content for done in (cold, warm))
    pairs = zip(one.top_logprobs, other.top_logprobs, strict=True)
    assert all(isclose(a.logprob, b.logprob, abs_tol=1e-3) for a, b in pairs)


@pytest.mark.parametrize("stream", [False, True])
def test_completions(client, stream):
    made = client.completions.create(**ASKED, prompt="hello", logprobs=2, stream=stream)
    choices = [c.choices[0] for c in made if c.choices] if stream else made.choices
    text = "".join(choice.text for choice in choices)
    columns = [choice.logprobs for choice in choices if choice.logprobs]
    tokens = [token for c in columns for token in c.tokens]
    assert "".join(tokens) == text
    assert len(tokens) == 16
    for c in columns:
        for token, share, top in zip(c.tokens, c.token_logprobs, c.top_logprobs, strict=True):
            sound(token, share, list(top.items()), 2)
    offsets = [offset for c in columns for offset in c.text_offset]
    assert [text[a:b] for a, b in zip(offsets, [*offsets[1:], None], strict=True)] == tokens


@pytest.mark.parametrize("how", ["include", "number", "both"])
def test_responses(client, how):
    asked = ASKED | {"input": "hello", "store": False}
    count = 0 if how == "include" else 3
    if how != "number":
        asked["include"] = ["message.output_text.logprobs"]
    if count:
        asked["top_logprobs"] = count
    whole = client.responses.create(**asked).output[0].content[0]
    assert entries(whole.logprobs, count) == whole.text
    events = list(client.responses.create(**asked, stream=True))
    deltas = [one for e in events if e.type == "response.output_text.delta" for one in e.logprobs]
    (done,) = [e for e in events if e.type == "response.output_text.done"]
    assert [one.logprob for one in deltas] == [one.logprob for one in whole.logprobs]
    assert [one.token for one in done.logprobs] == [one.token for one in whole.logprobs]
    assert events[-1].response.output[0].content[0].logprobs == whole.logprobs


def test_responses_without_them(client):
    made = client.responses.create(**ASKED, input="hello", store=False)
    assert made.output[0].content[0].logprobs == []


@pytest.mark.parametrize("count", [0, 4])
def test_gemini(models, count):
    config = {"temperature": 0, "response_logprobs": True} | ({"logprobs": count} if count else {})
    asked = {"model": "builtin:tiny", "contents": "hello", "config": config}
    whole = models.generate_content(**asked)
    result = whole.candidates[0].logprobs_result
    assert candidates(result, count) == whole.text
    shares = [one.log_probability for one in result.chosen_candidates]
    assert isclose(whole.candidates[0].avg_logprobs, sum(shares) / len(shares))
    streamed = [
        chunk.candidates[0].logprobs_result for chunk in models.generate_content_stream(**asked)
    ]
    assert "".join(candidates(each, count) for each in streamed if each) == whole.text


def candidates(result, count):
    for one, beside in zip(result.chosen_candidates, result.top_candidates, strict=True):
        top = [(each.token, each.log_probability) for each in beside.candidates or ()]
        sound(one.token, one.log_probability, top, count)
    return "".join(one.token for one in result.chosen_candidates)
