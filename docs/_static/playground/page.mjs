// The playground's page: what its controls say goes to the worker, what the worker sends is shown.
import { readPrompt } from "./prompts.mjs";
import { gaussianSource } from "./samplers.mjs";

const GAP = 2; // white pixels between pictures
const COLUMNS = 5;
const WORDS = {
  "2m": "no new noise; 10 to 20 steps are enough",
  ddim: "no new noise, unless η says so",
  ancestral: "new noise in each step",
  few: "a network that was taught to draw in one call, with w = 0.5 in its weights",
};

// What can be drawn, with the settings and the painted noise of each. side: pixels of a picture, in
// height and width; paint: pixel of the first picture's noise -> its value.
const KINDS = {
  digits: { side: 28, channels: 1, network: "mnist", guidance: 0.5, steps: 20, paint: new Map() },
  prompt: { side: 40, channels: 3, network: "prompts", guidance: 2, steps: 25, paint: new Map() },
};

const part = (name) => document.getElementById(`pg-${name}`);
const number = (name) => Number(part(name).value);
const form = document.querySelector("form.playground"); // the page's heading has that id, too

let kind = "digits"; // what is chosen
let text = null; // the words that the network of prompts knows, once they are here
let film = []; // of the last walk: { t, x, x0 } from the noise to the pictures
let asked = null; // the last request
let shown = null; // of its pictures: side, channels, and what was wanted, in words
let requests = 0;
let playing = null; // the timer of the film
const cursor = { row: 14, column: 14 };

// What is asked for

const labels = () => [...part("digits").value].map((sign) => (sign === "?" ? null : Number(sign)));
const prompts = () => Array.from({ length: number("count") }, () => part("prompt").value);
const wanted = () => (kind === "digits" ? labels() : prompts());

function startNoise() {
  const { side, channels, paint } = KINDS[kind];
  const [count, size, plane] = [wanted().length, channels * side * side, side * side];
  const noise = gaussianSource(number("seed"))(count * size);
  for (const [pixel, value] of paint) {
    for (let channel = 0; channel < channels; channel++) noise[channel * plane + pixel] = value;
  }
  if (part("same").checked) {
    for (let n = 1; n < count; n++) noise.copyWithin(n * size, 0, size);
  }
  return noise;
}

function draw() {
  stopFilm();
  const few = part("sampler").value === "few"; // DDIM, in one step and without guidance
  asked = {
    kind: "draw",
    number: ++requests,
    name: few ? "mnist_few" : KINDS[kind].network,
    device: part("device").value,
    wanted: wanted(),
    guidance: few ? 0 : number("guidance"),
    sampler: few ? "ddim" : part("sampler").value,
    eta: few ? 0 : number("eta"),
    steps: few ? 1 : number("steps"),
    seed: number("seed"),
    xT: startNoise(),
  };
  const { side, channels } = KINDS[kind];
  const said = asked.wanted.map((label) => label ?? "any").join(" ");
  shown = { side, channels, wanted: kind === "digits" ? said : part("prompt").value };
  film = [{ t: null, x: asked.xT, x0: null }];
  worker.postMessage(asked);
  part("draw").disabled = true;
  part("stop").disabled = false;
  part("progress").max = asked.steps;
  say("drawing …");
  showEnd();
}

// A prompt that cannot be drawn is not sent: the field says why.
function readThePrompt() {
  let trouble = "";
  try {
    if (kind === "prompt" && text !== null) readPrompt(part("prompt").value, text);
  } catch (error) {
    trouble = `${error.message}.`;
  }
  part("prompt").setCustomValidity(trouble);
  const words = text === null ? "" : `It knows these words: ${text.words.join(", ")}.`;
  const told = trouble === "" ? words : `${trouble[0].toUpperCase()}${trouble.slice(1)} ${words}`;
  if (part("words").textContent !== told) part("words").textContent = told; // or it is read again
}

// What comes back

const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });

worker.addEventListener("error", () => say("The playground cannot load its parts."));
worker.addEventListener("message", ({ data }) => {
  if (data.kind === "missing") regret(data);
  if (data.kind === "ready") welcome(data);
  if (asked === null || data.number !== asked.number) return;
  if (data.kind === "moment") {
    film.push(data);
    showEnd();
  } else {
    part("draw").disabled = false;
    part("stop").disabled = true;
    if (data.kind === "done") {
      const pictures = counted(asked.wanted.length, shown.channels === 1 ? "digit" : "picture");
      const steps = counted(asked.steps, "step");
      say(`${pictures} in ${steps}: ${data.seconds.toFixed(1)} seconds`);
    } else if (data.kind === "stopped") {
      say(`stopped after ${film.length - 1} of ${asked.steps} steps`);
    } else {
      say(`Drawing has failed: ${data.text}`);
    }
  }
});
worker.postMessage({ kind: "open", name: "mnist", device: "wasm" });

