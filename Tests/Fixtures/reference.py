"""The reference: transformers' own model and PIL image processor, in f32 on one thread."""

import json

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils.chat_template_utils import render_jinja_template

from fixturelib import IMAGES, MODEL_DIRS, load_rgb, sha256

torch.set_num_threads(1)
torch.set_grad_enabled(True)
NO_PENALTY = 1.0


def template_of(where):
    if (where / "chat_template.jinja").exists():
        return (where / "chat_template.jinja").read_text()
    if (where / "chat_template.json").exists():
        return json.loads((where / "chat_template.json").read_text())["chat_template"]
    return json.loads((where / "tokenizer_config.json").read_text())["chat_template"]


def render(where, text, image, system=None):
    content = ([{"type": "image"}] if image else []) + [{"type": "text", "text": text}]
    messages = [{"role": "user", "content": content if image else text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    rendered, _ = render_jinja_template([messages], chat_template=template_of(where), add_generation_prompt=True)
    return rendered[0]


def project_pictures():
    return [load_rgb({"file": f"Tests/Fixtures/images/{p.name}"}) for p in sorted(IMAGES.iterdir())]


class Target:
    def __init__(self, name):
        self.name, self.where = name, MODEL_DIRS[name]
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            self.where, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        for p in self.model.parameters():
            p.requires_grad_(False)
        self.tokenizer = Tokenizer.from_file(str(self.where / "tokenizer.json"))
        for file in ("preprocessor_config.json", "processor_config.json"):
            if (self.where / file).exists():
                settings = json.loads((self.where / file).read_text())
        settings = settings.get("image_processor", settings)
        drop = ("image_processor_type", "processor_class")
        self.processor = Qwen2VLImageProcessorPil(**{k: v for k, v in settings.items() if k not in drop})
        self.image_id = self.model.config.image_token_id
        self.eos = self.model.generation_config.eos_token_id

    def patches(self, picture):
        """Rows of pixels, the grid, and the resized picture the rows were cut from."""
        out = self.processor(picture, return_tensors="pt")
        grid = out["image_grid_thw"]
        height, width = int(grid[0, 1]) * 14, int(grid[0, 2]) * 14
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        # The processor's own pixels, to be sure that these are the ones.
        mean, std = np.array(self.processor.image_mean, np.float32), np.array(self.processor.image_std, np.float32)
        check = (np.asarray(resized).astype(np.float64) * (1 / 255)).astype(np.float32)
        check = ((check - mean) / std).transpose(2, 0, 1)
        again = self.processor.patchify(check, 14, 2, 2)[0]
        assert np.array_equal(again, out["pixel_values"].numpy()), "the resized pixels are not the processor's"
        return out["pixel_values"], grid, resized

    def vision(self, patches, grid):
        """Encoder output before the merger, in the rows' own order, and after it."""
        visual = self.model.model.visual
        out = visual(patches, grid_thw=grid)
        from transformers.vision_utils import get_vision_window_index

        order, _ = get_vision_window_index(grid, visual.spatial_merge_size, visual.window_size, visual.patch_size)
        unit = visual.spatial_merge_unit
        last = out.last_hidden_state.reshape(-1, unit, out.last_hidden_state.shape[-1])
        last = last[torch.argsort(order)].reshape(-1, last.shape[-1])
        assert torch.allclose(visual.merger(last), out.pooler_output, atol=1e-5)
        return last, out.pooler_output

    def prompt(self, text, grid=None, system=None):
        rendered = render(self.where, text, grid is not None, system)
        full = rendered
        if grid is not None:
            full = rendered.replace("<|image_pad|>", "<|image_pad|>" * (int(grid.prod()) // 4))
        return rendered, self.tokenizer.encode(full, add_special_tokens=False).ids

    @torch.no_grad()
    def generate(self, ids, patches=None, grid=None, penalty=NO_PENALTY, max_new=32):
        ids = torch.tensor([ids])
        more = {}
        if patches is not None:
            more = dict(
                pixel_values=patches, image_grid_thw=grid, mm_token_type_ids=(ids == self.image_id).to(torch.int32)
            )
        self.model.model.rope_deltas = None
        out = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            temperature=None,
            repetition_penalty=float(penalty),
            max_new_tokens=max_new,
            eos_token_id=self.eos,
            return_dict_in_generate=True,
            output_logits=True,
            output_scores=True,
            **more,
        )
        tokens = out.sequences[0, ids.shape[1] :].tolist()
        scores = torch.cat(out.scores)
        top = scores.topk(2).values
        gaps = (top[:, 0] - top[:, 1]).tolist()
        return tokens, torch.cat(out.logits), gaps

    @torch.no_grad()
    def positions(self, ids, grid):
        ids = torch.tensor([ids])
        positions, deltas = self.model.model.get_rope_index(
            ids, mm_token_type_ids=(ids == self.image_id).to(torch.int32), image_grid_thw=grid
        )
        return positions[:, 0], int(deltas[0, 0])


class Drafter:
    def __init__(self, name):
        self.where = MODEL_DIRS[name]
        self.model = Qwen2ForCausalLM.from_pretrained(
            self.where, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.projector = None
        if (self.where / "massv.json").exists():
            from safetensors.torch import load_file

            self.settings = json.loads((self.where / "massv.json").read_text())["projector"]
            self.projector = {k: v.float() for k, v in load_file(self.where / "projector.safetensors").items()}

    @torch.no_grad()
    def project(self, pre_merger):
        p, x = self.projector, pre_merger.reshape(-1, self.projector["linear_1.weight"].shape[1])
        x = torch.nn.functional.gelu(x @ p["linear_1.weight"].T + p["linear_1.bias"])
        x = x @ p["linear_2.weight"].T + p["linear_2.bias"]
        if self.settings["output_norm"]:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.settings["norm_eps"]) * p["norm.weight"]
        return x

    @torch.no_grad()
    def logits(self, ids, image_id=None, projected=None):
        """Every row's logits at positions 0..n-1, image rows replaced."""
        ids = torch.tensor([ids])
        embeds = self.model.get_input_embeddings()(ids)
        if projected is not None:
            embeds[ids == image_id] = projected
        return self.model(inputs_embeds=embeds).logits[0]
