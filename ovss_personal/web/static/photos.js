// A row of photos of which one is chosen: upload, thumbnails, removal.

import { at, remove, upload } from "./api.js";
import { $, attempt, element, onFiles, tellNotes } from "./page.js";

export class Photos {
  // `limits` has photo_bytes; `choose` is called with a photo, or null once there is none.
  constructor(kind, most, limits, choose, changed = () => {}) {
    Object.assign(this, { list: [], chosen: null, most, limits, choose, changed, thumbs: $(`${kind}-thumbs`) });
    onFiles($(`${kind}-files`), $(`${kind}-drop`), (files) => files.forEach((file) => this.add(file)));
  }

  async add(file) {
    this.pending = (this.pending ?? 0) + 1;
    const busy = element("li", { className: "busy", textContent: `looking at ${file.name}` });
    this.thumbs.append(busy);
    await attempt(async () => {
      if (this.list.length + this.pending > this.most) throw new Error(`At most ${this.most} photos fit here.`);
      if (file.size > this.limits.photo_bytes) throw new Error(`${file.name} is larger than the server accepts.`);
      const photo = await upload(`photos?file=${encodeURIComponent(file.name)}`, file);
      photo.image = new Image();
      photo.image.src = at(`photos/${photo.photo}/preview.jpg`);
      await photo.image.decode();
      this.list.push(photo);
      tellNotes(photo.notes);
      if (this.chosen === null) this.select(photo);
    });
    this.pending -= 1;
    busy.remove();
    this.draw();
    this.changed();
  }

  select(photo) {
    this.chosen = photo;
    this.draw();
    this.choose(photo);
  }

  removeChosen() {
    const gone = this.chosen;
    this.list = this.list.filter((photo) => photo !== gone);
    remove(`photos/${gone.photo}`).catch(() => {});
    this.select(this.list[0] ?? null);
    this.changed();
  }

  draw() {
    this.thumbs.querySelectorAll("li:not(.busy)").forEach((item) => item.remove());
    const items = this.list.map((photo) => {
      const marked = photo.steps?.length ? " ✓" : "";
      const button = element("button", { type: "button", title: photo.name, onclick: () => this.select(photo) },
        element("img", { src: photo.image.src, alt: "" }), element("span", { textContent: photo.name + marked }));
      button.setAttribute("aria-current", String(photo === this.chosen));
      return element("li", {}, button);
    });
    this.thumbs.prepend(...items);
  }
}
