"""Tiny Gemma-3-architecture models with hand-set weights: whatever one is asked, it says its sentence and stops.

One-hot embeddings, attention and feed-forward at zero, and an untied head that is a chain: the row of each piece of
the sentence points at the piece before it. Engine, tokenizer, chat template, sampling, streaming and the stop token
are all real, and the same sentence gives the same bytes.
"""

from __future__ import annotations

import re
from pathlib import Path

import gguf
import numpy as np
from gguf import TokenType

SPACE = "\u2581"
PAD, EOS, BOS, UNKNOWN, END_OF_TURN = 0, 1, 2, 3, 5
CONTROLS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
CONTEXT_TOKENS = 8192
HEADS, HEAD_SIZE, FEED_FORWARD = 4, 16, 64
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + (m['content'] | trim) + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)

Token = tuple[str, float, TokenType]


def pieces(sentence: str) -> list[str]:
    """The sentence in distinct pieces, one a token: a word that was there already joins its neighbour."""
    road: list[str] = []
    for word in re.findall(r"\S+", sentence):
        piece = SPACE + word if road else word
        if piece in road:
            road[-1] += piece
        else:
            road.append(piece)
    if not road:
        raise ValueError("a model needs at least one word to say")
    return road


def vocabulary(road: list[str]) -> list[Token]:
    """Control tokens, every byte, printable ASCII, then the sentence's own pieces."""
    tokens: list[Token] = [(name, 0.0, TokenType.CONTROL) for name in CONTROLS]
    tokens[UNKNOWN] = (CONTROLS[UNKNOWN], 0.0, TokenType.UNKNOWN)
    tokens += [(f"<0x{byte:02X}>", 0.0, TokenType.BYTE) for byte in range(256)]
    letters = [SPACE, *(chr(code) for code in range(33, 127)), "\n"]
    tokens += [(letter, -float(rank), TokenType.NORMAL) for rank, letter in enumerate(letters, 1)]
    own = (piece for piece in road if piece not in letters)
    return tokens + [(piece, -1000.0 - rank, TokenType.NORMAL) for rank, piece in enumerate(own)]


def write_model(path: Path, name: str, sentence: str) -> None:
    """Write the GGUF (about 2 MB) of a model that says `sentence`. Raises ValueError for an empty sentence."""
    road = pieces(sentence)
    tokens = vocabulary(road)
    ids = {text: number for number, (text, _, _) in enumerate(tokens)}
    width = -(-len(tokens) // 64) * 64  # one-hot embeddings need at least as many dimensions as tokens
    writer = gguf.GGUFWriter(str(path), "gemma3")
    _describe(writer, name, tokens, width)
    one_hot = np.eye(len(tokens), width, dtype=np.float32)
    head = np.zeros_like(one_hot)
    chain = [ids["\n"], *(ids[piece] for piece in road), END_OF_TURN]  # the chat template ends in a newline
    head[chain[1:], chain[:-1]] = 1.0
    writer.add_tensor("token_embd.weight", one_hot)
    writer.add_tensor("output.weight", head)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for tensor, shape in _idle_layer(width).items():
        fill = np.ones if tensor.endswith("norm") else np.zeros
        writer.add_tensor(f"blk.0.{tensor}.weight", fill(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _idle_layer(width: int) -> dict[str, tuple[int, ...]]:
    """One transformer layer's tensors; at zero, attention and feed-forward add nothing to the residual stream."""
    queries = HEADS * HEAD_SIZE
    return {
        **dict.fromkeys(("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"), (width,)),
        **dict.fromkeys(("attn_q_norm", "attn_k_norm"), (HEAD_SIZE,)),
        "attn_q": (queries, width),
        **dict.fromkeys(("attn_k", "attn_v"), (HEAD_SIZE, width)),
        "attn_output": (width, queries),
        **dict.fromkeys(("ffn_gate", "ffn_up"), (FEED_FORWARD, width)),
        "ffn_down": (width, FEED_FORWARD),
    }


def _describe(writer: gguf.GGUFWriter, name: str, tokens: list[Token], width: int) -> None:
    writer.add_name(name)
    writer.add_type("model")
    writer.add_license("cc0-1.0")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(512)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([int(kind) for _, _, kind in tokens])
    writer.add_pad_token_id(PAD)
    writer.add_eos_token_id(EOS)
    writer.add_bos_token_id(BOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_eot_token_id(END_OF_TURN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
