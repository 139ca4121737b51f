"""What torch makes of training a MASSV drafter: losses, gradients and ten steps of AdamW, for each of three drafters.

    python make_gradients.py         after make_models.py, make_models_gemma3.py and make_models_llava.py; some seconds

Writes expected/gradients.json and, for each drafter, expected/gradients-<drafter>.safetensors:

    features.<n>             [visual tokens, vision width], named by the examples of all three batches
    grad.language.<name>     the gradient, of the first batch's loss, of each published weight; where the head is tied,
                             the table's is of both of its uses
    grad.projector.<name>    the same of the projector's weights
    grad_kl.projector.<name> the same of the other loss, below

An example is a prompt and an answer. The prompt's rows "visual" (first, and one past the last; null where there are
none) hold projected features in place of the placeholder's own row. Positions are 0, 1, 2 ... and attention is causal
throughout.

"loss" is the mean, over all answer tokens of the batch, of -log q(token), in nats. "kl" is the mean over the same
tokens of the sum of p (log p - log q) over the teacher's eight tokens; what the teacher gives to other tokens is not
counted. "grad_norm" is of all gradients together, projector and language.

"steps": AdamW on the three batches in turn, from the published values; "loss" and "grad_norm" are those before the
step's update, and "grad_norm" is of what is updated, before clipping. "loss_after" is the first batch's at the end.
"f64" is exact as far as the digits go; "f32" shows how far from it single precision may come.
"""

import json
import math
import random

import numpy as np
import torch
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM

from fixturelib import EXPECTED, MODEL_DIRS, save_safetensors
from reference_families import Drafter

torch.set_num_threads(1)
SEED = 20
# Each with its target's placeholder.
DRAFTERS = {"massv": 418, "gemma3-massv": 391, "llama-massv": 392}

# (words before, visual tokens, words after, answer), three batches of three. Among them: visual tokens that have left
# the sliding window (24) of the answer's last tokens, a prompt that begins and one that ends with them, one word alone.
SHAPES = [
    [(5, 9, 20, 12), (11, 0, 0, 5), (3, 4, 6, 8)],
    [(30, 0, 0, 10), (0, 6, 4, 7), (8, 5, 0, 9)],
    [(2, 4, 7, 6), (10, 7, 18, 11), (1, 0, 0, 5)],
]
# Few enough words that most come more than once: their rows of the table add up.
WORDS = 60
TEACHER = 8

ADAMW = {
    "lr": 1e-3, "warmup": 3, "steps": 10, "least": 0.05, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.05,
    "clip": 1.0,
}  # fmt: skip


