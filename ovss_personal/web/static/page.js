// Small things that every part of the page uses. Text from users only ever becomes text, never markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function tell(message) {
  $("alert").hidden = !message;
  $("alert").firstElementChild.textContent = message;
}

// Runs something a user asked for; what goes wrong is told.
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    tell(error.message);
  }
}

export function tellNotes(notes) {
  if (notes.length) tell(notes.join(" "));
}

// Files chosen with the input or dropped on the area.
export function onFiles(input, area, handle) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    handle(files);
  });
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    handle([...event.dataTransfer.files]);
  });
}

export const percent = (share) => (share >= 0.1 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(1)} %`);
export const safeName = (text) => text.replace(/[^\p{L}\p{N}_-]+/gu, "_").replace(/^_+|_+$/g, "") || "concept";
