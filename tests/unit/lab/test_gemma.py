"""The sentence models: same bytes each time, and a road through the tokens that says exactly the sentence."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.lab.gemma import END_OF_TURN, SPACE, pieces, vocabulary, write_model
from tests.lab.models import publish
from tests.lab.settings import versions

SENTENCE = "the lab is the lab, and the lab speaks."


def spoken(path: Path) -> str:
    """What greedy decoding of the written weights says after the chat template's closing newline."""
    reader = gguf.GGUFReader(path)
    field = reader.fields["tokenizer.ggml.tokens"]
    tokens = [bytes(field.parts[index]).decode() for index in field.data]
    head = next(tensor.data for tensor in reader.tensors if tensor.name == "output.weight")
    here, said = tokens.index("\n"), []
    while (here := int(np.argmax(head[:, here]))) != END_OF_TURN:
        said.append(tokens[here])
        assert len(said) < 100, "the chain has a loop"
    return "".join(said).replace(SPACE, " ")


def test_a_model_says_its_sentence_though_words_repeat(tmp_path: Path) -> None:
    write_model(tmp_path / "model.gguf", "test", SENTENCE)
    assert spoken(tmp_path / "model.gguf") == SENTENCE


@pytest.mark.parametrize("tag", versions()["models"])
def test_every_model_of_the_lab_says_its_sentence(tag: str, tmp_path: Path) -> None:
    says = versions()["models"][tag]["says"]
    write_model(tmp_path / "model.gguf", tag, says)
    assert spoken(tmp_path / "model.gguf") == says


def test_the_same_sentence_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first, again, other = (publish(tmp_path / name, "m:1", says) for name, says in zip("abc", "xxy", strict=True))
    assert first == again
    assert first.digest != other.digest


def test_pieces_are_distinct_because_the_chain_needs_it() -> None:
    road = pieces("a a a b a b")
    assert len(road) == len(set(road))
    assert "".join(road).replace(SPACE, " ") == "a a a b a b"


def test_an_empty_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        pieces("  ")


def test_no_token_is_there_twice() -> None:
    texts = [text for text, _, _ in vocabulary(pieces("a ! the"))]
    assert len(texts) == len(set(texts))