class Exact(TorchFunctionMode):
    """transformers computes norms, softmax and angles in f32 whatever the model is in; in here, in f64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.float:
            func = torch.Tensor.double

        def wide(x):
            return torch.float64 if x is torch.float32 else x

        out = func(*map(wide, args), **{k: wide(v) for k, v in (kwargs or {}).items()})
        assert not isinstance(out, torch.Tensor) or out.dtype != torch.float32, f"{func} answers in f32"
        return out


class Trained:
    """A drafter all of whose weights are parameters, in f64 or f32."""

    def __init__(self, name, dtype):
        where = MODEL_DIRS[name]
        self.dtype, self.placeholder = dtype, DRAFTERS[name]
        settings = json.loads((where / "massv.json").read_text())
        self.width, self.settings = settings["vision_width"], settings["projector"]
        assert self.settings["kind"] == "mlp" and self.settings["activation"] == "gelu"
        published = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, attn_implementation="eager")
        self.model = published
        if dtype == torch.float64:
            # Made anew, so that frequencies and scales, too, are computed in f64 and not only widened.
            torch.set_default_dtype(dtype)
            with Exact():
                self.model = AutoModelForCausalLM.from_config(
                    published.config, dtype=dtype, attn_implementation="eager"
                )
            torch.set_default_dtype(torch.float32)
            self.model.load_state_dict(published.state_dict())
        self.model.eval()
        self.language = dict(self.model.named_parameters())
        assert set(self.language) == set(load_file(where / "model.safetensors")), "not the published names"
        projector = load_file(where / "projector.safetensors")
        self.projector = {k: v.to(dtype).requires_grad_() for k, v in projector.items()}
        for p in [*self.language.values(), *self.projector.values()]:
            assert p.dtype == dtype and p.requires_grad

    def project(self, features):
        p = self.projector
        x = torch.nn.functional.gelu(features @ p["linear_1.weight"].T + p["linear_1.bias"])
        x = x @ p["linear_2.weight"].T + p["linear_2.bias"]
        if self.settings["output_norm"]:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.settings["norm_eps"]) * p["norm.weight"]
        return x

    def log_probabilities(self, example):
        """A row for each answer token, from the row before it."""
        ids = torch.tensor([example["prompt_ids"] + example["answer_ids"][:-1]])
        is_image = torch.zeros_like(ids, dtype=torch.bool)
        if example["visual"]:
            is_image[0, slice(*example["visual"])] = True
        # The scale that Gemma has for words is in the table; what is projected is taken as it is.
        embeds = self.model.get_input_embeddings()(ids.masked_fill(is_image, 0))
        if example["visual"]:
            embeds = embeds.masked_scatter(is_image[..., None], self.project(example["tensor"].to(self.dtype)))
        logits = self.model(inputs_embeds=embeds, use_cache=False).logits[0, len(example["prompt_ids"]) - 1 :]
        return torch.log_softmax(logits, -1)

    def rows(self, batch):
        if self.dtype == torch.float64:
            with Exact():
                return [self.log_probabilities(e) for e in batch]
        return [self.log_probabilities(e) for e in batch]

    def loss(self, batch):
        rows = self.rows(batch)
        return -torch.cat([r[range(len(r)), e["answer_ids"]] for r, e in zip(rows, batch, strict=True)]).mean()

    def kl(self, batch, teacher):
        terms = []
        for row, said in zip(self.rows(batch), teacher, strict=True):
            ids, p = torch.tensor(said["ids"]), torch.tensor(said["p"], dtype=self.dtype)
            terms.append((p * (p.log() - row.gather(1, ids))).sum(-1))
        return torch.cat(terms).mean()


# ---------------------------------------------------------------- examples


def batches(name, width, vocabulary):
    """(batches, what the teacher says of the first)."""
    draw = random.Random(f"{SEED} {name}")
    tokenizer = json.loads((MODEL_DIRS[name] / "tokenizer.json").read_text())
    marks = {t["id"] for t in tokenizer["added_tokens"]}
    ordinary = sorted(i for i in tokenizer["model"]["vocab"].values() if i < vocabulary and i not in marks)
    words = draw.sample(ordinary, WORDS)
    out, number = [], 0
    for shapes in SHAPES:
        out.append([])
        for before, visual, after, answer in shapes:
            example = {
                "prompt_ids": draw.choices(words, k=before) + [DRAFTERS[name]] * visual + draw.choices(words, k=after),
                "visual": [before, before + visual] if visual else None,
                "features": f"features.{number}" if visual else None,
                "answer_ids": draw.choices(words, k=answer),
            }
            if visual:
                normal = np.random.default_rng([SEED, list(DRAFTERS).index(name), number])
                features = normal.standard_normal((visual, width)).astype(np.float32)
                example["tensor"] = torch.from_numpy(features)
            out[-1].append(example)
            number += 1
    teacher = []
    for example in out[0]:
        teacher.append({"ids": [], "p": []})
        for _ in example["answer_ids"]:
            odds = sorted((draw.random() ** 3 + 0.001 for _ in range(TEACHER)), reverse=True)
            counted = draw.uniform(0.9, 1)
            teacher[-1]["ids"].append(draw.sample(ordinary, TEACHER))
            teacher[-1]["p"].append([round(counted * o / sum(odds), 6) for o in odds])
    return out, teacher


# ---------------------------------------------------------------- gradients


def norm(gradients):
    return math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))


def gradients(trained, loss):
    named = {f"language.{k}": p for k, p in trained.language.items()}
    named |= {f"projector.{k}": p for k, p in trained.projector.items()}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def check_reference(name, trained, batch):
    """The drafter of the other fixtures answers the same."""
    drafter = Drafter(name)
    with torch.no_grad():
        rows = trained.rows(batch)
    for example, row in zip(batch, rows, strict=True):
        projected = drafter.project(example["tensor"]) if example["visual"] else None
        ids = example["prompt_ids"] + example["answer_ids"]
        other = drafter.logits(ids, trained.placeholder, projected)[len(example["prompt_ids"]) - 1 : -1]
        assert torch.allclose(other.double().log_softmax(-1), row, atol=2e-4), "not what the reference answers"


def check_slope(trained, value, found):
    """Along a random direction the loss changes as its gradient says: to more digits than f32 has, so that nothing
    was rounded on the way."""
    named = {f"language.{k}": p for k, p in trained.language.items()}
    named |= {f"projector.{k}": p for k, p in trained.projector.items()}
    generator = torch.Generator().manual_seed(SEED)
    steps = {k: torch.randn(p.shape, generator=generator, dtype=torch.float64) for k, p in named.items()}
    length = 1e-5 / norm(steps.values())

    def at(sign):
        with torch.no_grad():
            for k, p in named.items():
                p += sign * length * steps[k]
            answer = value().item()
            for k, p in named.items():
                p -= sign * length * steps[k]
        return answer

    # Five points, so that the error goes with the fourth power of the length.
    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * length)
    expected = sum(float((found[k] * steps[k]).sum()) for k in named)
    error = abs(slope - expected) / (norm(found.values()) * norm(steps.values()))
    assert error < 1e-9, f"slope {slope}, gradient {expected}"
    return error


# ---------------------------------------------------------------- steps


def rate(step):
    peak, warmup, last, least = (ADAMW[k] for k in ("lr", "warmup", "steps", "least"))
    if step <= warmup:
        return peak * step / warmup
    return peak * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (last - warmup))))


def train(name, dtype, update, batches):
    trained = Trained(name, dtype)
    before = {k: p.detach().clone() for k, p in trained.language.items()}
    for p in trained.language.values():
        p.requires_grad_("language" in update)
    chosen = [p for p in [*trained.projector.values(), *trained.language.values()] if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in chosen if p.dim() == 2], "weight_decay": ADAMW["weight_decay"]},
            {"params": [p for p in chosen if p.dim() != 2], "weight_decay": 0.0},
        ],
        lr=ADAMW["lr"],
        betas=(ADAMW["beta1"], ADAMW["beta2"]),
        eps=ADAMW["eps"],
    )
    digits = 12 if dtype == torch.float64 else 8
    steps = []
    for step in range(1, ADAMW["steps"] + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        loss = trained.loss(batches[(step - 1) % len(batches)])
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(chosen, ADAMW["clip"])
        optimizer.step()
        loss, length = rounded(loss.item(), digits), rounded(length.item(), digits)
        steps.append({"loss": loss, "lr": rounded(rate(step)), "grad_norm": length})
    same = [torch.equal(before[k], p) for k, p in trained.language.items()]
    assert not any(same) if "language" in update else all(same), "what was updated is not what should have been"
    with torch.no_grad():
        return {"steps": steps, "loss_after": rounded(trained.loss(batches[0]).item(), digits)}


# ---------------------------------------------------------------- files


def rounded(number, digits=12):
    """Fewer digits than another processor's order of sums would change."""
    return float(f"{number:.{digits}g}")


