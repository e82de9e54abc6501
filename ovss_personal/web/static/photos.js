// A row of photos of which one is chosen: upload, thumbnails, removal.

import { at, remove, upload } from "./api.js";
import { $, attempt, element, onFiles, tell, tellNotes } from "./page.js";

const AT_ONCE = 2; // uploads on their way

export class Photos {
  // `limits` has photo_bytes; `choose` is called with a photo, or null once there is none.
  constructor(kind, most, limits, choose, changed = () => {}) {
    Object.assign(this, { list: [], chosen: null, most, limits, choose, changed, thumbs: $(`${kind}-thumbs`) });
    Object.assign(this, { waiting: [], sending: new Set(), count: 0 });
    onFiles($(`${kind}-files`), $(`${kind}-drop`), (files) => this.add(files));
  }

  // The first of the files, as many as there is room for.
  add(files) {
    const room = this.most - this.list.length - this.waiting.length - this.sending.size;
    if (files.length > room) {
      const taken = room > 0 ? `the first ${room} of ${files.length} are taken` : "remove some to add others";
      tell(`At most ${this.most} photos fit here: ${taken}.`);
    }
    for (const file of files.slice(0, Math.max(0, room))) {
      const busy = element("li", { className: "busy", textContent: `looking at ${file.name}` });
      this.thumbs.append(busy);
      this.waiting.push({ file, busy, number: this.count++ });
    }
    for (let free = AT_ONCE - this.sending.size; free > 0; free--) this.sendNext();
  }

  async sendNext() {
    const next = this.waiting.shift();
    if (!next) return;
    this.sending.add(next.number);
    await attempt(() => this.send(next));
    this.sending.delete(next.number);
    next.busy.remove();
    const [first] = this.list; // the first of the files is opened, not whichever came first
    if (this.chosen === null && first && ![...this.sending].some((number) => number < first.number)) this.select(first);
    this.draw();
    this.changed();
    this.sendNext();
  }

  async send({ file, number }) {
    if (file.size > this.limits.photo_bytes) throw new Error(`${file.name} is larger than the server accepts.`);
    const photo = await upload(`photos?file=${encodeURIComponent(file.name)}`, file);
    photo.image = new Image();
    photo.image.src = at(`photos/${photo.photo}/preview.jpg`);
    await photo.image.decode();
    photo.number = number; // in the order of the files, whichever came first
    this.list.push(photo);
    this.list.sort((one, other) => one.number - other.number);
    tellNotes(photo.notes);
  }

  select(photo) {
    this.chosen = photo;
    this.draw();
    this.choose(photo);
  }

  // The next photo after the chosen one that is not marked, if there is one.
  unmarked() {
    const place = this.list.indexOf(this.chosen);
    return [...this.list.slice(place + 1), ...this.list.slice(0, place)].find((photo) => !photo.steps?.length);
  }

  removeChosen() {
    const gone = this.chosen;
    this.list = this.list.filter((photo) => photo !== gone);
    remove(`photos/${gone.photo}`).catch(() => {});
    this.select(this.list[0] ?? null);
    this.changed();
  }

  draw() {
    const focused = this.thumbs.contains(document.activeElement);
    this.thumbs.querySelectorAll("li:not(.busy)").forEach((item) => item.remove());
    const items = this.list.map((photo) => {
      const marked = photo.steps?.length ? " ✓" : "";
      const button = element("button", { type: "button", title: photo.name, onclick: () => this.select(photo) },
        element("img", { src: photo.image.src, alt: "" }), element("span", { textContent: photo.name + marked }));
      button.setAttribute("aria-current", String(photo === this.chosen));
      return element("li", {}, button);
    });
    this.thumbs.prepend(...items);
    if (focused) this.thumbs.querySelector("[aria-current=true]")?.focus({ preventScroll: true });
  }
}
