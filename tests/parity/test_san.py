"""SAN against numbers of the original implementation, with seeded weights: every stage within its limit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from parity.san_inputs import IMAGES, VOCABULARY, make_image, make_target
from parity.seeded_weights import fingerprint, read_manifest, seeded_state_dict
from reference.san_losses import (
    WEIGHTS,
    Costs,
    Predictions,
    Targets,
    costs,
    match,
    point_losses,
    sample,
    san_loss,
)
from torch import Tensor

from ovss_personal.bases.san.clip import ClipTaps
from ovss_personal.bases.san.network import VIT_B_16, VIT_LARGE_14, SanNetwork, canvas_of, preprocess
from ovss_personal.bases.san.recognition import RecognitionHead, sos_mask
from ovss_personal.bases.san.rule import class_logits, word_probabilities
from ovss_personal.bases.san.text import PROMPTS, WordEncoder
from ovss_personal.painting.grid import mask_rows
from ovss_personal.structures import Canvas

HERE = Path(__file__).parent
MANIFESTS = HERE.parents[1] / "third_party" / "san"
VARIANTS = {"vit_b_16": VIT_B_16, "vit_large_14": VIT_LARGE_14}
# The original's own distance between float32 and float64 is about a tenth of these.
LIMITS = {
    "pixels": 1e-5,
    "taps": 1e-4,
    "side": 1e-3,
    "mask_logits": 1e-3,
    "attn_bias": 1e-3,
    "semseg": 1e-3,
    "class_logits": 5e-4,
    "mask_emb": 1e-5,
    "classifier": 1e-6,
    "losses": 1e-4,
}


@dataclass
class Trace:
    """One forward pass with what its parts said on the way."""

    canvas: Canvas
    pixels: Tensor
    clip_input: Tensor
    taps: ClipTaps
    queries: Tensor
    picture: Tensor
    masks: Tensor
    biases: Tensor
    embeddings: Tensor
    features: Tensor


@dataclass
class Run:
    """A size with its seeded weights, its goldens, and a pass over each image."""

    network: SanNetwork
    golden: Mapping[str, npt.NDArray[Any]]
    words: WordEncoder
    text: Tensor
    traces: dict[str, Trace]

    def array(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.golden[name]))

    def classes(self, embeddings: Tensor) -> Tensor:
        return class_logits(embeddings, self.text, self.network.void, self.network.logit_scale)


@pytest.fixture(scope="module", params=["vit_b_16", pytest.param("vit_large_14", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    size: str = request.param
    golden = np.load(HERE / f"san_{size}.npz")
    tensors = seeded_state_dict(read_manifest(MANIFESTS / f"san_{size}.keys.tsv"))
    assert fingerprint(tensors) == json.loads(str(golden["meta"]))["fingerprint"]
    network = SanNetwork.load(VARIANTS[size], tensors)
    words = WordEncoder(network.ov_classifier)
    # The loss chooses points by rank: with two threads L's masks round otherwise, one point in each of two masks is
    # another, and the weighted dice loss is 2.0e-4 off. One thread, so that the choice is always the same.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield Run(network, golden, words, words(VOCABULARY), {key: trace(network, key) for key in IMAGES})
    torch.set_num_threads(threads)


def trace(network: SanNetwork, key: str) -> Trace:
    image = make_image(*IMAGES[key])
    canvas = canvas_of(*image.shape[:2])
    pixels = preprocess(image, canvas)[None]
    seen: dict[str, Any] = {}
    hooks = [
        network.clip_visual_extractor.register_forward_hook(lambda _, args, out: seen.update(input=args[0], taps=out)),
        network.side_adapter_network.mask_decoder.register_forward_hook(
            lambda _, args, out: seen.update(queries=args[0], picture=args[1], biases=out[1])
        ),
    ]
    masks, embeddings, features = network(pixels)
    for hook in hooks:
        hook.remove()
    return Trace(
        canvas=canvas,
        pixels=pixels,
        clip_input=seen["input"],
        taps=seen["taps"],
        queries=seen["queries"],
        picture=seen["picture"],
        masks=masks,
        biases=seen["biases"],
        embeddings=embeddings,
        features=features,
    )


def close(found: Tensor, expected: Tensor, limit: str) -> None:
    assert found.shape == expected.shape
    assert (found.double() - expected.double()).abs().max() <= LIMITS[limit]


images = pytest.mark.parametrize("key", list(IMAGES))


def test_the_classifier(run: Run) -> None:
    assert list(PROMPTS) == json.loads(str(run.golden["meta"]))["templates"]
    tokens = torch.stack([run.words.tokens(word) for word in VOCABULARY])
    assert torch.equal(tokens, run.array("text/tokens").long())
    close(torch.cat((run.text, run.network.void)), run.array("text/classifier"), "classifier")
    first = torch.cat([run.words.prompts(word[:1]) for word in tokens])
    close(first, run.array("text/first_template_unit"), "classifier")
    assert run.network.logit_scale == pytest.approx(float(run.golden["text/logit_scale_exp"]), rel=1e-6)


def test_a_cut_context_changes_no_vector(run: Run) -> None:
    tokens = run.words.tokens("mug")[:2]
    _, whole, _ = run.network.ov_classifier(None, tokens)
    close(run.words.prompts(tokens), whole, "classifier")


@images
def test_the_pixels(run: Run, key: str) -> None:
    t = run.traces[key]
    assert t.canvas.resized == tuple(run.golden[f"{key}/resized_hw"])
    assert t.canvas.padded == tuple(run.golden[f"{key}/padded_hw"]) == tuple(t.pixels.shape[2:])
    assert tuple(t.clip_input.shape[2:]) == tuple(run.golden[f"{key}/clip_hw"])
    close(t.pixels[0, :, ::32, ::32], run.array(f"{key}/padded_slice"), "pixels")
    close(t.clip_input[0, :, ::24, ::24], run.array(f"{key}/clip_input_slice"), "pixels")


@images
def test_the_taps_of_clip(run: Run, key: str) -> None:
    taps = run.traces[key].taps
    for stage, depth in enumerate(run.network.variant.taps):
        name, picture = f"{key}/clip{depth}", taps.map(stage)
        assert tuple(picture.shape) == tuple(run.golden[f"{name}/shape"])
        close(picture[0, ::32, ::4, ::4], run.array(f"{name}/slice"), "taps")
        close(taps.tokens[stage][0, 0], run.array(f"{name}/cls"), "taps")
        spread = torch.stack((picture.mean(), picture.std(correction=0)))
        close(spread, run.array(f"{name}/mean_std"), "taps")


@images
def test_the_side_adapter(run: Run, key: str) -> None:
    t = run.traces[key]
    close(t.queries[0, ::4], run.array(f"{key}/side8/query_slice"), "side")
    close(t.picture[0, ::16, ::4, ::4], run.array(f"{key}/side8/x_slice"), "side")
    parts = [x for part in (t.queries, t.picture) for x in (part.mean(), part.std(correction=0))]
    close(torch.stack(parts), run.array(f"{key}/side8/mean_std"), "side")


@images
def test_the_mask_decoder(run: Run, key: str) -> None:
    t = run.traces[key]
    expected = run.array(f"{key}/mask_logits")
    close(t.masks[0, :: 100 // len(expected)], expected, "mask_logits")
    assert tuple(t.biases.shape) == tuple(run.golden[f"{key}/attn_bias/shape"])
    close(t.biases[0, ::4, ::10, ::4, ::4], run.array(f"{key}/attn_bias/slice"), "attn_bias")


@images
def test_the_recognition_head(run: Run, key: str) -> None:
    t = run.traces[key]
    close(t.embeddings[0], run.array(f"{key}/mask_emb"), "mask_emb")
    close(run.classes(t.embeddings[0]), run.array(f"{key}/class_logits"), "class_logits")


@images
def test_the_head_equals_the_masked_square(run: Run, key: str) -> None:
    t = run.traces[key]
    square = square_mask(t.biases, t.taps.grid)
    rows, heads = (run.golden[f"{key}/head_mask/{part}_idx"] for part in ("rows", "heads"))
    assert tuple(square[0].shape) == tuple(run.golden[f"{key}/head_mask/shape"])
    close(square[0, heads][:, rows], run.array(f"{key}/head_mask/rows"), "attn_bias")
    embeddings, features = masked_square(run.network.clip_rec_head, t.taps, square)
    close(t.embeddings, embeddings, "mask_emb")
    close(t.features, features, "mask_emb")
    assert torch.allclose(t.features.norm(dim=1), torch.ones(()), atol=1e-5)


def square_mask(biases: Tensor, grid: tuple[int, int]) -> Tensor:
    """The whole additive mask, (B, heads, 101 + L, 101 + L): class and patches see each other and no SOS token."""
    sos = sos_mask(biases, grid)
    batch, heads, count, length = sos.shape
    rest = sos.new_zeros(batch, heads, length - count, length)
    rest[..., :count] = -100.0
    return torch.cat((sos, rest), 2)


def masked_square(head: RecognitionHead, taps: ClipTaps, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The recognition head as the paper draws it: one masked attention over all tokens."""
    tokens = taps.tokens[-1]
    x = torch.cat((tokens[:, :1].expand(-1, 100, -1), tokens), 1)
    for block in head.resblocks:
        x = block(x, partial(F.scaled_dot_product_attention, attn_mask=mask.flatten(0, 1)[None]))
    joint = F.normalize(head.ln_post(x) @ head.proj, dim=-1)
    return joint[:, :100], joint[:, 101:].transpose(1, 2).unflatten(2, taps.grid)


