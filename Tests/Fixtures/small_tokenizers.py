"""The small Gemma and Llama tokenizers: trained on the text of make_models.py, then dressed as the published files are.

Shared by make_models_gemma3.py and make_models_llava.py; nothing to run."""

import json

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from make_models import TEXT

BYTES = [f"<0x{i:02X}>" for i in range(256)]
# Words of the chat templates, often enough to be merged; some letters that are no ASCII. What is left out (J, Q, 5 ...)
# is written in bytes.
MORE_TEXT = (
    "USER: ASSISTANT: USER: ASSISTANT: user model user model user model\n"
    "012 abcdefghijklmnopqrstuvwxyz .,:;!?'- é ö ß 的 日 и ა\n"
)


def train(merges):
    """(pieces in the order of their merges, letters in code point order, merges) with the metaspace for spaces."""
    letters = sorted(set((TEXT + MORE_TEXT).replace("\n", "").replace(" ", "▁")))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=len(letters) + merges, initial_alphabet=letters, show_progress=False)
    tokenizer.train_from_iterator((TEXT + MORE_TEXT).split("\n"), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    pieces = [a + b for a, b in pairs]
    assert len(pieces) == merges == len(set(pieces)) and len(model["vocab"]) == len(letters) + merges
    return pieces, letters, pairs


def splits(pieces, vocabulary):
    """Every way to make one of these pieces out of two tokens, as the converter from SentencePiece lists them."""
    return [[p[:i], p[i:]] for p in pieces for i in range(1, len(p)) if p[:i] in vocabulary and p[i:] in vocabulary]


def added(number, content, special):
    return {
        "id": number,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def model(vocabulary, merges):
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }


def begin_with(token, number):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            {"SpecialToken": {"id": token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
UNREPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
DECODERS = [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}]


def gemma():
    """As Gemma 3's: marks and runs of blanks and newlines first, bytes, pieces, letters, the picture's marks last."""
    pieces, letters, pairs = train(50)
    special = {"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"}
    newlines = ["\n" * i for i in range(1, 5)]
    blanks = ["▁" * i for i in range(2, 5)]
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", "<unused0>", "<start_of_turn>", "<end_of_turn>"]
    first += newlines + blanks + ["<table>", "<b>", "</b>"]
    last = ["\t", "\t\t", "<start_of_image>", "<end_of_image>", "<unused1>"]
    words = first + BYTES + pieces + letters + last
    vocabulary = {w: i for i, w in enumerate(words)}
    assert len(vocabulary) == len(words)
    marks = [added(vocabulary[w], w, w in special) for w in first + last]
    marks.append(added(len(words), "<image_soft_token>", True))  # not in the vocabulary, and the last of all
    assert len(words) + 1 <= 400
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": marks,
        "normalizer": UNREPLACE,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": begin_with("<bos>", vocabulary["<bos>"]),
        "decoder": {"type": "Sequence", "decoders": DECODERS},
        # User-defined tokens have the best score, so that their merges come first.
        "model": model(vocabulary, splits(blanks + newlines, vocabulary) + pairs),
    }


def llama(metaspace=False, picture=True):
    """As Llama 2's: <unk> <s> </s>, bytes, pieces, letters, and LLaVA's <image> <pad> behind them.

    metaspace: written as transformers 5 writes it. picture: with LLaVA's two tokens."""
    pieces, letters, pairs = train(70)
    blanks = ["▁▁", "▁▁▁▁"]
    first = ["<unk>", "<s>", "</s>"]
    words = first + BYTES + blanks + pieces + letters
    vocabulary = {w: i for i, w in enumerate(words)}
    assert len(vocabulary) == len(words) and len(words) + 2 <= 400
    marks = [added(vocabulary[w], w, True) for w in first]
    if picture:
        marks += [added(len(words) + i, w, True) for i, w in enumerate(["<image>", "<pad>"])]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    before = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, UNREPLACE]}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": marks,
        "normalizer": None if metaspace else before,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
        if metaspace
        else None,
        "post_processor": begin_with("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": DECODERS + [strip]},
        "model": model(vocabulary, splits(blanks, vocabulary) + pairs),
    }


def write(tokenizer, where):
    """One line: it is data, and a third of the size."""
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n"
    (where / "tokenizer.json").write_text(text, encoding="utf-8")


def ids(tokenizer):
    return {t["content"]: t["id"] for t in tokenizer["added_tokens"]}


def decoder_table(tokenizer):
    """`added_tokens_decoder` as transformers 4 wrote it into tokenizer_config.json."""
    keys = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {str(t["id"]): {k: t[k] for k in keys} for t in tokenizer["added_tokens"]}
