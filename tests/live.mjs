// What the book's live sliders show: a list of requests as JSON, and for each what is drawn.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const live = createRequire(import.meta.url)("../docs/_static/live.js");
const requests = JSON.parse(readFileSync(0, "utf8"));
const seen = requests.map(({ kind, numbers, settings }) => live.drawn(kind, numbers, settings));
const betas = live.cosineBetas(1000, 0.008);
const spreads = requests
  .filter(({ kind }) => kind === "posterior")
  .map(({ numbers, settings }) =>
    live.witnesses(settings.t, numbers.pixel, betas));
console.log(JSON.stringify({ seen, spreads }));