// A network has arrived. With the first one ten digits are drawn, as an example.
function welcome(network) {
  text = network.text ?? text;
  readThePrompt();
  if (busy()) return;
  part("draw").disabled = false;
  if (network.device === "webgpu") return say("The graphics card is ready.");
  if (kind === "digits" && requests === 0) draw();
  if (kind === "prompt" && network.name === "prompts") {
    say("The model is here, and draws what you write.");
  }
}

// A network has not arrived, or the card cannot compute it.
function regret({ device, text }) {
  if (device === "wasm") return say(`The playground cannot load its model: ${text}`);
  part("device").value = "wasm";
  say(`The graphics card cannot compute the model, so the processor does: ${text}`);
}

const busy = () => !part("stop").disabled;
const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

function say(words) {
  part("status").textContent = words;
}

// Pictures

function showEnd() {
  const last = film.length - 1;
  part("moment").max = last;
  part("moment").value = last;
  part("moment").disabled = part("play").disabled = last === 0;
  part("progress").value = last;
  showMoment();
}

function showMoment() {
  const place = number("moment");
  const { t, x, x0 } = film[place];
  const moment = place === 0 ? "pure noise" : `after step ${place} of ${asked.steps}, at t = ${t}`;
  show(part("moment"), place === 0 ? "the noise" : `${place} of ${asked.steps}, t = ${t}`);
  paintGrid(part("x"), x, `x_t, ${moment}; asked for: ${shown.wanted}`);
  paintGrid(part("x0"), x0 ?? new Float64Array(x.length).fill(-1), place === 0
    ? "no guess yet"
    : `the guess of x_0, ${moment}; asked for: ${shown.wanted}`);
}

// Pictures side by side on white, as chapter 06's image_grid lays them out.
function paintGrid(canvas, values, words) {
  const { side, channels } = shown;
  const size = channels * side * side;
  const count = values.length / size;
  const columns = Math.min(COLUMNS, count);
  canvas.width = columns * (side + GAP) + GAP;
  canvas.height = Math.ceil(count / columns) * (side + GAP) + GAP;
  canvas.setAttribute("aria-label", words);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < count; n++) {
    const left = GAP + (n % columns) * (side + GAP);
    const top = GAP + Math.floor(n / columns) * (side + GAP);
    const picture = values.subarray(n * size, (n + 1) * size);
    context.putImageData(imageOf(picture, shown), left, top);
  }
}

// Values from -1 to 1, one plane behind the other, as shades of grey or of red, green and blue.
function imageOf(values, { side, channels }) {
  const image = new ImageData(side, side);
  const plane = side * side;
  const shade = (value) => Math.round((255 * (Math.min(1, Math.max(-1, value)) + 1)) / 2);
  for (let pixel = 0; pixel < plane; pixel++) {
    const colour = [0, 1, 2].map((c) => shade(values[(c % channels) * plane + pixel]));
    image.data.set([...colour, 255], 4 * pixel);
  }
  return image;
}

// The film

function playFilm() {
  part("play").textContent = "Stop the film";
  let place = 0;
  const next = () => {
    part("moment").value = place;
    showMoment();
    if (place++ === film.length - 1) stopFilm();
  };
  playing = setInterval(next, 150); // milliseconds
  next();
}

function stopFilm() {
  clearInterval(playing);
  playing = null;
  part("play").textContent = "Play the film";
}

// The noise that is painted by hand

function showNoise() {
  const { side, channels } = KINDS[kind];
  const canvas = part("noise");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  // Two standard deviations of the noise from black to white.
  const first = startNoise().subarray(0, channels * side * side);
  context.putImageData(imageOf(first.map((value) => value / 2), KINDS[kind]), 0, 0);
  if (document.activeElement === canvas) {
    context.fillStyle = "#d55e00";
    context.fillRect(cursor.column, cursor.row, 1, 1);
  }
}

function dab(row, column) {
  const { side, paint } = KINDS[kind];
  const value = part("brush").value;
  for (const [down, right] of [[0, 0], [0, 1], [1, 0], [1, 1]]) { // as wide as a pen: two pixels
    if (row + down >= side || column + right >= side) continue;
    const pixel = (row + down) * side + column + right;
    if (value === "") paint.delete(pixel);
    else paint.set(pixel, Number(value));
  }
  showNoise();
}

