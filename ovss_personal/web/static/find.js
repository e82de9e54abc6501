// Photos in which words and concepts are looked for: overlay, legend, negative mask.

import { at, download, post, postForBlob } from "./api.js";
import { $, attempt, element, percent, safeName, tellNotes } from "./page.js";

const WAIT = 350; // milliseconds after the last key

export class Finding {
  constructor(used) {
    Object.assign(this, { used, photo: null, found: null, negative: null, timer: 0, asked: null });
    this.canvas = $("test-canvas");
    $("words").oninput = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), WAIT);
    };
    $("opacity").oninput = () => this.draw();
    $("negative").onchange = () => this.loadNegative();
    $("save-masks").onclick = () => attempt(async () => {
      const blob = await postForBlob(`photos/${this.photo.photo}/masks.zip`, this.request());
      download(blob, `${safeName(this.photo.name)}.masks.zip`);
    });
  }

  open(photo) {
    this.photo = photo;
    this.found = this.negative = null;
    $("result").hidden = photo === null;
    $("save-masks").disabled = photo === null;
    if (photo) this.refresh();
  }

  request() {
    return { words: $("words").value.replace(/,\s*$/, "").trim(), concepts: this.used().map((concept) => concept.concept) };
  }

  refresh() {
    this.offerNegatives();
    if (!this.photo) return;
    this.asked?.abort(); // the server need not finish it
    const { signal } = this.asked = new AbortController();
    const asked = this.request();
    if (!asked.words && !asked.concepts.length) this.showNothing();
    else attempt(async () => {
      const found = await post(`photos/${this.photo.photo}/find`, asked, signal).catch((error) => {
        if (!signal.aborted) throw error;
      });
      if (!found || signal.aborted) return;
      tellNotes(found.notes);
      this.show(found);
    });
    this.loadNegative();
  }

  show(found) {
    this.found = found;
    [this.canvas.height, this.canvas.width] = found.size;
    const pixels = new ImageData(found.size[1], found.size[0]);
    const words = new Uint32Array(pixels.data.buffer);
    const colours = found.words.map(({ background, colour: [red, green, blue] }) =>
      (((background ? 110 : 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0);
    let place = 0;
    found.values.forEach((label, index) => {
      words.fill(colours[label], place, place + found.lengths[index]);
      place += found.lengths[index];
    });
    this.layer = new OffscreenCanvas(found.size[1], found.size[0]);
    this.layer.getContext("2d").putImageData(pixels, 0, 0);
    this.draw();
    this.describe();
  }

  // Neither words nor a concept: the photo alone.
  showNothing() {
    [this.canvas.height, this.canvas.width] = this.photo.preview;
    this.found = { words: [] };
    this.layer = new OffscreenCanvas(1, 1);
    this.draw();
    this.describe();
    $("verdict").textContent = "Learn or load a concept above, or type words.";
  }

  draw() {
    if (!this.found) return;
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    pen.globalAlpha = 1;
    pen.drawImage(this.photo.image, 0, 0, width, height);
    pen.globalAlpha = $("opacity").value / 100;
    pen.drawImage(this.negative ?? this.layer, 0, 0, width, height);
    pen.globalAlpha = 1;
  }

  offerNegatives() {
    const chosen = $("negative").value;
    const options = this.used().map((concept) => new Option(`of ${concept.name}`, concept.concept));
    $("negative").replaceChildren(new Option("hidden", ""), ...options);
    if (options.some((option) => option.value === chosen)) $("negative").value = chosen;
    $("negative-label").hidden = options.length === 0;
  }

  async loadNegative() {
    this.negative = null;
    const concept = $("negative").value;
    if (concept && this.photo) {
      const image = new Image();
      image.src = at(`photos/${this.photo.photo}/negative/${concept}.png`);
      await attempt(() => image.decode());
      this.negative = image;
    }
    this.draw();
  }

  describe() {
    const words = this.found.words.filter((word) => word.area > 0 || word.concept || word.composed);
    words.sort((a, b) => b.concept - a.concept || b.area - a.area);
    const rows = words.map((word) => {
      const chip = element("span", { className: "chip" });
      chip.style.backgroundColor = `rgb(${word.colour.join(" ")})`;
      const composed = word.composed && element("span", { className: "small", textContent: `as: ${word.composed}` });
      return element("tr", { className: word.concept ? "mine" : "" },
        element("td", {}, chip, word.word, composed),
        element("td", { textContent: word.area ? percent(word.area) : "nowhere" }),
        element("td", { textContent: word.area || word.concept ? word.score.toFixed(2) : "–" }));
    });
    $("legend").tBodies[0].replaceChildren(...rows);
    const verdicts = words.filter((word) => word.concept).map((word) => word.present
      ? `${word.word} is here (score ${word.score.toFixed(2)}).`
      : `${word.word} is not here (score ${word.score.toFixed(2)}).`);
    $("verdict").textContent = verdicts.join(" ");
  }
}
