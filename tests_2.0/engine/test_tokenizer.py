"""What a model's folder says about its text is read as it was meant for answers."""

from tiny_models import build

from mlxk.engine.tokenizer import load_text, load_tokenizer


def test_a_file_that_cuts_and_fills_texts_for_training_does_neither_here(tmp_path):
    folder = build(tmp_path / "m", "qwen3")
    tokenizer = load_tokenizer(folder)
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=8, pad_id=1)
    tokenizer.save(str(folder / "tokenizer.json"))
    text = load_text(folder)
    assert text.decode(text.encode("Hello world")) == "Hello world"
    assert text.decode(text.encode("Hi")) == "Hi"
