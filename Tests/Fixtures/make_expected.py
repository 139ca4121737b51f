"""Writes what transformers answers: models, drafters, prompts, logits processors, image sizes.

    python make_expected.py            everything
    python make_expected.py sampling   one part (models, drafters, prompts, sampling, sizes)
"""

import hashlib
import json
import sys

import numpy as np
import torch

from fixturelib import EXPECTED, MODEL_DIRS, MODELS, image_bytes, load_rgb, save_safetensors, sha256, shared_data, write_json

PROMPTS = [
    "Describe this image.",
    "What is in the picture?",
    "What colour is the circle?",
    "Name the thing in the middle of the image.",
    "How many shapes are there? Answer with one number.",
    "Is there a dog? Yes or no:",
]
PENALTIES = [1.0, 1.05, 1.3]
SMALLEST_GAP = 0.02

PROJECT_IMAGES = """tall-37x211.png tile-28x28.png dot-1x1.png strip-260x4.png wide-200x99.jpg full-chroma-101x77.jpg
half-chroma-113x64.jpg exif6-90x140.jpg exif3-120x85.jpg exif5-66x97.jpg exif8-70x110.webp grey-120x80.jpg
grey-alpha-60x45.png palette-64x48.png palette-see-through-80x64.png progressive-150x100.jpg cmyk-96x72.jpg
rgba-100x60.png lossy-161x120.webp lossless-50x75.webp one-bit-90x50.png""".split()

# The narrowest and widest, and some from the middle.
PHOTOS = """1295671216_cde1b9c9d1.jpg 1420060020_7a6984e2ea.jpg 1240297429_c36ae0c58f.jpg 102351840_323e3de834.jpg
1000268201_693b08cb0e.jpg 1001773457_577c3a7d70.jpg""".split()
MORE_PHOTOS = 10

TORTURE = """exif-orient/Landscape_5.jpg exif-orient/Portrait_7.jpg pillow/Tests_images_hopper_orientation_2.jpg
pillow/Tests_images_hopper_orientation_4.jpg pillow/Tests_images_hopper_orientation_7.webp
image-rs/tests_images_jpg_portrait_2.jpg image-rs/tests_images_jpg_progressive_cat.jpg
golang-image/testdata_go-turns-two-280x360.jpeg synth/cmyk.jpg zune/test-images_jpeg_cymk.jpg
jpeg-decoder/tests_crashtest_images_imagetestsuite_1cbb1bb37d62c44f67374cd451643dc4.jpg
wuffs/test_data_bricks-gray.jpeg pillow/Tests_images_iptc.jpg pillow/Tests_images_exif-200dpcm.jpg
pillow/Tests_images_pil123p.png pillow/Tests_images_l_trns.png pngsuite/png_tm3n3p02.png synth/la.png
golang-image/testdata_tux.png golang-image/ccitt_testdata_bw-gopher.png ljt/testimages_monkey16.png
golang-image/testdata_blue-purple-pink-large.normal-filter.lossy.webp libwebp/alpha_color_cache.webp
golang-image/testdata_tux.lossless.webp""".split()