function paintByPointer(event) {
  const { side } = KINDS[kind];
  const box = part("noise").getBoundingClientRect();
  const place = (at, from, size) => Math.floor(((at - from) / size) * side);
  const row = place(event.clientY, box.top, box.height);
  const column = place(event.clientX, box.left, box.width);
  if (row >= 0 && row < side && column >= 0 && column < side) dab(row, column);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function paintByKey(event) {
  const { side, paint } = KINDS[kind];
  if (event.key === " ") {
    dab(cursor.row, cursor.column);
  } else if (event.key in MOVES) {
    const [down, right] = MOVES[event.key];
    cursor.row = (cursor.row + down + side) % side;
    cursor.column = (cursor.column + right + side) % side;
    showNoise();
  } else {
    return;
  }
  event.preventDefault(); // neither scrolls the page
  const painted = paint.has(cursor.row * side + cursor.column) ? ", painted" : "";
  part("cursor").textContent = `row ${cursor.row + 1}, column ${cursor.column + 1}${painted}`;
}

// Controls

// The value beside a slider, and for those who hear it.
function show(slider, words) {
  document.querySelector(`output[for=${slider.id}]`).textContent = words;
  slider.setAttribute("aria-valuetext", words);
}

function showSettings() {
  for (const name of ["guidance", "eta", "steps"]) show(part(name), part(name).value);
  const sampler = part("sampler").value;
  part("sampler-help").textContent = WORDS[sampler];
  part("eta").disabled = sampler !== "ddim";
  part("guidance").disabled = part("steps").disabled = sampler === "few";
}

// Digits or a prompt: each has its own fields, and finds its settings as it left them.
function choose(chosen) {
  Object.assign(KINDS[kind], { guidance: number("guidance"), steps: number("steps") });
  kind = chosen;
  for (const element of form.querySelectorAll("[data-kind]")) {
    element.hidden = element.disabled = element.dataset.kind !== kind;
  }
  if (part("sampler").selectedOptions[0].disabled) part("sampler").value = "2m";
  part("guidance").value = KINDS[kind].guidance;
  part("steps").value = KINDS[kind].steps;
  Object.assign(cursor, { row: KINDS[kind].side / 2, column: KINDS[kind].side / 2 });
  if (kind === "prompt" && text === null) {
    worker.postMessage({ kind: "open", name: "prompts", device: "wasm" }); // not before it is wanted
    if (!busy()) say("The model that reads prompts is being fetched (1.5 MB).");
  }
  readThePrompt();
  showSettings();
  showNoise();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
});
for (const choice of form.elements["pg-kind"]) {
  choice.addEventListener("change", () => choose(choice.value));
}
part("prompt").addEventListener("change", readThePrompt);
part("prompt").addEventListener("input", () => part("prompt").setCustomValidity(""));
for (const example of form.querySelectorAll(".examples button")) {
  example.addEventListener("click", () => {
    part("prompt").value = example.textContent;
    readThePrompt();
    if (form.reportValidity()) draw(); // and the walk that is under way ends
  });
}
part("stop").addEventListener("click", () => worker.postMessage({ kind: "stop", number: 0 }));
for (const name of ["guidance", "eta", "steps", "sampler"]) {
  part(name).addEventListener("input", showSettings);
}
part("device").addEventListener("change", () => {
  if (part("device").value === "wasm") return;
  worker.postMessage({ kind: "open", name: KINDS[kind].network, device: "webgpu" });
  if (!busy()) say("What a graphics card needs is being fetched (27 MB).");
});
part("moment").addEventListener("input", () => {
  stopFilm();
  showMoment();
});
part("play").addEventListener("click", () => (playing === null ? playFilm() : stopFilm()));
part("seed").addEventListener("input", showNoise);
part("clear").addEventListener("click", () => {
  KINDS[kind].paint.clear();
  showNoise();
});
part("noise").addEventListener("pointerdown", (event) => {
  part("noise").setPointerCapture(event.pointerId);
  paintByPointer(event);
});
part("noise").addEventListener("pointermove", (event) => {
  if (event.buttons) paintByPointer(event);
});
part("noise").addEventListener("keydown", paintByKey);
part("noise").addEventListener("focus", showNoise);
part("noise").addEventListener("blur", showNoise);
// Where the browser reaches a graphics card, there is a choice of what computes.
navigator.gpu?.requestAdapter().then((card) => {
  for (const element of form.querySelectorAll("[data-card]")) element.hidden = card === null;
});
showSettings();
showNoise();
