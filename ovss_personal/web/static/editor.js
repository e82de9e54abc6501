// The photo that is being marked: clicks, boxes, brush, keys, undo. A mask is the list of its steps, which the server
// repeats at the photo's true size.

import { boxed } from "./box.js";
import { actionOf } from "./keys.js";
import { Outlines } from "./outlines.js";
import { $, percent } from "./page.js";
import { maskOf, paintPhoto } from "./picture.js";
import { View } from "./view.js";

const STEP = 0.02; // of the photo's longer side, for an arrow key
const SAME = { mouse: 8, pen: 12, touch: 28 }; // pixels of the screen: a second click so near is in the same place
const DRAG = 6; // pixels of the screen from which a click is a box
const PATIENCE = 1600; // milliseconds after a photo's first mark in which it can be changed before the next opens

export class Editor {
  // `changed` is called when marks change; `next` opens the next photo without a mark, and `next(true)` only says if
  // there is one.
  constructor(changed, next) {
    Object.assign(this, { changed, next, photo: null, place: null, nth: 0, stroke: null, frame: null, press: null });
    this.canvas = $("shot-canvas");
    this.view = new View(this.canvas, () => this.draw());
    const on = (kind, handle) => this.canvas.addEventListener(kind, handle);
    on("pointermove", (event) => this.moved(event));
    on("pointerdown", (event) => this.pressed(event));
    on("click", (event) => this.clicked(event));
    on("pointerup", (event) => this.released(event));
    on("pointercancel", () => this.released(null));
    on("pointerleave", () => this.stroke || this.press || this.point(null));
    on("wheel", () => this.stay());
    document.addEventListener("keydown", (event) => this.key(event));
    $("undo").onclick = () => this.edit(() => this.photo.steps.pop());
    $("clear").onclick = () => this.edit(() => { this.photo.steps = []; });
    $("other").onclick = () => this.another(1);
    $("zoom-in").onclick = () => this.view.zoom(1.5);
    $("zoom-out").onclick = () => this.view.zoom(1 / 1.5);
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
    this.stay();
    this.photo = photo;
    $("editor").hidden = photo === null;
    if (photo === null) return;
    photo.steps ??= [];
    photo.pieces ??= new Outlines(photo);
    [this.canvas.height, this.canvas.width] = photo.preview;
    this.canvas.setAttribute("aria-label", `Photo to mark: ${photo.name}`);
    this.place = null;
    this.view.set(1, 0, 0);
    this.repaint();
    this.say();
    // So that keys work without a click first; not while something is typed elsewhere.
    if (!document.activeElement?.matches("input, select, textarea")) this.canvas.focus({ preventScroll: true });
  }

  // What was planned for when nothing more is done with this photo is not done.
  stay() {
    clearTimeout(this.timer);
  }

  toolChanged() {
    this.stay();
    $("size-label").hidden = !this.brushing;
    $("other").disabled = this.brushing;
    this.canvas.classList.toggle("brushing", this.brushing);
    this.draw();
  }

  point(place) {
    this.place = place;
    this.draw();
  }

  moved(event) {
    const before = this.current();
    const place = this.view.placeOf(event);
    const far = this.place && Math.hypot(...place.map((v, i) => v - this.place[i])) > 0.015;
    if (far && event.pointerType !== "touch") this.nth = 0;
    this.place = place;
    if (this.stroke) {
      this.lengthen(this.inPixels(place));
    } else if (this.press) {
      this.dragged(event);
    } else {
      this.draw();
      if (this.current() !== before) this.say();
    }
  }

  // Points nearer than a sixth of the brush change nothing to see.
  lengthen([x, y]) {
    const [lastX, lastY] = this.stroke.points.at(-1);
    if (Math.hypot(x - lastX, y - lastY) < Math.max(1, this.stroke.radius / 6)) return this.draw();
    this.stroke.points.push([x, y]);
    this.repaint();
  }

  pressed(event) {
    this.stay();
    this.ignoreClick = false;
    this.place = this.view.placeOf(event);
    this.pointer = event.pointerType;
    const panning = event.button === 1 || (event.pointerType === "touch" && !this.brushing && this.view.scale > 1);
    if (event.button !== 0 && !panning) return;
    if (!this.brushing || panning) {
      if (event.pointerType === "touch" && !panning) return; // it may only be scrolling
      if (panning) event.preventDefault();
      this.press = { x: event.clientX, y: event.clientY, place: this.place, panning, on: this.view.on(event) };
      this.canvas.setPointerCapture(event.pointerId);
      return;
    }
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    const add = this.tool === "brush" && !event.shiftKey;
    this.stroke = { kind: "stroke", add, radius: this.radius, points: [this.inPixels(this.place)] };
    this.photo.steps.push(this.stroke);
    this.repaint();
  }

  dragged(event) {
    if (Math.hypot(event.clientX - this.press.x, event.clientY - this.press.y) > DRAG) this.press.far = true;
    if (!this.press.far) return;
    if (this.press.panning && !this.view.pinch) {
      const now = this.view.on(event);
      this.view.pan(now[0] - this.press.on[0], now[1] - this.press.on[1]);
      this.press.on = now;
    } else if (!this.press.panning) {
      this.box = [this.press.place, this.place];
      this.draw();
    }
  }

