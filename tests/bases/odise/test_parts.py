"""Parts of ODISE on numbers worked by hand; the parity tests hold the networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from reference import odise_losses as losses
from reference.odise_inference import panoptic

from ovss_personal.bases.odise.clip_branch import visible_patches
from ovss_personal.bases.odise.decoder import hidden_cells, pool
from ovss_personal.bases.odise.deformable_attention import DeformableAttention, sample_levels
from ovss_personal.bases.odise.dense import clip_cells
from ovss_personal.bases.odise.ensemble import LABEL, Shares, ensemble, final_logits
from ovss_personal.bases.odise.heads import best_synonym
from ovss_personal.bases.odise.joint import JointSpace
from ovss_personal.bases.odise.network import Trained, pad, padded_size, resized_size
from ovss_personal.bases.odise.pyramid import Bottleneck, sliding_pyramid, windows
from ovss_personal.bases.odise.sizes import FULL, TINY
from ovss_personal.bases.odise.vocabulary import COCO, plain, seen_words
from ovss_personal.errors import WeightsError
from ovss_personal.structures import Canvas

MANIFESTS = Path(__file__).parents[3] / "third_party" / "odise"


@pytest.mark.parametrize(("labels", "name", "count"), [(True, "label", 28067009), (False, "caption", 28066755)])
def test_the_trained_part_is_the_checkpoint_s(labels: bool, name: str, count: int) -> None:
    with torch.device("meta"):
        state = Trained(FULL, labels).state_dict()
    lines = (MANIFESTS / f"odise_{name}.keys.tsv").read_text().splitlines()[1:]
    manifest = {key: shape for key, shape, *_ in (line.split("\t") for line in lines)}
    manifest.pop("criterion.empty_weight")
    assert {k: "x".join(map(str, v.shape)) or "scalar" for k, v in state.items()} == manifest
    assert sum(v.numel() for v in state.values()) == count


def test_taps_have_the_published_widths() -> None:
    assert FULL.taps == (512, 512, 2560, 1920, 960, 640, 512, 512)
    assert TINY.taps == (128, 128, 256, 192, 96, 64, 128, 128)


def test_a_projection_of_512_channels_has_no_shortcut() -> None:
    assert sum(p.numel() for p in Bottleneck(512).parameters()) == 280064
    assert sum(p.numel() for p in Bottleneck(640).parameters()) == 625152


@pytest.mark.parametrize(
    ("size", "resized", "padded"),
    [
        ((480, 640), (1024, 1365), (1024, 1408)),
        ((1024, 1024), (1024, 1024), (1024, 1024)),
        ((100, 1000), (256, 2560), (256, 2560)),
        ((16, 800), (51, 2560), (64, 2560)),
    ],
)
def test_sizes(size: tuple[int, int], resized: tuple[int, int], padded: tuple[int, int]) -> None:
    assert resized_size(*size, short=1024, long=2560) == resized and padded_size(*resized) == padded


def test_padding_is_at_the_right_and_bottom() -> None:
    padded = pad(torch.ones(1, 3, 60, 64))
    assert padded.shape == (1, 3, 64, 64) and padded[0, 0, :, 0].tolist() == [1.0] * 60 + [0.0] * 4


def test_windows_cover_and_the_last_is_shifted_back() -> None:
    assert windows(1024, 1408) == (512, [(y, x) for y in (0, 512) for x in (0, 512, 896)])
    assert windows(64, 192) == (64, [(0, 0), (0, 64), (0, 128)])


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_overlapping_windows_are_averaged(batch: int) -> None:
    image = torch.zeros(2, 3, 512, 576)
    image[:, :, :, 256:] = 1
    image[1] *= 10

    def look(crops: torch.Tensor) -> list[torch.Tensor]:
        return [crops.mean((1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 512, 512 // s, 512 // s) for s in (4, 8, 16, 32)]

    fine, *_, coarse = sliding_pyramid(image, look, batch)
    assert fine.shape == (2, 512, 128, 144) and coarse.shape == (2, 512, 16, 18)
    left, right = 256 / 512, 320 / 512  # the windows' means, and between them the mean of both
    expected = torch.tensor([left] * 2 + [(left + right) / 2] * 14 + [right] * 2)
    assert torch.allclose(coarse[0, 0, 0], expected) and torch.allclose(coarse[1, 5, 3], 10 * expected)


def test_a_deformable_sample_is_bilinear_and_0_outside() -> None:
    value = torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0]).view(1, 5, 1, 1)  # a 2 x 2 map and a 1 x 1 map
    points = torch.tensor([[0.5, 0.5], [0.75, 0.25]]).view(1, 2, 1, 1, 1, 2).expand(-1, -1, -1, 2, -1, -1)
    first_only = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2, 1).expand(1, 2, 1, 2, 1)
    assert sample_levels(value, [(2, 2), (1, 1)], points, first_only).flatten().tolist() == [2.5, 2.0]
    halves = torch.full((1, 2, 1, 2, 1), 0.5)
    # The map of one cell is 0 half a cell beyond its centre, and this point is a quarter away on both axes.
    assert sample_levels(value, [(2, 2), (1, 1)], points, halves).flatten().tolist() == pytest.approx(
        [6.25, 1 + 0.5 * 10 * 0.75**2]
    )


def test_deformable_attention_without_offsets_is_a_mean_over_levels() -> None:
    attention = DeformableAttention(width=8, levels=2, heads=2, points=1)
    for linear in (attention.sampling_offsets, attention.attention_weights):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    for linear in (attention.value_proj, attention.output_proj):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    source = torch.arange(16.0).view(1, 2, 8)  # two maps of one cell each
    out = attention(source, torch.full((2, 2), 0.5), source, [(1, 1), (1, 1)])
    assert torch.allclose(out, source.mean(1, keepdim=True).expand_as(source))


def test_pooling_is_the_mean_inside_and_0_for_an_empty_mask() -> None:
    features = torch.tensor([[1.0, 2.0, 6.0]]).view(1, 1, 1, 3)
    masks = torch.tensor([[[[3.0, -1.0, 0.1]], [[-1.0, -1.0, -1.0]]]])
    assert pool(features, masks).flatten().tolist() == pytest.approx([3.5, 0.0])


def test_an_empty_mask_hides_nothing() -> None:
    masks = torch.tensor([[[[-1.0, 1.0]], [[-1.0, -1.0]]]])
    assert hidden_cells(masks, (1, 2)).tolist() == [[[True, False], [False, False]]]


def test_a_patch_is_visible_if_the_mask_reaches_it_anywhere() -> None:
    masks = torch.full((1, 1, 28, 28), -5.0)
    masks[0, 0, 3, 20] = 0.1
    assert visible_patches(masks, 28).flatten().tolist() == [False, True, False, False]


def test_the_best_synonym_speaks_for_its_class() -> None:
    assert best_synonym(torch.tensor([[1.0, 5.0, 2.0, 3.0]]), [2, 1, 1]).tolist() == [[5.0, 2.0, 3.0]]


def test_the_ensemble_weighs_clip_by_whether_the_word_was_seen() -> None:
    trained, clip = torch.tensor([0.8, 0.2]).log(), torch.tensor([0.4, 0.6]).log()
    scores = ensemble(trained, clip, torch.tensor([True, False]), Shares(seen=0.0, unseen=1.0))
    assert scores.exp().tolist() == pytest.approx([0.8, 0.6])
    p = final_logits(scores, torch.tensor(0.3)).exp()
    assert p.tolist() == pytest.approx([0.7 * 0.8 / 1.4, 0.7 * 0.6 / 1.4, 0.3], abs=1e-6)


def test_joint_logits_are_the_ensemble_s() -> None:
    space = JointSpace(trained_scale=30.0, clip_scale=100.0, shares=LABEL)
    generator = torch.Generator().manual_seed(0)
    halves = [torch.randn(n, 304, generator=generator).tensor_split([256], 1) for n in (5, 4)]
    embeddings, text = (space.join(trained, clip) for trained, clip in halves)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(5)) and space.scale == pytest.approx(79.0)
    trained, clip = space.logits(embeddings, text)
    cosine = F.cosine_similarity(halves[0][0][:, None], halves[1][0][None], dim=2)
    assert torch.allclose(trained, 30 * cosine, atol=1e-4)
    unseen = torch.zeros(4, dtype=torch.bool)
    joint = (space.scale * embeddings @ text.T).softmax(1)
    assert torch.allclose(joint, ensemble(trained, clip, unseen, LABEL).softmax(1), atol=1e-5)


def test_clip_cells_lie_on_the_image_and_not_on_its_padding() -> None:
    patches = torch.eye(4)  # a 2 x 2 square over the image
    canvas = Canvas(original=(8, 8), resized=(64, 64), padded=(64, 128))
    cells = clip_cells(patches, canvas, (2, 4))
    assert torch.allclose(cells[:, :, :2].flatten(1).T, patches, atol=1e-6)


def test_panoptic_joins_stuff_and_leaves_out_what_others_cover() -> None:
    masks = torch.full((4, 1, 6), -9.0)
    masks[0, :, :2] = masks[1, :, 4:] = masks[2, :, 2:4] = 9.0
    masks[3, :, :4] = 8.0  # lies under the first and the third
    logits = torch.tensor([[9.0, 0, 0], [9.0, 0, 0], [0, 9.0, 0], [0, 5.0, 0]])
    ids, segments = panoptic(masks, logits, things=[False, True])
    assert ids.tolist() == [[1, 1, 2, 2, 1, 1]]
    assert [(s.id, s.category, s.thing) for s in segments] == [(1, 0, False), (2, 1, True)]


def test_a_grounding_loss_is_least_for_its_own_caption() -> None:
    images = torch.eye(2)[:, None].expand(-1, 3, -1)
    right = losses.grounding_loss(images, torch.eye(2)[:, None], 5.0)
    wrong = losses.grounding_loss(images, torch.eye(2).flip(0)[:, None], 5.0)
    assert right.item() == pytest.approx(torch.tensor(-5.0).exp().log1p().item()) and wrong > right + 4


def test_the_vocabulary_of_training() -> None:
    names = COCO.read_text().split()
    assert len(COCO.read_text().splitlines()) == 133 and names[0] == "person"
    words = seen_words()
    assert {"bird", "sky", "tree", "wall-brick", "traffic light"} <= words and "kitten" not in words
    assert [plain(w) for w in ("sky-other", "sky-other-merged", "door-stuff", "wall-brick")] == [
        "sky",
        "sky",
        "door",
        "wall-brick",
    ]


def test_a_list_of_one_s_own_adds_to_the_words_seen(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("kitten\n\nmy mug \n")
    assert {"kitten", "my mug", "cat"} <= seen_words(tmp_path / "own.txt")
    (tmp_path / "own.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match=r"own\.txt"):
        seen_words(tmp_path / "own.txt")