@images
def test_the_scores_at_the_image_s_size(run: Run, key: str) -> None:
    t = run.traces[key]
    words = word_probabilities(t.embeddings[0], run.text, run.network.void, run.network.logit_scale)
    rows = mask_rows(t.masks[0], t.canvas, 0, t.canvas.original[0]).sigmoid()
    scores = torch.einsum("nv,nhw->vhw", words, rows)
    assert tuple(scores.shape) == tuple(run.golden[f"{key}/semseg/shape"])
    close(scores[:, ::8, ::8], run.array(f"{key}/semseg/slice8"), "semseg")
    close(scores.double().mean((1, 2)), run.array(f"{key}/semseg/mean_per_class"), "semseg")


@dataclass
class Step:
    """The training step of the goldens on image sq: block 8, then block 7."""

    blocks: list[Predictions]
    target: Targets


@pytest.fixture(scope="module")
def step(run: Run) -> Step:
    t = run.traces["sq"]
    blocks = []
    for masks, biases in reversed(run.network.side_adapter_network(t.pixels, t.taps, depths=(7, 8))):
        embeddings, _ = run.network.clip_rec_head(t.taps.tokens[-1], t.taps.grid, biases)
        blocks.append(Predictions(run.classes(embeddings), masks))
    labels, masks = make_target()
    return Step(blocks, Targets(torch.from_numpy(labels), torch.from_numpy(masks).float()))


