// The photo that is being marked: outlines under the pointer, clicks, brush, undo. A mask is the list of its steps,
// which the server repeats at the photo's true size.

import { Outlines } from "./outlines.js";
import { $, percent } from "./page.js";

const TINT = "#ff006e";
const STEP = 0.02; // of the photo's longer side, for an arrow key

export class Editor {
  constructor(changed) {
    Object.assign(this, { changed, photo: null, place: null, nth: 0, stroke: null, frame: null });
    this.canvas = $("shot-canvas");
    this.pen = this.canvas.getContext("2d");
    this.layer = new OffscreenCanvas(1, 1);
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    this.canvas.addEventListener("click", (event) => this.clicked(event));
    this.canvas.addEventListener("pointerup", () => this.released());
    this.canvas.addEventListener("pointercancel", () => this.released());
    this.canvas.addEventListener("pointerleave", () => this.stroke || this.point(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    $("undo").onclick = () => this.undo();
    $("clear").onclick = () => this.edit(() => { this.photo.steps = []; });
    $("other").onclick = () => this.another(1);
    for (const radio of document.querySelectorAll("[name=tool]")) radio.onchange = () => this.toolChanged();
  }

  get tool() {
    return document.querySelector("[name=tool]:checked").value;
  }

  get brushing() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  // Pixels of the photo; the slider is a share of its longer side.
  get radius() {
    return Math.max(1, ($("brush-size").value / 1000) * Math.max(...this.photo.size));
  }

  open(photo) {
    this.photo = photo;
    $("editor").hidden = photo === null;
    if (photo === null) return;
    photo.steps ??= [];
    photo.pieces ??= new Outlines(photo);
    [this.canvas.height, this.canvas.width] = photo.preview;
    this.layer = new OffscreenCanvas(photo.preview[1], photo.preview[0]);
    this.canvas.setAttribute("aria-label", `Photo to mark: ${photo.name}`);
    this.place = null;
    this.repaint();
    this.say();
  }

  toolChanged() {
    $("size-label").hidden = !this.brushing;
    $("other").disabled = this.brushing;
    this.canvas.classList.toggle("brushing", this.brushing);
    this.draw();
  }

  // Shares of width and height.
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  point(place) {
    this.place = place;
    this.draw();
  }

  moved(event) {
    const before = this.current();
    const far = this.place && Math.hypot(...this.placeOf(event).map((v, i) => v - this.place[i])) > 0.015;
    if (far && event.pointerType !== "touch") this.nth = 0;
    this.place = this.placeOf(event);
    if (this.stroke) {
      this.stroke.points.push(this.inPixels(this.place));
      this.repaint();
    } else {
      this.draw();
      if (this.current() !== before) this.say();
    }
  }

  pressed(event) {
    if (event.button !== 0 || !this.brushing) return;
    this.place = this.placeOf(event);
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    const add = this.tool === "brush" && !event.shiftKey;
    this.stroke = { kind: "stroke", add, radius: this.radius, points: [this.inPixels(this.place)] };
    this.photo.steps.push(this.stroke);
    this.repaint();
  }

  // Not when a finger comes down: it may only be scrolling.
  clicked(event) {
    if (this.brushing) return;
    this.place = this.placeOf(event);
    this.take(!event.shiftKey && this.tool === "take");
  }

  released() {
    if (!this.stroke) return;
    this.stroke = null;
    this.changed();
    this.say();
  }

  inPixels([x, y]) {
    return [Math.round(x * this.photo.size[1] * 10) / 10, Math.round(y * this.photo.size[0] * 10) / 10];
  }

  current() {
    if (!this.place || !this.photo) return null;
    const found = this.photo.pieces.under(...this.place);
    return found.length ? found[this.nth % found.length] : null;
  }

  take(add) {
    const outline = this.current();
    if (outline) this.edit(() => this.photo.steps.push({ kind: "outline", add, proposal: outline.id, at: outline.at }));
    else this.say("No outline here; use the brush.");
  }

  another(by) {
    if (!this.place) this.place = [0.5, 0.5];
    const count = this.photo.pieces.under(...this.place).length;
    if (count) this.nth = (this.nth + by + count) % count;
    this.draw();
    this.say();
  }

  undo() {
    this.edit(() => this.photo.steps.pop());
  }

  edit(change) {
    change();
    this.repaint();
    this.changed();
    this.say();
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows) {
      const longer = Math.max(...this.photo.size);
      const [dx, dy] = arrows[event.key];
      const [x, y] = this.place ?? [0.5, 0.5];
      const clip = (v) => Math.min(0.999, Math.max(0, v));
      this.nth = 0;
      this.point([clip(x + (dx * STEP * longer) / this.photo.size[1]), clip(y + (dy * STEP * longer) / this.photo.size[0])]);
      this.say();
    } else if (event.key === "Enter" || event.key === " ") this.take(!event.shiftKey && this.tool !== "drop");
    else if (event.key === "Delete" || event.key === "Backspace") this.take(false);
    else if (event.key === "]") this.another(1);
    else if (event.key === "[") this.another(-1);
    else if (event.key.toLowerCase() === "z") this.undo();
    else return;
    event.preventDefault();
  }

  // The mask's layer from its steps, then the picture.
  repaint() {
    const pen = this.layer.getContext("2d");
    const { width, height } = this.layer;
    const scale = width / this.photo.size[1];
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
    for (const step of this.photo.steps) {
      pen.globalCompositeOperation = step.add ? "source-over" : "destination-out";
      if (step.kind === "outline") {
        const outline = this.photo.pieces.find(step.proposal, step.at);
        pen.drawImage(this.photo.pieces.picture(outline), 0, 0, width, height);
        continue;
      }
      pen.lineWidth = 2 * step.radius * scale;
      pen.beginPath();
      const [first, ...rest] = step.points.map(([x, y]) => [x * scale, y * scale]);
      pen.moveTo(...first);
      pen.lineTo(...first);
      rest.forEach((point) => pen.lineTo(...point));
      pen.stroke();
    }
    this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.photo) this.drawNow();
    });
  }

  drawNow() {
    const { width, height } = this.canvas;
    this.pen.clearRect(0, 0, width, height);
    this.pen.drawImage(this.photo.image, 0, 0, width, height);
    this.tinted(this.layer, TINT, 0.5, 2);
    const outline = this.brushing ? null : this.current();
    if (outline) this.tinted(this.photo.pieces.picture(outline), "#ffffff", 0.35, 3);
    if (this.place) this.cursor();
  }

  // A mask in a colour, with a bright rim and a dark one around it.
  tinted(mask, colour, opacity, rim) {
    const { width, height } = this.canvas;
    const paint = new OffscreenCanvas(width, height);
    const pen = paint.getContext("2d");
    const around = (distance, ink) => {
      for (let turn = 0; turn < 8; turn++) {
        const angle = (turn * Math.PI) / 4;
        pen.drawImage(mask, distance * Math.cos(angle), distance * Math.sin(angle), width, height);
      }
      pen.globalCompositeOperation = "source-in";
      pen.fillStyle = ink;
      pen.fillRect(0, 0, width, height);
      pen.globalCompositeOperation = "destination-out";
      pen.drawImage(mask, 0, 0, width, height);
      pen.globalCompositeOperation = "source-over";
      this.pen.drawImage(paint, 0, 0);
      pen.clearRect(0, 0, width, height);
    };
    around(rim + 1.5, "#222222");
    around(rim, "#ffffff");
    pen.drawImage(mask, 0, 0, width, height);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = colour;
    pen.fillRect(0, 0, width, height);
    this.pen.globalAlpha = opacity;
    this.pen.drawImage(paint, 0, 0);
    this.pen.globalAlpha = 1;
  }

  cursor() {
    const x = this.place[0] * this.canvas.width, y = this.place[1] * this.canvas.height;
    const radius = this.brushing ? (this.radius * this.canvas.width) / this.photo.size[1] : 5;
    for (const [ink, line] of [["#222222", 3], ["#ffffff", 1.5]]) {
      this.pen.strokeStyle = ink;
      this.pen.lineWidth = line;
      this.pen.beginPath();
      this.pen.arc(x, y, radius, 0, 2 * Math.PI);
      this.pen.stroke();
    }
  }

  say(instead) {
    const marks = this.photo.steps.length;
    const parts = [marks ? `${marks} ${marks === 1 ? "mark" : "marks"} on this photo.` : "Nothing is marked yet."];
    if (this.place && !this.brushing) {
      const found = this.photo.pieces.under(...this.place);
      if (found.length) {
        const share = percent(found[this.nth % found.length].share);
        parts.push(`Here: outline ${(this.nth % found.length) + 1} of ${found.length}, ${share} of the photo.`);
      }
    }
    $("editor-status").textContent = instead ?? parts.join(" ");
  }
}
