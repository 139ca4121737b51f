"""Lists every stored fixture with its sha256 and the script that made it; `--check` compares instead of writing."""

import sys

from fixturelib import HERE, ROOT, sha256

MANIFEST = HERE / "MANIFEST.tsv"
MAKERS = [
    ("Tests/Fixtures/images/", "Tests/Fixtures/make_images.py"),
    ("Tests/Fixtures/captions/", "Tests/Fixtures/make_captions.py"),
    *[
        (f"Tests/Fixtures/models/{n}/", "Tests/Fixtures/make_models_gemma3.py")
        for n in ("gemma3-hub", "gemma3-v5", "gemma3-text", "gemma3-massv")
    ],
    *[
        (f"Tests/Fixtures/models/{n}/", "Tests/Fixtures/make_models_llava.py")
        for n in ("llava-hub", "llava-v5", "llama-text", "llama-massv")
    ],
    ("Tests/Fixtures/models/gguf/", "Tests/Fixtures/make_gguf.py"),
    ("Tests/Fixtures/models/compressed/", "Tests/Fixtures/make_compressed.py"),
    ("Tests/Fixtures/expected/compressed.json", "Tests/Fixtures/make_compressed.py"),
    ("Tests/Fixtures/models/", "Tests/Fixtures/make_models.py"),
    ("Tests/Fixtures/expected/torture.tsv", "Tests/Fixtures/make_torture.py"),
    ("Tests/Fixtures/expected/rope.json", "Tests/Fixtures/make_rope.py"),
    ("Tests/Fixtures/expected/resize.json", "Tests/Fixtures/make_resize.py"),
    *[
        (f"Tests/Fixtures/expected/{n}.{e}", "Tests/Fixtures/make_expected_families.py")
        for n in ("gemma3-hub", "gemma3-v5", "llava-hub", "llava-v5", "drafters-families")
        for e in ("jsonl", "safetensors")
    ],
    *[
        (f"Tests/Fixtures/expected/{n}", "Tests/Fixtures/make_expected_families.py")
        for n in ("prompts-families.json", "tokenizers.jsonl", "decoding.jsonl")
    ],
    *[
        (f"Tests/Fixtures/expected/{n}", "Tests/Fixtures/make_gguf.py")
        for n in ("gguf-blocks.json", "gguf-files.json", "gguf-answers.jsonl", "gguf-answers.safetensors")
    ],
    *[
        (f"Tests/Fixtures/expected/{n}", "Tests/Fixtures/make_gradients.py")
        for n in ("gradients.json", *(f"gradients-{d}.safetensors" for d in ("massv", "gemma3-massv", "llama-massv")))
    ],
    ("Tests/Fixtures/expected/", "Tests/Fixtures/make_expected.py"),
    ("Tests/Fixtures/shapes/", "Tests/Fixtures/make_shapes.py"),
    ("Tests/Fixtures/shapes.tar", "Tests/Fixtures/make_shapes.py"),
    ("examples/models/", "examples/family/train.sh"),
    ("examples/scenes/", "pipelines/scenes.pipe"),
    ("examples/scenes.tar", "pipelines/scenes.pipe"),
    ("Tests/Fixtures/templates/gemma-3.jinja", "in transformers' conversion script, Apache-2.0"),
    ("Tests/Fixtures/templates/llava-1.5.jinja", "published by llava-hf"),
    ("Tests/Fixtures/templates/", "published by Qwen, Apache-2.0"),
]


def listing():
    lines = ["path\tsha256\tgenerator"]
    for prefix, maker in MAKERS:
        base = ROOT / prefix.rstrip("/")
        if not base.exists():
            continue
        files = [f for f in ([base] if base.is_file() else sorted(base.rglob("*"))) if f.is_file()]
        # The first entry that names a file tells who made it.
        listed = {line.split("\t")[0] for line in lines}
        files = [f for f in files if f.relative_to(ROOT).as_posix() not in listed]
        lines += [f"{f.relative_to(ROOT).as_posix()}\t{sha256(f.read_bytes())}\t{maker}" for f in files]
    return lines


def main():
    now = listing()
    if "--check" not in sys.argv:
        MANIFEST.write_text("\n".join(now) + "\n")
        print(f"{len(now) - 1} files")
        return
    stored = MANIFEST.read_text().splitlines()
    wrong = sorted(set(now) ^ set(stored))
    for line in wrong:
        print(("not as stored: " if line in stored else "found instead: ") + line)
    sys.exit(f"{len(wrong)} lines differ" if wrong else 0)


if __name__ == "__main__":
    main()
