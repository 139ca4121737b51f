"""Writes what transformers answers for Gemma 3 and LLaVA: models, drafters, prompts, tokenizers.

    python make_expected_families.py               everything, after make_models_gemma3.py and make_models_llava.py
    python make_expected_families.py gemma3-hub    one model, or one part: tokenizers, prompts, drafters

The photographs must be here (MASSV_SHARED_DATA, as for make_expected.py); some minutes on one thread."""

import json
import sys

import numpy as np

import make_expected
from fixturelib import EXPECTED, MODEL_DIRS, image_bytes, load_rgb, save_safetensors, sha256, write_json
from make_expected import PENALTIES, PROMPTS, SMALLEST_GAP, clear_greedy, f32, sources, write_lines

# The same pictures as Qwen2.5-VL's, and four photographs more.
make_expected.MORE_PHOTOS = 14
MODELS = ["gemma3-hub", "gemma3-v5", "llava-hub", "llava-v5"]
# A gap that ends the search for a clear case; below SMALLEST_GAP a case is left out.
COMFORTABLE_GAP = 0.05
PIXELS_FOR = {"img-tall-37x211", "img-dot-1x1", "img-wide-200x99", "img-exif6-90x140"}

TEXTS = {
    "gemma3": [
        ("Write a short story.", None),
        ("What is the weather like?", "You are a dog."),
        ("Où est le café ? 🙂 \u4f60\u597d, e\u0301te\u0301 2024", None),
        ("A red circle on a white background.\n\nA blue square beside a green triangle.  Two yellow stars.", None),
        ("Name <unused0>three</b> colours<eos>\r\n\n\n\tplease...   ", None),
        ("1234567890 it's I'LL we've", "You are Qwen,  created by Alibaba Cloud.\n"),
    ],
    "llava": [
        ("Write a short story.", None),
        ("What is the weather like?", "You are a dog."),
        ("Où est le café ? 🙂 \u4f60\u597d, e\u0301te\u0301 2024", None),
        ("A red circle on a white background.\n\nA blue square beside a green triangle.  Two yellow stars.", None),
        ("Name </s>three<pad> colours<unk>\r\n\n\n\tplease...   ", None),
        ("1234567890 it's I'LL we've", "You are Qwen,  created by Alibaba Cloud.\n"),
    ],
}

LONG = [
    "The picture shows a white house with a brown roof and a garden in front of the house. There are three birds in"
    " the sky. Where is the ball?",
    "People are walking along the road while a group of men watch. It is a photograph of a mountain with some trees."
    " What is the weather like?",
    "Two children play in the snow. A woman with a red hat is sitting on a bench. The boat is on the river under the"
    " bridge. How many shapes are there?",
    "A man in a blue shirt stands on the beach near the water. A small dog runs through the grass with a ball in its"
    " mouth. Is there a cat?",
]
LONG_PICTURES = ["wide-200x99.jpg", "exif6-90x140.jpg", "tile-28x28.png"]


def exactly(target, picture, after):
    """Prompts that leave so many tokens between the picture's last visual token and the answer's first."""
    found = []
    for text in LONG:
        for end in range(1, len(text)):
            if text[end - 1] == " ":
                continue
            ids = target.prompt(text[:end], picture)[1]
            if len(ids) - 1 - max(i for i, x in enumerate(ids) if x == target.image_id) == after:
                found.append(text[:end])
                break
    return found


def long_cases(target):
    """(id, source, [(prompt, system)]): prompts longer than the sliding window, the picture in, before or across it."""
    window = target.model.config.text_config.sliding_window
    source = [{"file": f"Tests/Fixtures/images/{n}"} for n in LONG_PICTURES]
    picture = [load_rgb(s) for s in source]
    for i in range(2):
        yield f"long-text-{i}", None, [(t, None) for t in LONG[i:] + LONG[:i]]
    yield "long-text-system", None, [(PROMPTS[k], t) for k, t in enumerate(LONG)]
    for i in range(2):
        yield f"long-after-{i}", source[i], [(t, None) for t in LONG[i:] + LONG[:i]]
        yield f"long-before-{i}", source[i], [(p, t) for t in LONG[i:] + LONG[:i] for p in PROMPTS[:2]]
        yield f"long-both-{i}", source[i], [(t, s) for t, s in zip(LONG[i:] + LONG[:i], LONG[i + 1 :] + LONG[: i + 1])]
    # The last token of the prompt sees `seen` of the visual tokens in its window; the tokens after it ever fewer.
    for seen in range(target.visual_tokens() + 1):
        i = seen % 3
        prompts = exactly(target, picture[i], window - seen)
        if prompts:
            yield f"edge-{seen}", source[i], [(p, None) for p in prompts] + [(p, LONG[0]) for p in prompts]


