// Which part of a photo its canvas shows. Places are shares of the photo's width and height; wheel, pinch, the middle
// button and a finger on an enlarged photo move the view.

const MOST = 8;
const clip = (value, most) => Math.min(most, Math.max(0, value));

export class View {
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, scale: 1, x: 0, y: 0, dragged: null, pinch: null });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const kind of ["touchstart", "touchmove"]) {
      canvas.addEventListener(kind, (event) => this.touched(event), { passive: false });
    }
    for (const kind of ["touchend", "touchcancel"]) canvas.addEventListener(kind, () => { this.pinch = null; });
  }

  // Shares of the canvas.
  on(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  placeOf(event) {
    const [x, y] = this.on(event);
    return [this.x + x / this.scale, this.y + y / this.scale];
  }

  // Where a place is on the canvas, in the canvas's pixels.
  pixels([x, y]) {
    return [(x - this.x) * this.scale * this.canvas.width, (y - this.y) * this.scale * this.canvas.height];
  }

  transform(pen) {
    const { width, height } = this.canvas;
    pen.setTransform(this.scale, 0, 0, this.scale, -this.x * this.scale * width, -this.y * this.scale * height);
  }

  set(scale, x, y) {
    this.scale = Math.min(MOST, Math.max(1, scale));
    [this.x, this.y] = [clip(x, 1 - 1 / this.scale), clip(y, 1 - 1 / this.scale)];
    this.canvas.classList.toggle("enlarged", this.scale > 1);
    this.changed();
  }

  // `at` stays where it is; in shares of the canvas.
  zoom(factor, [x, y] = [0.5, 0.5]) {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    this.set(scale, this.x + x / this.scale - x / scale, this.y + y / this.scale - y / scale);
  }

  // By shares of the canvas.
  pan(dx, dy) {
    this.set(this.scale, this.x - dx / this.scale, this.y - dy / this.scale);
  }

  // Have a place in sight.
  show([x, y]) {
    const edge = 0.1 / this.scale, size = 1 / this.scale;
    const near = (start, at) => Math.max(at + edge - size, Math.min(at - edge, start));
    if (this.scale > 1) this.set(this.scale, near(this.x, x), near(this.y, y));
  }

  wheel(event) {
    if (this.scale === 1 && event.deltaY >= 0) return; // the page scrolls on
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    const step = Math.max(-120, Math.min(120, event.deltaY * lines)); // pixels; a pinch on a touchpad gives few
    this.zoom(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.002)), this.on(event));
  }

  touched(event) {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    const [one, other] = [...event.touches].map((touch) => this.on(touch));
    const now = {
      apart: Math.hypot(event.touches[0].clientX - event.touches[1].clientX,
        event.touches[0].clientY - event.touches[1].clientY),
      middle: [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2],
    };
    if (this.pinch && event.type === "touchmove") {
      this.pan(now.middle[0] - this.pinch.middle[0], now.middle[1] - this.pinch.middle[1]);
      this.zoom(now.apart / Math.max(1, this.pinch.apart), now.middle);
    }
    this.pinch = now;
  }
}