class Draws:
    """The random numbers of the goldens, and the shapes they were asked in."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int, int]] = []

    def __call__(self, shape: tuple[int, int, int]) -> Tensor:
        numbers = np.random.RandomState(9000 + len(self.shapes)).random_sample(shape)
        self.shapes.append(shape)
        return torch.from_numpy(numbers.astype(np.float32))


def test_the_predictions_of_both_blocks(run: Run, step: Step) -> None:
    last, seventh = step.blocks
    close(last.classes[0], run.array("loss/final_class_logits"), "class_logits")
    close(seventh.classes[0], run.array("loss/aux0_class_logits"), "class_logits")
    close(seventh.masks[0, ::10, ::4, ::4], run.array("loss/aux0_mask_logits_slice"), "mask_logits")
    close(last.masks, run.traces["sq"].masks, "mask_logits")


def test_the_matching(run: Run, step: Step) -> None:
    draw = Draws()
    points = draw((1, 12544, 2))[0]
    pairs: Costs = costs(step.blocks[0].classes[0], step.blocks[0].masks[0], step.target, points)
    close(pairs.mask, run.array("loss/cost_mask"), "losses")
    close(pairs.dice, run.array("loss/cost_dice"), "losses")
    close(pairs.ce, run.array("loss/cost_class"), "losses")
    queries, targets = match(pairs)
    assert torch.equal(torch.stack((queries, targets)), run.array("loss/match_final"))
    at = points.expand(len(queries), -1, -1)
    fixed = point_losses(sample(step.blocks[0].masks[0, queries], at), sample(step.target.masks[targets], at))
    close(torch.stack(fixed), run.array("loss/fixed_points_mask_dice"), "losses")


def test_the_losses(run: Run, step: Step) -> None:
    draw = Draws()
    losses = san_loss(step.blocks, [step.target], draw)
    assert draw.shapes == [tuple(shape) for shape in run.golden["loss/rand_shapes"]]
    names = [str(name) for name in run.golden["loss/names"]]
    assert set(names) == set(losses)
    close(torch.stack([losses[name] for name in names]), run.array("loss/unweighted"), "losses")
    weighted = torch.stack([losses[name] * WEIGHTS[name.split("_")[1]] for name in names])
    close(weighted, run.array("loss/weighted"), "losses")
