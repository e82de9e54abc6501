"""The parts that learning a concept falls into, and that many side by side come out as each alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fakes import OURS as DEFAULTS
from fakes import FakeBase, shot

from ovss_personal.config import FitConfig
from ovss_personal.engine.plan import ConceptWords, FitPlan
from ovss_personal.engine.see import SeenShot, see_shots
from ovss_personal.errors import OvssWarning
from ovss_personal.personal.fit import Example, FitTask, fit, fit_all

PAPER = replace(FitConfig(), iterations=30)
OURS = replace(DEFAULTS, iterations=30)


def seen(base: FakeBase, count: int) -> list[SeenShot]:
    return see_shots(base, [shot("red", i + 1, top=4 * i, left=8 - 4 * (i % 2)) for i in range(count)])


def examples(shots: list[SeenShot]) -> tuple[Example, ...]:
    return tuple(one.example for one in shots)


def test_leave_one_out_fits_on_the_others() -> None:
    base = FakeBase()
    shots = seen(base, 3)
    tasks = FitPlan(ConceptWords(base, "my mug", "mug"), shots, OURS, negative_mask=True).tasks
    place = {one: i for i, one in enumerate(examples(shots))}
    kept = [[place[example] for example in task.examples] for task in tasks]
    assert kept == [[0, 1, 2], [1, 2], [0, 2], [0, 1]]
    assert [task.masked for task in tasks] == [True, False, False, False]


@pytest.mark.parametrize(
    ("config", "flags", "fits"),
    [
        (OURS, {"leave_one_out": False}, 1),
        (OURS, {"report": False}, 4),  # for the threshold
        (replace(OURS, threshold=0.4), {"report": False}, 1),
        (PAPER, {"report": False}, 1),
        (PAPER, {}, 4),
    ],
)
def test_no_fit_is_made_that_nothing_asks_for(config: FitConfig, flags: dict[str, bool], fits: int) -> None:
    base = FakeBase()
    assert len(FitPlan(ConceptWords(base, "my mug", "mug"), seen(base, 3), config, **flags).tasks) == fits


def test_a_fit_among_others_is_the_fit_alone() -> None:
    base = FakeBase()
    shots = examples(seen(base, 3))
    words = ConceptWords(base, "my mug", "mug")
    tasks = [
        FitTask(shots[:count], words.of_fit(config.competitors), replace(config, seed=seed))
        for config in (
            PAPER,
            replace(PAPER, visual="none"),
            OURS,
            replace(OURS, iterations=7),
            replace(OURS, lambda_z=2.0),
        )
        for count, seed in ((1, 0), (3, 0), (3, 4))
    ]
    for task, (head, losses) in zip(tasks, fit_all(tasks, base.traits), strict=True):
        alone, expected = fit(task.examples, task.words, base.traits, task.config)
        for name, tensor in head.tensors().items():
            assert torch.allclose(tensor, alone.tensors()[name], atol=2e-5), name
        assert head.alpha == alone.alpha
        assert losses == pytest.approx(expected, abs=1e-4)


def test_progress_and_losses_of_many() -> None:
    base = FakeBase()
    words = ConceptWords(base, "my mug", "mug").of_fit("both")
    tasks = [FitTask(examples(seen(base, 2)), words, replace(OURS, iterations=n)) for n in (4, 2, 4)]
    told: list[tuple[int, int, str]] = []
    losses: list[float] = []
    fit_all(tasks, base.traits, lambda *step: told.append(step), losses.append)
    assert told == [(i, 6, "fit") for i in range(1, 7)]
    assert len(losses) == 4


def test_fits_against_other_words_are_not_made_together() -> None:
    base = FakeBase()
    shots = examples(seen(base, 1))
    tasks = [FitTask(shots, ConceptWords(base, name, "mug").of_fit("none"), PAPER) for name in ("my mug", "mug")]
    with pytest.raises(ValueError, match="share their open words"):
        fit_all(tasks, base.traits)


def test_a_concept_is_unique_if_every_shot_shows_it_in_one_piece() -> None:
    base = FakeBase()
    words = ConceptWords(base, "my mug", "mug")
    whole = seen(base, 2)
    two = shot("red", 1)
    two.mask[28:32, 28:32] = True  # apart from the rest
    apart = see_shots(base, [two])

    def learned(shots: list[SeenShot], config: FitConfig) -> bool | None:
        plan = FitPlan(words, shots, config, leave_one_out=False, report=False)
        return plan.concept(fit_all(plan.tasks, base.traits)).config.unique

    assert learned(whole, OURS) is True and learned([*whole, *apart], OURS) is False
    assert learned(whole, replace(OURS, unique=False)) is False and learned(apart, replace(OURS, unique=True)) is True
    assert learned(whole, PAPER) is None


def learned_from(*colours: str) -> None:
    base = FakeBase()
    plan = FitPlan(
        ConceptWords(base, "my mug", "mug"),
        see_shots(base, [shot(colour, i + 1, top=4 * (i % 3)) for i, colour in enumerate(colours)]),
        OURS,
    )
    plan.concept(fit_all(plan.tasks, base.traits))


def test_shots_of_two_things_are_told_apart() -> None:
    with pytest.warns(OvssWarning) as caught:
        learned_from("red", "blue", "red", "blue")
    told = "the shots look like 2 different things (images/1.png, images/3.png; images/2.png, images/4.png)"
    assert [str(one.message) for one in caught if "different" in str(one.message)] == [f"{told}; learn each by itself."]


def test_shots_of_one_thing_are_one_group() -> None:
    learned_from("red", "red", "red", "red")  # warnings are errors