def lines(value, depth, indent=""):
    """JSON that is broken into lines only so deep."""
    if depth == 0 or not isinstance(value, (dict, list)):
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(k)}: {lines(v, depth - 1, inner)}" for k, v in value.items()]
    else:
        parts = [inner + lines(v, depth - 1, inner) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(parts) + "\n" + indent + closing


def drafter(name):
    trained = Trained(name, torch.float64)
    all_batches, teacher = batches(name, trained.width, trained.model.config.vocab_size)
    first = all_batches[0]
    check_reference(name, trained, first)
    loss, kl = trained.loss(first), trained.kl(first, teacher)
    of_loss, of_kl = gradients(trained, loss), gradients(trained, kl)
    errors = [
        check_slope(trained, lambda: trained.loss(first), of_loss),
        check_slope(trained, lambda: trained.kl(first, teacher), of_kl),
    ]

    tensors = {e["features"]: e["tensor"] for b in all_batches for e in b if e["visual"]}
    tensors |= {f"grad.{k}": g for k, g in of_loss.items()}
    tensors |= {f"grad_kl.{k}": g for k, g in of_kl.items() if k.startswith("projector.")}
    path = EXPECTED / f"gradients-{name}.safetensors"
    save_safetensors(path, {k: ("F32", v.numpy().astype(np.float32)) for k, v in tensors.items()})

    steps = {}
    for update in ("projector", "projector+language"):
        found = {t: train(name, d, update, all_batches) for t, d in (("f64", torch.float64), ("f32", torch.float32))}
        steps[update] = found
        losses = [[s["loss"] for s in series["steps"]] + [series["loss_after"]] for series in found.values()]
        apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
        print(f"  {update}: {losses[0][0]:.4f} ... {losses[0][-1]:.4f}, f32 at most {apart:.1e} from f64")
    size = path.stat().st_size
    print(f"{name}: loss {loss.item():.6f}, kl {kl.item():.6f}, slopes to {max(errors):.0e}, {size} bytes")
    shown = ("prompt_ids", "visual", "features", "answer_ids")
    return {
        "safetensors": path.name,
        "placeholder": trained.placeholder,
        "loss": rounded(loss.item()),
        "grad_norm": rounded(norm(of_loss.values())),
        "batches": [[{k: e[k] for k in shown} for e in b] for b in all_batches],
        "kl": {"loss": rounded(kl.item()), "grad_norm": rounded(norm(of_kl.values())), "teacher": teacher},
        "steps": steps,
    }


def main():
    out = {"adamw": ADAMW, "drafters": {name: drafter(name) for name in DRAFTERS}}
    (EXPECTED / "gradients.json").write_text(lines(out, 6) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
