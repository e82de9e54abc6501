"""The command line: `ovss-personal VERB …`, and `personalize …`, one of its verbs under its own name."""

from __future__ import annotations

from ovss_personal.cli.lazy import Entry, lazy_app
from ovss_personal.cli.shell import new_app, run

VERBS = {
    "personalize": Entry("personalize", "Learn a concept from one to five photos with a mask."),
    "segment": Entry("segment", "Label every pixel of photos with words and concepts."),
    "inspect": Entry("inspect", "Draw what is understood of photos and masks, before learning."),
    "demo": Entry("demo", "Learn from the demo albums and segment what was kept back."),
    "benchmark": Entry("benchmark", "What methods are measured on."),
    "evaluate": Entry(
        "evaluate", "Measure methods on a benchmark: tables in percent, the paper's numbers beside ours."
    ),
    "report": Entry(
        "evaluate",
        "Print the paper's tables 1, 2, 4, 6 and 7 with the numbers of finished evaluations beside the paper's.",
    ),
    "web": Entry("web", "Serve a page on which a thing is clicked in photos, named, learned and found in others."),
    "pss": Entry("pss", "Adapt a segmenter of VOC's 20 classes to one person's unlabelled album."),
    "bases": Entry("bases", "List the bases that a concept can be learned on."),
    "weights": Entry("weights", "The weights of bases that do not come with the program."),
    "competitors": Entry(
        "competitors", "What competes with a concept on a base: what a concept must beat, apart from the open words."
    ),
    "concepts": Entry("concepts", "The concepts that were learned and saved."),
    "cache": Entry("cache", "What bases saw in photos, kept for the next time."),
    "doctor": Entry("doctor", "Look at everything the program needs, and say how to mend it."),
}

app = lazy_app("Teach an open-vocabulary segmenter your own things from one to five photos.", VERBS)


def main() -> None:
    """Run `ovss-personal` with the arguments of this process."""
    run(app, "ovss-personal")


def personalize_main() -> None:
    """Run `personalize` with the arguments of this process."""
    from ovss_personal.cli import personalize

    alone = new_app()
    personalize.register(alone)
    run(alone, "personalize")
