// The outlines of one photo: which there are at a place, and pictures of them. All on the outlines' grid.

export class Outlines {
  constructor({ grid, outlines }) {
    [this.height, this.width] = grid;
    this.all = outlines.map((outline) => {
      const mask = new Uint8Array(this.height * this.width);
      let at = 0, area = 0;
      outline.runs.forEach((length, index) => {
        if (index % 2) {
          mask.fill(1, at, at + length);
          area += length;
        }
        at += length;
      });
      return { id: outline.id, score: outline.score, mask, share: area / mask.length };
    });
    // A photo's whole ground is stable too, but seldom what is meant.
    this.all.sort((a, b) => b.score - 0.5 * b.share - (a.score - 0.5 * a.share));
  }

  // Outlines that cover a place given in shares of width and height, the likeliest first.
  under(x, y) {
    const column = Math.min(this.width - 1, Math.max(0, Math.floor(x * this.width)));
    const row = Math.min(this.height - 1, Math.max(0, Math.floor(y * this.height)));
    return this.all.filter((outline) => outline.mask[row * this.width + column]);
  }

  byId(id) {
    return this.all.find((outline) => outline.id === id);
  }

  // A canvas on which the outline's inside is opaque, made once.
  picture(outline) {
    if (!outline.canvas) {
      outline.canvas = new OffscreenCanvas(this.width, this.height);
      const pixels = new ImageData(this.width, this.height);
      outline.mask.forEach((inside, index) => { pixels.data[4 * index + 3] = 255 * inside; });
      outline.canvas.getContext("2d").putImageData(pixels, 0, 0);
    }
    return outline.canvas;
  }
}