  released(event) {
    const { press, box, stroke } = this;
    this.press = this.box = this.stroke = null;
    this.ignoreClick = Boolean(press?.far);
    if (stroke) {
      this.photo.last = null;
      this.changed();
      this.say();
    } else if (box && event) {
      this.offer(boxed(this.photo.pieces, box), this.adds(event), this.place, 0);
    }
    this.draw();
  }

  // Not when a finger comes down: it may only be scrolling.
  clicked(event) {
    if (this.ignoreClick) return;
    this.place = this.view.placeOf(event);
    this.take(this.adds(event));
  }

  adds(event) {
    return !event.shiftKey && this.tool !== "drop";
  }

  inPixels([x, y]) {
    return [Math.round(x * this.photo.size[1] * 10) / 10, Math.round(y * this.photo.size[0] * 10) / 10];
  }

  // The outline that a click would take; none where one was just taken.
  current() {
    if (!this.place || !this.photo || this.again(this.place)) return null;
    const found = this.photo.pieces.under(...this.place);
    return found.length ? found[this.nth % found.length] : null;
  }

  // Whether the last thing that was done is the taking of an outline at this place.
  again(place) {
    const last = this.photo.last;
    if (!last || this.photo.steps.at(-1) !== last.step) return false;
    const box = this.canvas.getBoundingClientRect();
    const [dx, dy] = [(place[0] - last.spot[0]) * box.width, (place[1] - last.spot[1]) * box.height];
    return Math.hypot(dx, dy) * this.view.scale <= (SAME[this.pointer] ?? SAME.mouse);
  }

  take(add) {
    this.place ??= [0.5, 0.5];
    if (this.brushing) return;
    if (this.again(this.place) && this.photo.last.step.add === add) this.another(1);
    else this.offer(this.photo.pieces.under(...this.place), add, this.place, this.nth);
  }

  // Takes one of the outlines found at a place; the others can be had instead.
  offer(found, add, spot, nth) {
    if (!found.length) return this.say("No outline here; use the brush.");
    const step = { kind: "outline", add };
    this.photo.last = { step, spot, found, nth: nth % found.length };
    this.edit(() => this.photo.steps.push(this.choose()));
    if (add && this.photo.steps.length === 1) this.plan();
  }

  // The last step, with the outline that it stands for.
  choose() {
    const { step, found, nth } = this.photo.last;
    return Object.assign(step, { proposal: found[nth].id, at: found[nth].at });
  }

  plan() {
    this.stay();
    if (!this.next(true)) return;
    this.timer = setTimeout(() => this.next(), PATIENCE);
    this.say(`${$("editor-status").textContent} The next photo opens in a moment.`);
  }

  another(by) {
    const last = this.photo.last;
    if (last && this.photo.steps.at(-1) === last.step) {
      last.nth = (last.nth + by + last.found.length) % last.found.length;
      this.edit(() => this.choose());
      if (this.photo.steps.length === 1) this.plan();
      return;
    }
    if (!this.place) this.place = [0.5, 0.5];
    const count = this.photo.pieces.under(...this.place).length;
    if (count) this.nth = (this.nth + by + count) % count;
    this.say();
    this.draw();
  }

  edit(change) {
    this.stay();
    change();
    this.repaint();
    this.changed();
    this.say();
  }

  repaint() {
    this.layer = maskOf(this.photo);
    this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (!this.photo) return;
      const radius = this.brushing ? (this.radius * this.canvas.width * this.view.scale) / this.photo.size[1] : 5;
      paintPhoto(this.canvas, this.view, this.photo, {
        layer: this.layer,
        outline: this.brushing || this.box ? null : this.current(),
        box: this.box,
        cursor: this.place && { place: this.place, radius },
      });
    });
  }

  say(instead) {
    const { steps, last } = this.photo;
    const marks = `${steps.length} ${steps.length === 1 ? "mark" : "marks"} on this photo.`;
    const parts = [steps.length ? marks : "Nothing is marked yet."];
    const told = (outline, nth, count) => `outline ${nth + 1} of ${count}, ${percent(outline.share)} of the photo`;
    if (last && steps.at(-1) === last.step) {
      const { found, nth } = last;
      const more = found.length > 1 ? "; click again for the next one" : "";
      parts.push(`This is ${told(found[nth], nth, found.length)}${more}.`);
    } else if (this.place && !this.brushing) {
      const found = this.photo.pieces.under(...this.place);
      const nth = this.nth % found.length;
      if (found.length) parts.push(`Here: ${told(found[nth], nth, found.length)}.`);
    }
    $("editor-status").textContent = instead ?? parts.join(" ");
  }

  // Moves the cursor, by steps.
  step(dx, dy) {
    const length = (STEP * Math.max(...this.photo.size)) / this.view.scale;
    const [x, y] = this.place ?? [0.5, 0.5];
    const clip = (v) => Math.min(0.999, Math.max(0, v));
    this.nth = 0;
    this.point([clip(x + (dx * length) / this.photo.size[1]), clip(y + (dy * length) / this.photo.size[0])]);
    this.view.show(this.place);
    this.say();
  }

  key(event) {
    const here = event.target === this.canvas;
    if (!this.photo || !(here || event.target === document.body)) return;
    const act = actionOf(event, this, here);
    if (!act) return;
    event.preventDefault();
    this.stay();
    act();
  }
}
