// The outlines of one photo: which there are at a place, and pictures of them. All on the outlines' grid.
// What is pointed at is the connected piece of a proposal: one that covers two like things is cut into the two.

// Chosen with clicks in the middle of the things of photographs that no other figure tells of.
const OFF_CENTRE = 2;

export class Outlines {
  constructor({ grid, outlines }) {
    [this.height, this.width] = grid;
    this.all = outlines.map((outline) => {
      const mask = new Uint8Array(this.height * this.width);
      let at = 0;
      outline.runs.forEach((length, index) => {
        if (index % 2) mask.fill(1, at, at + length);
        at += length;
      });
      return { id: outline.id, score: outline.score, mask, pieces: [], owner: null };
    });
  }

  cell(x, y) {
    const clip = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return clip(y, this.height) * this.width + clip(x, this.width);
  }

  // The pieces that cover a place given in shares of width and height, the likeliest first.
  under(x, y) {
    const cell = this.cell(x, y);
    const pieces = this.all.filter((outline) => outline.mask[cell]).map((outline) => this.piece(outline, cell));
    // One points at the middle of what is meant: neither at the edge of something larger nor at one of its parts.
    const likely = (piece) => piece.score - OFF_CENTRE * Math.hypot(piece.centre[0] - x, piece.centre[1] - y);
    return pieces.sort((a, b) => likely(b) - likely(a));
  }

  find(id, [x, y]) {
    const outline = this.all.find((one) => one.id === id);
    return this.piece(outline, this.cell(x, y));
  }

  // The piece of an outline that is connected with a cell; every piece is made once.
  piece(outline, cell) {
    outline.owner ??= new Int16Array(outline.mask.length).fill(-1);
    const { owner, mask, pieces } = outline;
    if (owner[cell] < 0) {
      const number = pieces.length;
      const inside = [cell];
      owner[cell] = number;
      for (let at = 0; at < inside.length; at++) {
        const here = inside[at];
        const column = here % this.width;
        const beside = [here - this.width, here + this.width];
        if (column > 0) beside.push(here - 1);
        if (column < this.width - 1) beside.push(here + 1);
        for (const next of beside) {
          if (mask[next] && owner[next] < 0) {
            owner[next] = number;
            inside.push(next);
          }
        }
      }
      const place = (column, row) => [(column + 0.5) / this.width, (row + 0.5) / this.height];
      const mean = (of) => inside.reduce((sum, one) => sum + of(one), 0) / inside.length;
      const at = place(cell % this.width, Math.floor(cell / this.width));
      const centre = place(mean((one) => one % this.width), mean((one) => Math.floor(one / this.width)));
      const share = inside.length / mask.length;
      pieces.push({ id: outline.id, score: outline.score, at, centre, cells: inside, share });
    }
    return pieces[owner[cell]];
  }

  // A canvas on which the piece's inside is opaque, made once.
  picture(piece) {
    if (!piece.canvas) {
      piece.canvas = new OffscreenCanvas(this.width, this.height);
      const pixels = new ImageData(this.width, this.height);
      for (const cell of piece.cells) pixels.data[4 * cell + 3] = 255;
      piece.canvas.getContext("2d").putImageData(pixels, 0, 0);
    }
    return piece.canvas;
  }
}