def search(target, size, number, picture, choices=None):
    """The first combination of prompt, penalty and length, from a place that turns with the case's number, whose
    every choice is clear of the runner-up."""
    best = None
    for attempt in range(24):
        k = number + attempt
        prompt, system = (PROMPTS[k % len(PROMPTS)], None) if choices is None else choices[attempt % len(choices)]
        penalty = PENALTIES[(number + attempt // 2 if choices is None else k) % 3]
        limit = (24, 32, 40)[(number // 3) % 3]
        rendered, ids, inputs = target.prompt(prompt, picture, system)
        tokens, logits, gaps = target.generate(inputs, penalty, limit)
        # Longer answers say more.
        value = min(gaps) if len(tokens) > 3 else min(gaps) / 10
        found = (value, prompt, system, penalty, limit, rendered, ids, tokens, logits, gaps)
        if max(tokens) < size and (best is None or value > best[0]):
            best = found
        if best is not None and best[0] > COMFORTABLE_GAP:
            break
    return best


def model_cases(name):
    from reference_families import Target

    target = Target(name)
    family = target.model.config.model_type
    size = target.tokenizer.get_vocab_size()
    records, tensors = [], {}
    cases = [(case, source, None) for case, source in sources()]
    if target.is_gemma:
        cases += list(long_cases(target))
    cases += [(f"text-{i}", None, [choice]) for i, choice in enumerate(TEXTS[family])]
    for number, (case, source, choices) in enumerate(cases):
        record, added = {"id": case, "model": name, "image": source}, {}
        picture = None
        if source:
            picture = load_rgb(source)
            resized, cropped = target.resized(picture)
            pixels = target.pixels(picture)
            features, merged = target.vision(pixels)
            record |= {
                "file_sha256": sha256(image_bytes(source)),
                "rgb_size": list(picture.size),
                "rgb_sha256": sha256(picture.tobytes()),
                "resized_size": list(resized.size),
                "resized_sha256": sha256(resized.tobytes()),
            }
            if not target.is_gemma:
                record |= {"cropped_size": list(cropped.size), "cropped_sha256": sha256(cropped.tobytes())}
            record |= {"grid_thw": [1, target.side, target.side], "visual_tokens": len(merged)}
            added |= {"features": f32(features), "merged": f32(merged)}
            if case in PIXELS_FOR:
                added["pixels"] = f32(pixels.reshape(1, -1))
        _, prompt, system, penalty, limit, rendered, ids, tokens, logits, gaps = search(
            target, size, number, picture, choices
        )
        gap = min(gaps)
        if gap < SMALLEST_GAP:
            print(f"  {case}: left out, smallest gap {gap:.4f}")
            continue
        if picture is not None:
            assert ids.count(target.image_id) == len(merged)
            assert np.array_equal(target.prompt(prompt, picture, system)[2]["pixel_values"].numpy(), pixels.numpy())
        record |= {
            "system": system,
            "prompt": prompt,
            "rendered": rendered,
            "input_ids": ids,
            "repetition_penalty": penalty,
            "max_new_tokens": limit,
            "tokens": tokens,
            "text": target.tokenizer.decode(tokens, skip_special_tokens=True),
            "ended": tokens[-1] in target.eos,
            "min_gap": round(gap, 5),
            "median_gap": round(float(np.median(gaps)), 5),
        }
        added["first_logits"] = f32(logits[0])
        tensors |= {f"{case}.{k}": v for k, v in added.items()}
        records.append(record)
    write_lines(EXPECTED / f"{name}.jsonl", records)
    save_safetensors(EXPECTED / f"{name}.safetensors", tensors)
    gaps = [r["min_gap"] for r in records]
    print(
        f"{name}: {len(records)} cases, smallest gap {min(gaps)}, {sum(g < COMFORTABLE_GAP for g in gaps)} below"
        f" {COMFORTABLE_GAP}, ended {sum(r['ended'] for r in records)}, distinct texts {len({r['text'] for r in records})},"
        f" prompts of {min(len(r['input_ids']) for r in records)} to {max(len(r['input_ids']) for r in records)} tokens,"
        f" penalties {[sum(r['repetition_penalty'] == p for r in records) for p in PENALTIES]}"
    )


# ---------------------------------------------------------------- drafters


def drafter_cases():
    """Drafters by themselves: causal, positions 0, 1, 2 ... whatever is a picture; no penalty."""
    from reference_families import Drafter, Target

    records, tensors = [], {}
    for target_name, massv, plain in (
        ("gemma3-hub", "gemma3-massv", "gemma3-text"),
        ("llava-hub", "llama-massv", "llama-text"),
    ):
        target = Target(target_name)
        drafter = Drafter(massv)
        for case, file, text in (
            ("wide", "wide-200x99.jpg", PROMPTS[0]),
            ("exif6", "exif6-90x140.jpg", PROMPTS[1]),
            ("dot", "dot-1x1.png", PROMPTS[2]),
        ):
            source = {"file": f"Tests/Fixtures/images/{file}"}
            picture = load_rgb(source)
            projected = drafter.project(target.vision(target.pixels(picture))[0])

            def run(ids):
                return drafter.logits(ids, target.image_id, projected)

            for text in [text, *PROMPTS]:
                rendered, ids, _ = target.prompt(text, picture)
                tokens, gap, first, last = clear_greedy(run, ids, target.eos, 16)
                if gap > COMFORTABLE_GAP:
                    break
            key = f"{massv}-{case}"
            tensors[key + ".projected"] = f32(projected)
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(first), f32(last)
            records.append(
                {"id": key, "model": massv, "image": source, "prompt": text, "rendered": rendered, "input_ids": ids}
                | {"tokens": tokens, "min_gap": round(gap, 5)}
            )
        drafter = Drafter(plain)
        for i, (text, system) in enumerate(TEXTS[target.model.config.model_type]):
            rendered, ids, _ = target.prompt(text, None, system)
            if max(ids) >= drafter.model.config.vocab_size:
                continue
            tokens, gap, first, last = clear_greedy(drafter.logits, ids, target.eos, 24)
            if gap < SMALLEST_GAP:
                print(f"  {plain}, text {i}: left out, smallest gap {gap:.4f}")
                continue
            key = f"{plain}-text-{i}"
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(first), f32(last)
            records.append(
                {"id": key, "model": plain, "image": None, "prompt": text, "system": system, "rendered": rendered}
                | {"input_ids": ids, "tokens": tokens, "min_gap": round(gap, 5)}
            )
        agreement(target, massv, plain)
    write_lines(EXPECTED / "drafters-families.jsonl", records)
    save_safetensors(EXPECTED / "drafters-families.safetensors", tensors)
    print(f"drafters: {len(records)} cases, smallest gap {min(r['min_gap'] for r in records)}")


def agreement(target, massv, plain):
    """How often each drafter's first choice is the target's, along the target's own greedy text; the plain one is
    given the prompt without the picture's tokens."""
    from reference_families import Drafter

    records = [json.loads(line) for line in (EXPECTED / f"{target.name}.jsonl").read_text().splitlines()]
    for name in (massv, plain):
        drafter = Drafter(name)
        hits = total = 0
        for r in records:
            if r["image"] and "file" not in r["image"]:
                continue
            projected, ids = None, r["input_ids"]
            if r["image"]:
                if drafter.projector is None:
                    ids = [i for i in ids if i != target.image_id]
                else:
                    projected = drafter.project(target.vision(target.pixels(load_rgb(r["image"])))[0])
            if max(ids) >= drafter.model.config.vocab_size:
                continue
            rows = drafter.logits(ids + r["tokens"], target.image_id, projected)
            guess = rows[len(ids) - 1 : -1].argmax(-1).tolist()
            hits += sum(a == b for a, b in zip(guess, r["tokens"]))
            total += len(r["tokens"])
        print(f"  {name} says what {target.name} says {hits}/{total} times")


# ---------------------------------------------------------------- prompts and tokenizers


def prompts():
    from reference_families import plain_messages
    from transformers.utils.chat_template_utils import render_jinja_template

    plain = "Describe this image."
    out = []
    for family, template, bos in (("gemma3", "gemma-3.jinja", "<bos>"), ("llava", "llava-1.5.jinja", "")):
        template = (EXPECTED.parent / "templates" / template).read_text(encoding="utf-8")
        for image, text, system in (
            (True, plain, None),
            (False, plain, None),
            (True, plain, "You are a poet."),
            (False, plain, "You are a poet."),
            (True, "", None),
            (False, "", None),
            (True, "Line one\nline two ", ""),
            (False, "  spaces  ", " You are a poet. "),
            (True, "\n\n\t tabs and newlines \n", None),
            (False, "\u00a0\u3000wide blanks\u2003\u0085", None),
        ):
            messages = plain_messages(text, image, system, wrap=family == "llava")
            rendered, _ = render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=True, bos_token="<bos>"
            )
            out.append({"family": family, "image": image, "system": system, "prompt": text, "rendered": rendered[0]})
    assert out[0]["rendered"] == (
        "<bos><start_of_turn>user\n<start_of_image>Describe this image.<end_of_turn>\n<start_of_turn>model\n"
    )
    assert out[10]["rendered"] == "USER: <image>\nDescribe this image. ASSISTANT:"
    write_json(EXPECTED / "prompts-families.json", out)
    print(f"prompts: {len(out)}")


def tokenizer_texts():
    """Texts for every kind of tokenizer; each kind's own marks are in some."""
    texts = [
        "", " ", "  ", "   ", "     ", "\n", "\n\n", "\n\n\n\n\n", "\t", "\t\t\t", "\r\n", " \n ", "\n \n", "▁", "▁▁", " ▁ ",
        "a", " a", "  a", "a ", "a  ", "   a   b    c     d      e", "a\tb", "a\nb", "a \n b", "\na", "a\n", "\n\na\n\n\nb",
        "Describe this image.", "What is in the picture?", " Describe this image. ", "The picture shows a white house.",
        "A red circle on a white background.\n\nA blue square beside a green triangle.  Two yellow stars.",
        "Hello, World!", "HELLO WORLD", "hello_world-foo.bar", "it's we've I'LL they'd", "don’t “quote” – dash — …",
        "1234567890", "3.14159", "2024-11-24T12:00:00Z", "1 2  3   4", "$5 & 50% @home #tag", "<>[]{}()|\\/^~`*+=",
        "def f(x):\n    return x  # comment\n", "{\"key\": [1, 2, null]}", "if (a<b && c>d) { x++; }", "https://example.org/a?b=c&d",
        "Où est le café ?", "Größe, Straße, Öl", "naïve façade", "e\u0301te\u0301", "ÉTÉ", "Ångström", "ñandú", "Dvořák",
        "Привет, мир", "и", "ии и и", "Ελλάδα", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดี", "გამარჯობა", "ა ა",
        "你好，世界", "的", "的的 日 日本", "日本語のテキスト", "안녕하세요", "漢字かな交じり文 with English", "𠮷野家", "\u3000全角　空白",
        "🙂", "a🙂b", "🙂🙂 🙂", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "☃︎", "🇫🇷🇩🇪", "emoji at the end 🎉", "🎉 emoji in front",
        "\u00a0", "a\u00a0b", "a\u200bb", "a\u200db", "\ufeffa", "\u2028", "a\u0000b", "\u007f", "\u0001\u0002", "\ufffd",
        "\U0010ffff", "zero\u0308 combining", "ﬁ ligature", "ⅷ ½ ²", "ＦＵＬＬ", "İstanbul ı", "ß", "ẞ", "x" * 40, "ab" * 20, " " * 20,
        "\n" * 9, "\t" * 5, "the the the the", "thethethe", "this is with the and are", "squares", "user\nmodel\n",
        "user model assistant", "USER: a ASSISTANT:", "USER: what is it? ASSISTANT: it is a dog.",
    ]  # fmt: skip
    gemma = [
        "<bos>", "<bos>a", "<bos> a", "a<bos>", "a <eos> b", "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n",
        "<bos><start_of_turn>user\n\n\n<start_of_image><image_soft_token><image_soft_token><end_of_image>\n\nhi<end_of_turn>\n",
        "<b>bold</b>", "<b> bold </b>", "< b >", "<table><tr>", "<unused0> <unused1>", "<unused2>", "[multimodal]", "<mask>",
        "<unk>", "<pad><pad>", "<0x0A>", "<0x41>a", "<start_of_turn", "start_of_turn>", "<<bos>>", "a▁▁b", "a▁b", "▁▁▁▁▁",
        "<end_of_turn>  <end_of_turn>", "\t<b>\t\t\n\n</b>", "\n\n\n\n\n\n\n<eos>",
    ]  # fmt: skip
    llama = [
        "<s>", "<s>a", "<s> a", "a<s>", "a </s> b", "</s>", "</s></s>", "USER: <image>\nDescribe this image. ASSISTANT:",
        "<image>", "<image><image><image>", " <image> ", "<image>a<image> b", "<pad>", "a<pad> <pad>b", "<unk>", "a<unk>b", "<0x0A>",
        "<0x41>a", "<image", "image>", "<<s>>", "a▁▁b", "a▁b", "▁▁▁▁▁", "▁a", "<s>\n", "<s>\n\n a</s> b </s>\n", "[INST] hi [/INST]",
    ]  # fmt: skip
    return texts, gemma, llama


def tokenizers():
    """Of each kind what the tokenizers library makes of the file by itself."""
    from tokenizers import Tokenizer

    common, gemma, llama = tokenizer_texts()
    lines, decoding, differing = [], [], {}
    for name, own in (("gemma3-hub", gemma), ("llava-hub", llama), ("llava-v5", llama)):
        tokenizer = Tokenizer.from_file(str(MODEL_DIRS[name] / "tokenizer.json"))
        theirs = load_tokenizer(name)
        for i, text in enumerate(common + own):
            # Marks both ways; the rest one way or the other.
            for special in (True, False) if text in own or i % 10 == 0 else (i % 2 == 0,):
                ids = tokenizer.encode(text, add_special_tokens=special).ids
                lines.append(
                    {"tokenizer": name, "text": text, "add_special_tokens": special, "ids": ids}
                    | {"decoded": tokenizer.decode(ids, skip_special_tokens=True)}
                )
                if theirs(text, add_special_tokens=special)["input_ids"] != ids:
                    differing.setdefault(name, []).append(text)
        for ids in decoding_ids(tokenizer):
            decoding.append({"tokenizer": name, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    write_lines(EXPECTED / "tokenizers.jsonl", lines)
    write_lines(EXPECTED / "decoding.jsonl", decoding)
    print(f"tokenizers: {len(lines)} lines, {len(decoding)} of decoding alone")
    for name, texts in differing.items():
        print(f"  {name}: transformers' own class says otherwise for {len(texts)}: {texts[:6]}")


def load_tokenizer(name):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL_DIRS[name])


def decoding_ids(tokenizer):
    """Ids as a model may say them: bytes that are no character, blanks in front, marks between."""

    def of(*words):
        return [tokenizer.token_to_id(w) for w in words]

    eos = "</s>" if tokenizer.token_to_id("</s>") == 2 else "<eos>"
    bos = "<s>" if eos == "</s>" else "<bos>"
    smile = ("<0xF0>", "<0x9F>", "<0x99>", "<0x82>")
    yield from [
        of("<0xE4>"),
        of("<0x41>", "<0xE4>"),  # one run: as a whole no UTF-8, so that the letter, too, is lost
        of("<0xE4>", "<0x41>"),
        of("<0xE4>", "a"),
        of("a", "<0xE4>", "<0xBD>", "b"),
        of("<0xE4>", "<0xBD>", "<0xA0>"),
        of("<0xE4>", "<0xBD>", "<0xA0>", "<0xE4>"),
        of("<0xFF>", "<0xFE>", "a", "<0xC3>", "<0xA9>"),
        of("<0xED>", "<0xA0>", "<0x80>"),  # a surrogate
        of("<0xC0>", "<0x80>"),  # too long a form
        of("<0xF4>", "<0x90>", "<0x80>", "<0x80>"),  # beyond the last character
        of(*smile),
        of(*smile[:3]),
        of(*smile[:2], "▁", *smile[2:]),
        of(*smile[:2], eos, *smile[2:]),  # the mark is left out before bytes are joined
        of("<0x20>", "a"),
        of("<0x0A>", "<0x0A>", "a"),
        of("<0xE2>", "<0x96>", "<0x81>", "a"),  # the metaspace, in bytes
        of("▁", "a"),
        of("▁", "▁", "a"),
        of("▁▁", "a"),
        of("▁the", "▁a"),
        of("th", "▁the"),
        of(bos, "▁the", "▁a", eos),
        of(bos, "▁", bos, "▁the"),
        of(eos, eos, "a"),
        of("<unk>", "a"),
        of("a", "▁"),
        of("▁"),
        of("▁▁▁▁"),
        [],
    ]


def main():
    EXPECTED.mkdir(parents=True, exist_ok=True)
    parts = {"prompts": prompts, "tokenizers": tokenizers, "drafters": drafter_cases}
    for part in sys.argv[1:] or ["prompts", "tokenizers", *MODELS, "drafters"]:
        parts[part]() if part in parts else model_cases(part)


if __name__ == "__main__":
    main()