TEXTS = [
    ("Write a short story.", None),
    ("What is the weather like?", "You are a dog."),
    ("Où est le café ? 🙂 \u4f60\u597d, e\u0301te\u0301 2024", None),
    ("A red circle on a white background.\n\nA blue square beside a green triangle.  Two yellow stars.", None),
    ("Name <|im_start|>three</tool_call> colours\r\n\tplease...   ", None),
    ("1234567890 it's I'LL we've", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
]


def sources():
    """(id, source) of every picture; photographs only when they are here."""
    yield from ((f"img-{n.split('.')[0]}", {"file": f"Tests/Fixtures/images/{n}"}) for n in PROJECT_IMAGES)
    shared = shared_data()
    if shared is None:
        raise SystemExit("the folder of photographs is not here: set MASSV_SHARED_DATA")
    import tarfile

    with tarfile.open(shared / "photos.tar") as tar:
        names = sorted(n for n in tar.getnames() if n.endswith(".jpg") and n not in PHOTOS)
    names.sort(key=lambda n: hashlib.sha256(n.encode()).hexdigest())
    for n in PHOTOS + names[:MORE_PHOTOS]:
        yield f"photo-{n.split('.')[0]}", {"tar": "photos.tar", "member": n}
    for i, path in enumerate(TORTURE):
        if (shared / "torture" / path).exists():
            yield f"odd-{i:02d}", {"torture": path}
        else:
            print("  not here:", path)


def f32(tensor):
    return ("F32", tensor.detach().numpy().astype(np.float32))


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")


def search(target, tokenizer_size, number, patches, grid, text=None, system=None):
    """The first combination of prompt, penalty and length, from a place that turns with the case's number, whose
    every choice is clear of the runner-up."""
    best = None
    for attempt in range(12):
        k = number + attempt
        prompt = text if text is not None else PROMPTS[k % len(PROMPTS)]
        penalty = PENALTIES[(number + attempt // 2 if text is None else k) % 3]
        limit = (24, 32, 40)[(number // 3) % 3]
        rendered, ids = target.prompt(prompt, grid, system)
        tokens, logits, gaps = target.generate(ids, patches, grid, penalty, limit)
        assert max(tokens) < tokenizer_size, "an id that no token has"
        found = (min(gaps), prompt, penalty, limit, rendered, ids, tokens, logits, gaps)
        if best is None or found[0] > best[0]:
            best = found
        if found[0] > SMALLEST_GAP:
            break
    return best


def model_cases(name):
    from reference import Target

    target = Target(name)
    size = target.tokenizer.get_vocab_size()
    records, tensors = [], {}
    cases = [(i, s, None, None) for i, s in sources()]
    cases += [(f"text-{i}", None, text, system) for i, (text, system) in enumerate(TEXTS)]
    pre_merger_for = {"img-tall-37x211", "img-tile-28x28", "img-dot-1x1", "img-wide-200x99", "img-exif6-90x140", "img-strip-260x4"}
    for number, (case, source, text, system) in enumerate(cases):
        record = {"id": case, "model": name, "image": source}
        patches = grid = None
        if source:
            picture = load_rgb(source)
            patches, grid, resized = target.patches(picture)
            pre, merged = target.vision(patches, grid)
            record |= {
                "file_sha256": sha256(image_bytes(source)),
                "rgb_size": list(picture.size),
                "rgb_sha256": sha256(picture.tobytes()),
                "resized_size": list(resized.size),
                "resized_sha256": sha256(resized.tobytes()),
                "grid_thw": grid[0].tolist(),
            }
            tensors[case + ".merged"] = f32(merged)
            if case in pre_merger_for:
                tensors[case + ".pre_merger"] = f32(pre)
            if case in ("img-tile-28x28", "img-wide-200x99"):
                tensors[case + ".patches"] = f32(patches)
        gap, prompt, penalty, limit, rendered, ids, tokens, logits, gaps = search(
            target, size, number, patches, grid, text, system
        )
        if gap < SMALLEST_GAP / 2:
            print(f"  {case}: left out, smallest gap {gap:.4f}")
            for key in [k for k in tensors if k.startswith(case + ".")]:
                del tensors[key]
            continue
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
        tensors[case + ".first_logits"] = f32(logits[0])
        tensors[case + ".last_logits"] = f32(logits[-1])
        if source:
            positions, delta = target.positions(ids, grid)
            record["rope_delta"] = delta
            if case in pre_merger_for:
                tensors[case + ".position_ids"] = ("I32", positions.numpy().astype(np.int32))
        records.append(record)
    write_lines(EXPECTED / f"{name}.jsonl", records)
    save_safetensors(EXPECTED / f"{name}.safetensors", tensors)
    gaps = [r["min_gap"] for r in records]
    print(
        f"{name}: {len(records)} cases, smallest gap {min(gaps)}, ended {sum(r['ended'] for r in records)},"
        f" distinct texts {len({r['text'] for r in records})}, visual tokens up to"
        f" {max(np.prod(r['grid_thw']) // 4 for r in records if r['image'])}"
    )


def clear_greedy(run, ids, eos, limit):
    tokens, gaps, first, last = [], [], None, None
    for _ in range(limit):
        row = run(ids + tokens)[-1]
        first = row if first is None else first
        last = row
        top = row.topk(2).values
        gaps.append(float(top[0] - top[1]))
        tokens.append(int(row.argmax()))
        if tokens[-1] in eos:
            break
    return tokens, min(gaps), first, last


def drafter_cases():
    """Drafters by themselves: positions 0, 1, 2 ... whatever is a picture; no penalty."""
    from reference import Drafter, Target, render

    target = Target("qwen25vl-hub")
    records, tensors = [], {}
    for name in ("massv", "massv-echo"):
        drafter = Drafter(name)
        for case, file, text in (
            ("wide", "wide-200x99.jpg", PROMPTS[0]),
            ("exif6", "exif6-90x140.jpg", PROMPTS[1]),
            ("dot", "dot-1x1.png", PROMPTS[2]),
        ):
            source = {"file": f"Tests/Fixtures/images/{file}"}
            patches, grid, _ = target.patches(load_rgb(source))
            pre, _ = target.vision(patches, grid)
            projected = drafter.project(pre)

            def run(ids):
                return drafter.logits(ids, target.image_id, projected)

            for text in [text, *PROMPTS]:
                rendered, ids = target.prompt(text, grid)
                tokens, gap, first, last = clear_greedy(run, ids, target.eos, 16)
                if gap > SMALLEST_GAP:
                    break
            key = f"{name}-{case}"
            tensors[key + ".projected"] = f32(projected)
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(first), f32(last)
            records.append(
                {"id": key, "model": name, "image": source, "prompt": text, "rendered": rendered, "input_ids": ids}
                | {"tokens": tokens, "min_gap": round(gap, 5)}
            )
    for name in ("qwen2-text", "qwen2-echo"):
        drafter = Drafter(name)
        for i, (text, system) in enumerate(TEXTS):
            rendered = render(MODEL_DIRS[name], text, False, system)
            ids = target.tokenizer.encode(rendered, add_special_tokens=False).ids
            tokens, gap, first, last = clear_greedy(drafter.logits, ids, target.eos, 24)
            if gap < SMALLEST_GAP / 2:
                print(f"  {name}, text {i}: left out, smallest gap {gap:.4f}")
                continue
            key = f"{name}-text-{i}"
            tensors[key + ".first_logits"], tensors[key + ".last_logits"] = f32(first), f32(last)
            records.append(
                {"id": key, "model": name, "image": None, "prompt": text, "system": system, "rendered": rendered}
                | {"input_ids": ids, "tokens": tokens, "min_gap": round(gap, 5)}
            )
    write_lines(EXPECTED / "drafters.jsonl", records)
    save_safetensors(EXPECTED / "drafters.safetensors", tensors)
    print(f"drafters: {len(records)} cases, smallest gap {min(r['min_gap'] for r in records)}")
    agreement(target)


def agreement(target):
    """How often each drafter's first choice is the target's, along the target's own greedy text."""
    from reference import Drafter

    records = [json.loads(line) for line in (EXPECTED / "qwen25vl-hub.jsonl").read_text().splitlines()]
    for name in ("massv", "massv-echo", "qwen2-text", "qwen2-echo"):
        drafter = Drafter(name)
        hits = total = 0
        for r in records:
            if (r["image"] and "file" not in r["image"]) or (r["image"] and drafter.projector is None):
                continue
            projected = None
            if r["image"]:
                patches, grid, _ = target.patches(load_rgb(r["image"]))
                projected = drafter.project(target.vision(patches, grid)[0])
            rows = drafter.logits(r["input_ids"] + r["tokens"], target.image_id, projected)
            guess = rows[len(r["input_ids"]) - 1 : -1].argmax(-1).tolist()
            hits += sum(a == b for a, b in zip(guess, r["tokens"]))
            total += len(r["tokens"])
        print(f"  {name} says what the target says {hits}/{total} times")


def prompts():
    from reference import render

    directory = {"qwen2.5-vl": MODEL_DIRS["qwen25vl-hub"], "qwen2.5": MODELS / "qwen2-text"}
    plain = "Describe this image."
    out = []
    for family, image, text, system in (
        ("qwen2.5-vl", True, plain, None),
        ("qwen2.5-vl", False, plain, None),
        ("qwen2.5-vl", True, plain, "You are a poet."),
        ("qwen2.5-vl", True, "", None),
        ("qwen2.5-vl", True, "Line one\nline two ", ""),
        ("qwen2.5-vl", False, "  spaces  ", "You are a poet."),
        ("qwen2.5", False, plain, None),
        ("qwen2.5", False, plain, "You are a poet."),
        ("qwen2.5", False, "", None),
    ):
        rendered = render(directory[family], text, image, system)
        out.append({"family": family, "image": image, "system": system, "prompt": text, "rendered": rendered})
    mark = "<|im_start|>system\nYou are {}<|im_end|>\n<|im_start|>user\n{}Describe this image.<|im_end|>\n<|im_start|>assistant\n"
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    assert out[0]["rendered"] == mark.format("a helpful assistant.", picture)
    assert out[1]["rendered"] == mark.format("a helpful assistant.", "")
    assert out[6]["rendered"] == mark.format("Qwen, created by Alibaba Cloud. You are a helpful assistant.", "")
    write_json(EXPECTED / "prompts.json", out)
    print(f"prompts: {len(out)}")


def short(x):
    """The shortest decimal that reads back as the same float32."""
    return None if np.isinf(x) else float(str(np.float32(x)))


def sampling():
    from transformers.generation.logits_process import (
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    rng = np.random.RandomState(7)
    records = []

    def case(note, logits, history, penalty=1.0, temperature=1.0, top_k=0, top_p=1.0):
        ids = torch.tensor([history], dtype=torch.long)
        scores = torch.tensor(np.asarray(logits, np.float32))[None]
        before = [short(x) for x in scores[0].numpy()]
        if penalty != 1.0:
            scores = RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
        if temperature != 1.0:
            scores = TemperatureLogitsWarper(temperature)(ids, scores)
        if top_k:
            scores = TopKLogitsWarper(top_k)(ids, scores)
        if top_p < 1.0:
            scores = TopPLogitsWarper(top_p)(ids, scores)
        result = torch.log_softmax(scores[0], -1).numpy()
        records.append(
            {"note": note, "logits": before, "history": history, "repetition_penalty": penalty}
            | {"temperature": temperature, "top_k": top_k, "top_p": top_p, "logprobs": [short(x) for x in result]}
        )

    def draw(scale=3.0, shift=0.0):
        return (shift + scale * rng.standard_normal(50)).astype(np.float32)

    def past(n=12):
        return [int(i) for i in rng.randint(0, 50, n)]

    case("nothing applied", draw(), past())
    case("nothing applied, one peak", np.eye(1, 50, 7)[0] * 30, [7])
    case("penalty, ids repeated", draw(), [3, 3, 3, 9, 9, 3], penalty=1.3)
    case("penalty, every logit below zero", draw(shift=-20), past(), penalty=1.3)
    case("penalty, every logit above zero", draw(shift=20), past(), penalty=1.3)
    case("penalty, a logit of exactly zero", np.where(np.arange(50) == 5, 0, draw()), [5, 6], penalty=1.5)
    case("penalty below one", draw(), past(), penalty=0.8)
    case("penalty on the whole vocabulary", draw(), list(range(50)), penalty=1.2)
    case("penalty overturns the first choice", np.where(np.arange(50) == 4, 9.0, np.where(np.arange(50) == 8, 8.5, draw(1))), [4], penalty=1.2)
    case("penalty of the published model", draw(), past(40), penalty=1.05, temperature=0.000001)
    case("temperature 0.7", draw(), past(), temperature=0.7)
    case("temperature 1.5", draw(), past(), temperature=1.5)
    case("temperature 0.01", draw(), past(), temperature=0.01)
    case("temperature 0.000001", draw(), past(), temperature=0.000001)
    case("temperature 0.000001 with two equal peaks", np.where(np.isin(np.arange(50), (11, 30)), 12.5, draw(1)), past(), temperature=0.000001)
    case("top-k 1", draw(), past(), top_k=1)
    case("top-k 5", draw(), past(), top_k=5)
    case("top-k as large as the vocabulary", draw(), past(), top_k=50)
    case("top-k larger than the vocabulary", draw(), past(), top_k=500)
    steps = np.round(draw(2))
    case("top-k with ties at the border: all of them stay", steps, past(), top_k=6)
    case("top-k 1 with a tie at the top: both stay", np.where(np.isin(np.arange(50), (2, 41)), 15.0, draw(1)), past(), top_k=1)
    case("top-k with all logits equal", np.ones(50), past(), top_k=3)
    case("top-p 0.9", draw(), past(), top_p=0.9)
    case("top-p 0.5", draw(), past(), top_p=0.5)
    case("top-p 0.000001: one stays", draw(), past(), top_p=0.000001)
    case("top-p 0: one stays", draw(), past(), top_p=0.0)
    case("top-p 0.999999", draw(), past(), top_p=0.999999)
    case("top-p 1 is no filter", draw(), past(), top_p=1.0)
    case("top-p over a flat distribution", draw(0.01), past(), top_p=0.3)
    case("top-p, one peak holds nearly everything", np.where(np.arange(50) == 17, 40.0, draw(1)), past(), top_p=0.8)
    for i in range(10):
        case(
            "all together", draw((1.0, 3.0, 6.0)[i % 3]), past(30), penalty=(1.05, 1.1, 1.3)[i % 3],
            temperature=(0.7, 0.2, 1.3, 1.0)[i % 4], top_k=(20, 5, 40)[i % 3], top_p=(0.8, 0.95, 0.4, 0.99)[i % 4],
        )  # fmt: skip
    write_lines(EXPECTED / "sampling.jsonl", records)
    print(f"sampling: {len(records)}")


def sizes():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    rng = np.random.RandomState(11)
    cases = [
        (1, 1), (1, 200), (1, 201), (200, 1), (201, 1), (14, 14), (28, 28), (42, 42), (70, 70), (98, 14), (13, 2600),
        (2, 400), (2, 401), (43, 41), (55, 57), (126, 154), (65500, 65500), (3000, 4000), (4, 260), (28, 5600),
    ]  # fmt: skip
    limits = [(28, 3136, 62720), (28, 6272, 50176), (28, 3136, 12845056), (28, 200704, 1003520), (32, 4096, 99999), (28, 1, 784)]
    out = []

    def add(h, w, factor, low, high):
        try:
            result = {"height": (r := smart_resize(h, w, factor, low, high))[0], "width": r[1]}
        except ValueError:
            result = {"error": True}
        out.append({"h": h, "w": w, "factor": factor, "min": low, "max": high} | result)

    for h, w in cases:
        for limit in limits[:4]:
            add(h, w, *limit)
    while len(out) < 300:
        shape = rng.randint(0, 4)
        if shape == 0:  # halves: where rounding to even is seen
            h, w = (int(14 * (2 * rng.randint(1, 40) + 1)) for _ in range(2))
        elif shape == 1:
            h, w = (int(rng.randint(1, 600)) for _ in range(2))
        elif shape == 2:
            h, w = (int(np.exp(rng.uniform(0, 9.5))) for _ in range(2))
        else:
            h, w = (int(rng.randint(300, 5000)) for _ in range(2))
        add(h, w, *limits[rng.randint(0, len(limits))])
    lines = ",\n".join(json.dumps(r) for r in out)
    (EXPECTED / "smart_resize.json").write_text(f"[\n{lines}\n]\n")
    print(f"sizes: {len(out)}, {sum('error' in r for r in out)} of them errors")


def main():
    EXPECTED.mkdir(parents=True, exist_ok=True)
    parts = sys.argv[1:] or ["prompts", "sampling", "sizes", "models", "drafters"]
    for part in parts:
        if part == "models":
            model_cases("qwen25vl-hub")
            model_cases("qwen25vl-v5")
        else:
            {"prompts": prompts, "sampling": sampling, "sizes": sizes, "drafters": drafter_cases}[part]()


if __name__ == "__main__":
    main()
