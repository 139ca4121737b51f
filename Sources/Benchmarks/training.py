"""Times and weighs PyTorch's training step of a small Qwen2 (28 M parameters, random, f32), for comparison.

    python training.py --threads 2         one JSON line: seconds and megabytes

Memory is what Linux says of the process: at most at any time, and before there was a model.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM


def megabytes(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field + ":")) / 1024


def adamw(model):
    try:
        return torch.optim.AdamW(model.parameters(), fused=True)
    except RuntimeError:  # a torch that has no fused one for the processor
        return torch.optim.AdamW(model.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--sequence", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    baseline = megabytes("VmRSS")

    config = Qwen2Config(
        hidden_size=512,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        intermediate_size=1408,
        vocab_size=8192,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = Qwen2ForCausalLM(config).float().train()
    optimizer = adamw(model)
    ids = torch.randint(config.vocab_size, (options.batch, options.sequence + 1))

    def step():
        optimizer.zero_grad()
        # One token more than is read, so that every position has a token to be judged by.
        logits = model(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()  # what is made once, and is not part of a step: gradients' and moments' memory, threads
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    result = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": options.threads,
        "seconds_per_step": round(statistics.median(seconds), 4),
        "steps": options.steps,
        "peak_mb": round(megabytes("VmHWM"), 1),
        "baseline_mb": round(baseline, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
